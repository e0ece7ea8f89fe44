"""splitmix64: keys and words.

The generator of Steele, Lea and Flood (OOPSLA 2014): word ``i`` of the stream with seed ``k`` is
``mix(k + (i + 1) * GAMMA)`` modulo ``2**64``.  Keys form a tree: a word of one stream seeds the next, so
``fold(fold(fold(0, seed), matrix), row)`` names the stream of a row.  A draw therefore depends neither on
batches, threads and placement, nor on what else is simulated.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

GAMMA = 0x9E3779B97F4A7C15
"""Step of the counter."""
ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
"""The finaliser: ``z ^= z >> shift``, then ``z *= factor``, for each (shift, factor)."""

Words = NDArray[np.uint64]
_MASK = (1 << 64) - 1


def mix(z: Words) -> Words:
    """The finaliser of splitmix64, in place: ``z`` is changed and returned."""
    shifted = np.empty_like(z)
    for shift, factor in ROUNDS:
        np.right_shift(z, np.uint64(shift), out=shifted)
        z ^= shifted
        if factor != 1:
            z *= np.uint64(factor)
    return z


def words(key: NDArray[Any] | int, index: NDArray[Any] | int) -> Words:
    """Words ``index`` of the streams ``key``, broadcast against each other; uint64."""
    # modulo 2**64: numpy warns of that for scalars only, so there are none
    steps = np.atleast_1d(np.asarray(index).astype(np.uint64))
    steps += np.uint64(1)
    steps *= np.uint64(GAMMA)
    found = mix(np.asarray(key, np.uint64) + steps)
    return found.reshape(np.broadcast_shapes(np.shape(key), np.shape(index)))


def run(key: int, first: int, count: int) -> Words:
    """Words ``first .. first + count - 1`` of the stream ``key``."""
    z = np.arange(first + 1, first + 1 + count, dtype=np.uint64)
    z *= np.uint64(GAMMA)
    z += np.uint64(key)
    return mix(z)


def fold(key: int, index: int) -> int:
    """Word ``index`` of the stream ``key``: the key of a branch."""
    z = (key + (index + 1) * GAMMA) & _MASK
    for shift, factor in ROUNDS:
        z = ((z ^ (z >> shift)) * factor) & _MASK
    return z


def name_key(seed: int, name: str) -> int:
    """Key of everything about the matrix ``name`` in a run with ``seed``."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return fold(fold(0, seed & _MASK), int.from_bytes(digest, "little"))


def key_of(seed: int, *names: object) -> int:
    """A 64-bit key of a seed and some names."""
    text = "\0".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
