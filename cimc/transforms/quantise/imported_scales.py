"""Weights and activations that a model brings along quantised: what of it the target can hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimc.ir.rec import Grid
from cimc.support.io.streaming import blocks

Integers = NDArray[np.int8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Drive:
    """How a layer's input drives the array: ``clip(rint((x + shift) / scale))``, signed or from 0."""

    scale: float
    signed: bool
    shift: float = 0.0


def drive_of(grid: Grid, bits: int) -> Drive | None:
    """The drive that gives the integers of a grid; ``None`` when ``bits`` bits do not hold them.

    A grid from 0 is unsigned.  One that is symmetric (up to the lowest of 256 numbers, which saturates one
    step earlier) is signed.  Any other is shifted to start at 0; the shift times the sum of each column's
    weights comes off the bias.
    """
    scale = float(np.float32(grid.scale))
    if grid.low == 0 and grid.high < 1 << bits:
        return Drive(scale, signed=False)
    if abs(grid.low + grid.high) <= 1 and grid.high < 1 << (bits - 1):
        return Drive(scale, signed=True)
    if grid.low < 0 <= grid.high and grid.high - grid.low < 1 << bits:
        return Drive(scale, signed=False, shift=-grid.low * scale)
    return None


def largest_of(integers: Integers) -> int:
    """The largest magnitude, read block by block."""
    parts = (part for _, part in blocks(integers) if part.size)
    return max((max(-int(part.min()), int(part.max())) for part in parts), default=0)


def fitted_table(integers: Integers, scale: float, largest: int) -> tuple[Integers, Floats]:
    """An int8 table with one scale, made to fit ``-largest .. largest``; as it is if it does."""
    peak = largest_of(integers)
    if peak <= largest:
        return np.asarray(integers), np.array([scale], np.float32)
    shrunk = np.clip(np.rint(np.arange(-128, 128) * (largest / peak)), -largest, largest).astype(np.int8)
    levels: Integers = np.roll(shrunk, -128)[np.ascontiguousarray(integers).view(np.uint8)]
    return levels, np.array([scale * peak / largest], np.float32)
