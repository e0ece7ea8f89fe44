"""Arrays of random elements that follow from a seed, a name and the element's position: made when read.

They stand for weights that nobody has at hand, in any amount: a table of 30 GB costs the memory of the rows
that are read.  Values look like trained ones: bell-shaped, the sum of four uniform bytes, which lies within
3.46 standard deviations.  A program stores the recipe of such an array in place of its elements.
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from cimc.support.io.lazy import LazyArray
from cimc.support.random.splitmix import Words, key_of, run, words

_BLOCK = 1 << 17
"""Elements that are generated together."""

GENERATOR = "splitmix64"
"""How elements are made; a recipe says so, and one of another generator is refused."""

_BYTE_SUM_MEAN = 510
_BYTE_SUM_DEVIATION = math.sqrt(4 * (256**2 - 1) / 12)
_FLOATS = ("float16", "bfloat16", "float32", "float64")


class Spread(NamedTuple):
    """Mean and standard deviation of generated elements."""

    mean: float
    deviation: float


class GeneratedArray(LazyArray):
    """A tensor of bell-shaped random elements, made from a counter; see the module's text.

    Args:
        name: what tells this tensor from others of the same seed.
        seed: of the random numbers.
        shape: at least one dimension.
        dtype: a floating-point type, or ``int8`` or ``uint8``.
        spread: of floating-point elements; integers fill most of their range.
    """

    def __init__(
        self, name: str, seed: int, shape: tuple[int, ...], dtype: np.dtype[Any], spread: Spread
    ) -> None:
        self.shape, self.dtype = shape, dtype
        if dtype.kind in "iu":
            spread = Spread(0.0 if dtype.kind == "i" else 128.0, 32.0)
        self.name, self.seed, self.spread = name, seed, spread
        self.recipe = f"{GENERATOR}:{seed} {spread.mean!r} {spread.deviation!r} {name}"
        self._key = key_of(seed, "weights", name)
        self._mean = np.float32(spread.mean)
        self._step = np.float32(spread.deviation / _BYTE_SUM_DEVIATION)
        self._width = math.prod(shape[1:])

    @property
    def bound(self) -> float:
        """No element has a larger magnitude."""
        ends = np.array([-_BYTE_SUM_MEAN, _BYTE_SUM_MEAN], np.float32) * self._step + self._mean
        return float(np.abs(ends.astype(self.dtype).astype(np.float64)).max())

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        first, end = start * self._width, stop * self._width
        out = np.empty(end - first, self.dtype)
        for low in range(first, end, _BLOCK):
            high = min(low + _BLOCK, end)
            bits = _fields(run(self._key, low // 2, (high + 1) // 2 - low // 2))
            out[low - first : high - first] = self._bell(bits[low % 2 :][: high - low])
        return out.reshape(stop - start, *self.shape[1:])

    def gather(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        width = self._width
        out = np.empty((len(rows), width), self.dtype)
        covering = np.arange(width // 2 + width % 2)  # words that hold a row, wherever in a word it begins
        for low in range(0, len(rows), max(1, _BLOCK // max(1, width))):
            first = rows[low : low + max(1, _BLOCK // max(1, width)), np.newaxis] * width
            bits = _fields(words(self._key, first // 2 + covering))
            if width % 2:
                bits = np.where(first % 2, bits[:, 1 : width + 1], bits[:, :width])
            out[low : low + len(bits)] = self._bell(bits)
        return out.reshape(len(rows), *self.shape[1:])

    def _bell(self, bits: NDArray[np.uint32]) -> NDArray[Any]:
        """Bell-shaped elements from 32 bits each, which are lost."""
        pairs = bits >> 8  # sums of two bytes in either half, then of both halves
        pairs &= 0x00FF00FF
        bits &= 0x00FF00FF
        pairs += bits
        values = ((pairs & 0xFFFF) + (pairs >> 16)).astype(np.float32)
        values -= np.float32(_BYTE_SUM_MEAN)
        values *= self._step
        values += self._mean
        if self.dtype.kind in "iu":
            values = np.rint(values)
        return values.astype(self.dtype)


def _fields(word: Words) -> NDArray[np.uint32]:
    """Two elements' bits from each word, the lower half first; the words are lost with them."""
    return word.astype("<u8", copy=False).view("<u4")


class GeneratedIntegers(LazyArray):
    """A generated array of floats as 8-bit integers: ``clip(rint(element / scale), -largest, largest)``."""

    def __init__(self, source: GeneratedArray, scale: float, largest: int) -> None:
        self.source, self.scale, self.largest = source, np.float32(scale), largest
        self.shape, self.dtype = source.shape, np.dtype(np.int8)
        self.recipe = f"{float(self.scale)!r} {largest} {source.dtype.name} {source.recipe}"

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        return self._integers(self.source.rows(start, stop))

    def gather(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        return self._integers(self.source.gather(rows))

    def _integers(self, part: NDArray[Any]) -> NDArray[np.int8]:
        scaled = part.astype(np.float32)
        scaled /= self.scale
        np.rint(scaled, out=scaled)
        return np.clip(scaled, -self.largest, self.largest, out=scaled).astype(np.int8)

    def to_json(self) -> dict[str, Any]:
        """From which :func:`restored` makes the same array."""
        source = self.source
        return {
            "generator": GENERATOR,
            "name": source.name,
            "seed": source.seed,
            "shape": list(source.shape),
            "dtype": source.dtype.name,
            "spread": list(source.spread),
            "scale": float(self.scale),
            "largest": self.largest,
        }


def restored(recipe: Any) -> GeneratedIntegers:
    """The array of a recipe made by :meth:`GeneratedIntegers.to_json`.

    Raises:
        ValueError: for anything else.
    """
    match recipe:
        case {
            "generator": str(generator),
            "name": str(name),
            "seed": int(seed),
            "shape": [*shape],
            "dtype": str(dtype),
            "spread": [float(mean), float(deviation)],
            "scale": float(scale),
            "largest": int(largest),
            **rest,
        } if (
            not rest
            and generator == GENERATOR
            and all(type(n) is int and n >= 0 for n in shape)
            and shape
            and dtype in _FLOATS
            and seed >= 0
            and 0 < scale < math.inf
            and 0 < largest < 128
            and math.isfinite(mean)
            and math.isfinite(deviation)
        ):
            source = GeneratedArray(name, seed, tuple(shape), _dtype(dtype), Spread(mean, deviation))
            return GeneratedIntegers(source, scale, largest)
    raise ValueError(f"no recipe of a generated array: {json.dumps(recipe)[:200]}")


def _dtype(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        import ml_dtypes  # a dependency of onnx

        return cast("np.dtype[Any]", np.dtype(ml_dtypes.bfloat16))
    return np.dtype(name)
