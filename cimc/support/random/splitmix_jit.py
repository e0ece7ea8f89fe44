"""Random numbers and acceptance for compiled loops: the same bits on every machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cimc.support.jit import jit

# A uint64 array of one element: compiled code mixes uint64 with Python integers badly, so all
# constants are spelled out.
State = npt.NDArray[np.uint64]


@jit
def below(state: State, limit: int) -> int:
    """A number in [0, limit), limit < 2^32: SplitMix64 (Steele, Lea, Flood 2014), scaled by its high half."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return int(np.int64(((z >> np.uint64(32)) * np.uint64(limit)) >> np.uint64(32)))


@jit
def accepts(state: State, worse: float, temperature: float) -> bool:
    """Metropolis: always when not worse, else with probability about exp(-worse / temperature).

    (1 - x/256)^256 by eight squarings stands in for exp(-x): libraries round exp differently, products
    they do not.
    """
    if worse <= 0.0:
        return True
    if temperature <= 0.0 or worse >= 16.0 * temperature:
        return False
    p = 1.0 - worse / temperature / 256.0
    for _ in range(8):
        p *= p
    return below(state, 1 << 31) < p * 2147483648.0


def state_of(seed: int) -> State:
    """The state that ``seed`` starts from."""
    return np.array([seed % (1 << 64)], dtype=np.uint64)
