"""Random numbers as they are used: by position, whatever the order they are asked for, or in sequence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.support.random.quantiles import LANES, deviates, lane
from cimc.support.random.splitmix import GAMMA, Words, mix, run

_LOW, _32 = np.uint64((1 << 32) - 1), np.uint64(32)


# --------------------------------------------------------------------------------------------------
# By position


def bits(key: int, position: NDArray[Any]) -> Words:
    """64 random bits per position (integers of at least 0).

    The finaliser of splitmix64 applied twice, so that keys which differ by a multiple of its step do not give
    shifted sequences.
    """
    z = position.astype(np.uint64)
    z *= np.uint64(GAMMA)  # modulo 2**64
    z += np.uint64(key)
    mix(z)
    z += np.uint64(key)
    return mix(z)


def uniform(key: int, position: NDArray[Any]) -> NDArray[np.float64]:
    """Numbers in (0, 1), with 53 bits, one per position."""
    return _fractions(bits(key, position))


def normal(key: int, position: NDArray[Any]) -> NDArray[np.float64]:
    """Standard normal deviates by the method of Box and Muller, one per position.

    Their last bits are those of the machine's logarithm and cosine: for artifacts, :meth:`Draws.normal`.
    """
    radius = np.sqrt(-2 * np.log(uniform(key, position)))
    return np.asarray(radius * np.cos(2 * np.pi * uniform(key ^ 1, position)), np.float64)


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


# --------------------------------------------------------------------------------------------------
# In sequence


class Draws:
    """Numbers one after another: the words of the stream ``key``, the same bits on every machine.

    Args:
        key: 64 bits, such as :func:`cimc.support.random.splitmix.key_of` gives.
    """

    def __init__(self, key: int) -> None:
        self._key, self._next = key, 0

    def words(self, count: int) -> Words:
        """The next ``count`` words."""
        found = run(self._key, self._next, count)
        self._next += count
        return found

    def uniform(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Numbers in (0, 1), with 53 bits."""
        return _fractions(self.words(math.prod(shape))).reshape(shape)

    def below(self, limit: int, shape: tuple[int, ...] = ()) -> NDArray[np.int64]:
        """Integers in [0, limit), ``1 <= limit < 2**63``; chances differ by less than ``limit / 2**64``."""
        if not 1 <= limit < 1 << 63:
            raise ValueError(f"integers below {limit}")
        return _high_half(self.words(math.prod(shape)), limit).astype(np.int64).reshape(shape)

    def integer(self, limit: int) -> int:
        """One integer in [0, limit)."""
        return int(self.below(limit))

    def permutation(self, count: int) -> NDArray[np.int64]:
        """``0 .. count - 1`` in random order."""
        return np.argsort(self.words(count), kind="stable").astype(np.int64, copy=False)

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Standard normal deviates, each one of 65,536 (:mod:`cimc.support.random.quantiles`)."""
        count = math.prod(shape)
        drawn = self.words(-(-count // LANES))[:, np.newaxis]
        return deviates()[lane(drawn, np.arange(LANES))].reshape(-1)[:count].reshape(shape)


def _fractions(word: Words) -> NDArray[np.float64]:
    return ((word >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _high_half(word: Words, factor: int) -> Words:
    """The high 64 of the 128 bits of a product, from the products of its halves."""
    high, low = word >> _32, word & _LOW
    f_high, f_low = np.uint64(factor >> 32), np.uint64(factor & (1 << 32) - 1)
    first = high * f_low + (low * f_low >> _32)
    second = low * f_high + (first & _LOW)
    product: Words = high * f_high + (first >> _32) + (second >> _32)
    return product
