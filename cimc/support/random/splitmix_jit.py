"""splitmix64 in compiled loops, to the bit :mod:`cimc.support.random.splitmix`; and acceptance.

Importing this imports numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cimc.support.jit import jit
from cimc.support.random.splitmix import GAMMA, ROUNDS

# A uint64 array of one element.  Compiled code takes a uint64 and an integer of Python for floating-point
# numbers, so all constants are uint64.
State = npt.NDArray[np.uint64]

_GAMMA = np.uint64(GAMMA)
(_S1, _M1), (_S2, _M2), (_S3, _) = [(np.uint64(shift), np.uint64(factor)) for shift, factor in ROUNDS]
_ONE, _32 = np.uint64(1), np.uint64(32)


@jit
def mixed(z: Any) -> Any:
    """:func:`cimc.support.random.splitmix.mix` of one word."""
    z = (z ^ (z >> _S1)) * _M1
    z = (z ^ (z >> _S2)) * _M2
    return z ^ (z >> _S3)


@jit
def word_at(key: Any, index: Any) -> Any:
    """Word ``index`` of the stream ``key``."""
    return mixed(key + (np.uint64(index) + _ONE) * _GAMMA)


@jit
def below(state: State, limit: int) -> int:
    """A number in [0, limit), limit < 2^32, from the high half of the next word."""
    state[0] += _GAMMA
    return int(np.int64(((mixed(state[0]) >> _32) * np.uint64(limit)) >> _32))


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
