"""Tables with a scale per row: those of float tables, and those of a model made to fit the cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.support.io.streaming import blocks

Integers = NDArray[np.int8]
Floats = NDArray[np.float32]

SMALLEST = float(np.finfo(np.float32).tiny)
"""Scales below this have few bits or none: the row is taken as zero."""


def quantize_rows(table: NDArray[Any], largest: int) -> tuple[Integers, Floats]:
    """``float[rows, dim]`` to ``int8[rows, dim]`` and ``float32[rows]``, streaming over rows.

    Symmetric: the largest magnitude of each row becomes ``largest``.  A row of zeros has scale 1.
    """
    integers = np.empty(table.shape, np.int8)
    scales = np.empty(table.shape[0], np.float32)
    for start, part in blocks(table):
        rows = part.astype(np.float32)
        peak = np.abs(rows).max(axis=1, initial=0.0)
        scale = np.where(peak >= largest * SMALLEST, peak / np.float32(largest), np.float32(1))
        scales[start : start + len(part)] = scale
        rows /= scales[start : start + len(part), None]
        np.rint(rows, out=rows)
        integers[start : start + len(part)] = np.clip(rows, -largest, largest, out=rows)
    return integers, scales


def fitted_rows(integers: Integers, scales: Floats, largest: int) -> tuple[Integers, Floats]:
    """Integers with scales per row, made to fit ``-largest .. largest``; rows that do stay as they are.

    Any other row is quantised again, from ``integers * scale``: ``int8[rows, dim]`` and ``float32[rows]``.
    """
    fitted, factors = np.empty(integers.shape, np.int8), np.array(scales, np.float32)
    for start, part in blocks(integers):
        peak = np.abs(part.astype(np.int16)).max(axis=1, initial=0)
        out = np.array(part, np.int8)
        beyond = np.flatnonzero(peak > largest)
        if len(beyond):
            ratio = peak[beyond].astype(np.float64) / largest
            shrunk = np.rint(out[beyond] / ratio[:, None])
            out[beyond] = np.clip(shrunk, -largest, largest).astype(np.int8)
            factors[start + beyond] = (factors[start + beyond] * ratio).astype(np.float32)
        fitted[start : start + len(part)] = out
    return fitted, factors


def narrowest(peak: int, bits: int, max_weight: Callable[[int], int]) -> int:
    """The smallest width up to ``bits`` whose cells hold ``-peak .. peak``; ``bits`` if none does."""
    return next((b for b in range(2, bits) if max_weight(b) >= peak), bits)
