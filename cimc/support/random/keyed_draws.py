"""Random numbers that are functions of a key and a position: independent of the order they are asked for."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def key_of(seed: int, *names: object) -> int:
    """A 64-bit key of a seed and some names."""
    text = "\0".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def bits(key: int, position: NDArray[Any]) -> U64:
    """64 random bits per position (integers of at least 0).

    The output function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), applied twice, so that keys which
    differ by a multiple of its step do not give shifted sequences.
    """
    with np.errstate(over="ignore"):
        return _mix(_mix(position.astype(np.uint64) * _STEP + np.uint64(key)) + np.uint64(key))


def _mix(z: U64) -> U64:
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


def uniform(key: int, position: NDArray[Any]) -> NDArray[np.float64]:
    """Numbers in (0, 1), with 53 bits, one per position."""
    return ((bits(key, position) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def permuted(key: int, values: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """A permutation of ``0 .. size - 1``, applied to ``values``; needs no memory for the others.

    A Feistel network of six rounds on the least even number of bits that holds ``size``; values that it puts
    outside are sent through it again (cycle walking).
    """
    half = max(1, (max(size - 1, 1).bit_length() + 1) // 2)
    mask = np.int64((1 << half) - 1)
    out = values.astype(np.int64, copy=True)
    todo = np.arange(out.size)
    while todo.size:
        value = out[todo]
        left, right = value >> half, value & mask
        for number in range(6):
            turn = bits(key + number & (1 << 64) - 1, right).astype(np.int64) & mask
            left, right = right, left ^ turn
        out[todo] = left << half | right
        todo = todo[out[todo] >= size]
    return out
