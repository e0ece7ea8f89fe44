"""Cells of a dense matrix made ready for noisy products: planes of integers, each column in its format.

Conductances and variances are drawn with more binary places than float32 products (or the 16-bit sums of
``noisy_lut4.py``) can add up exactly.  Each column of a plane therefore drops as many places as its own sums
need, which its cells alone decide; what this adds to the variance of a cell stays below 1 % of it
(:attr:`cimc.sim.devices.model.aged_levels.Levels.needed`), or the kernel uses float64.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.sim.devices.model.aged_levels import DOUBLE_LIMIT, FRACTION, SINGLE_LIMIT, Ints, Levels
from cimc.sim.kernels.aligned import aligned
from cimc.target.cell_encoding import EncodedWeights, PhasePlan
from cimc.target.spec import Array

_SHORT = (1 << 15) - 1
_SHORT_ROWS = 1024  # beyond, 16 bits leave too little for each row's variance

Floats = NDArray[Any]


@dataclass(frozen=True)
class ColumnTile:
    """Neighbouring columns on one range of rows.

    ``means``, ``spreads``: planes ``[R, S*C]``, slice-major, integers in a float type (``spreads`` has no
    columns without read noise).  ``scale [S, C]`` takes summed variances to squared units of the sums;
    ``half``, ``step`` (floats) and ``factor`` (int64) are ``[P, S, C]``.  ``constant [C]`` and
    ``input_factor``: the digital corrections of the offsets.  ``short``: sums of one-bit phases fit 16 bits,
    and those of codes 32.
    """

    rows: slice
    cols: slice
    first_col: int
    means: Floats
    spreads: Floats
    scale: Floats
    half: Floats
    step: Floats
    factor: Ints
    constant: Ints
    input_factor: int
    key: int
    short: bool

    def within(self, block: slice) -> ColumnTile | None:
        """The columns of the column tile that ``block`` of the result has, if any."""
        begin, end = max(block.start, self.cols.start), min(block.stop, self.cols.stop)
        if begin >= end:
            return None
        if (begin, end) == (self.cols.start, self.cols.stop):
            return self
        own = slice(begin - self.cols.start, end - self.cols.start)
        slices, cols = self.scale.shape

        def plane(values: Floats) -> Floats:
            if not values.size:
                return values
            chosen = values.reshape(-1, slices, cols)[:, :, own]
            return np.ascontiguousarray(chosen.reshape(len(values), -1))

        def cut(values: NDArray[Any]) -> NDArray[Any]:
            return np.ascontiguousarray(values[..., own])

        return replace(
            self, cols=slice(begin, end), first_col=self.first_col + own.start, means=plane(self.means),
            spreads=plane(self.spreads), scale=cut(self.scale), half=cut(self.half), step=cut(self.step),
            factor=cut(self.factor), constant=cut(self.constant),
        )  # fmt: skip


def make_column_tile(
    rows: slice, cols: slice, first_col: int, means: Ints, variances: Ints, lsb: Ints, weights: NDArray[Any],
    code: EncodedWeights, plan: PhasePlan, array: Array, levels: Levels, key: int,
) -> ColumnTile:  # fmt: skip
    """Format planes ``means`` and ``variances`` ``[S, R, C]`` with ADC steps ``lsb [P, S, C]``."""
    slices, height, _ = means.shape
    # the bounds below are of sums of one sign; codes of both signs reach at most twice as far
    drive = (1 << array.dac_bits) - 1
    if plan.native:
        drive = 2 * max((1 << phase.width) - 1 for phase in plan.phases)
    coarsest = lsb.max(axis=0) << FRACTION
    small = array.dac_bits == 1 and not plan.native and height <= _SHORT_ROWS
    limit = SINGLE_LIMIT if levels.single else DOUBLE_LIMIT
    dropped = _dropped(means, drive, limit, coarsest)
    short = np.zeros_like(dropped, bool)
    if small and levels.single:
        tight = _dropped(means, 1, _SHORT, np.zeros_like(coarsest))
        short = (FRACTION - tight >= levels.needed) & (coarsest >> tight <= SINGLE_LIMIT // 2)
        dropped = np.where(short, tight, dropped)
    mean_type = np.float32 if levels.single else np.float64

    spread_limit = _SHORT if small else (SINGLE_LIMIT if levels.variance_single else DOUBLE_LIMIT)
    less = _dropped(variances, drive * drive, spread_limit, np.zeros_like(coarsest))
    spread_type = np.float32 if levels.variance_single else np.float64
    spreads = _plane(_rounded(variances, less), spread_type)
    scale = levels.variance_scale * 2.0 ** (less - 2 * dropped)

    significance = plan.weights[:, None] * code.digit_weights
    factor = np.ascontiguousarray(lsb * significance[:, :, None])
    reach = max(-array.adc_codes[0], array.adc_codes[1])
    unit = 2.0 ** (FRACTION - dropped)
    column_sums = weights.sum(axis=0, dtype=np.int64)
    return ColumnTile(
        rows=rows,
        cols=cols,
        first_col=first_col,
        means=_plane(_rounded(means, dropped), mean_type),
        spreads=spreads if levels.noisy else spreads[:, :0],
        scale=scale.astype(mean_type),
        half=(lsb * (unit / 2)).astype(mean_type),
        step=(lsb * unit).astype(mean_type),
        factor=factor,
        constant=-plan.input_offset * (column_sums + height * code.weight_offset),
        input_factor=-code.weight_offset,
        key=key,
        short=bool(short.all())
        and slices * 16 * height <= 1 << 18
        and int(np.abs(factor).sum(axis=(0, 1)).max()) * reach < 1 << 31,
    )


def _dropped(plane: Ints, drive: int, limit: int, more: Ints) -> Ints:
    """Binary places that columns of ``plane [S, R, C]`` drop for sums, and ``more``, to fit ``limit``.

    int64 ``[S, C]``.  Rows are driven at up to ``drive``; rounding adds up to half a unit per row.
    """
    positive = np.maximum(plane, 0).sum(axis=1)
    bound = np.maximum(positive, positive - plane.sum(axis=1)) * drive + more
    slack = plane.shape[1] * drive // 2 + 2
    dropped = np.zeros(bound.shape, np.int64)
    for places in range(62):
        fits = (bound >> places) + slack <= limit
        if fits.all():
            break
        dropped[~fits] = places + 1
    return dropped


def _rounded(plane: Ints, dropped: Ints) -> Ints:
    """``plane [S, R, C]`` less ``dropped [S, C]`` binary places, rounded to nearest (halves up)."""
    shift = dropped[:, np.newaxis]
    return np.asarray((plane + ((np.int64(1) << shift) >> 1)) >> shift)


def _plane(values: Ints, kind: type[Any]) -> Floats:
    """``[S, R, C]`` as ``[R, S*C]``, slice-major."""
    return np.ascontiguousarray(values.transpose(1, 0, 2).reshape(values.shape[1], -1), kind)


# --------------------------------------------------------------------------------------------------
# Tables for one-bit phases

LANES, CHAINS = 16, 2


@dataclass(frozen=True)
class ShortTables:
    """What :func:`cimc.sim.devices.kernels.noisy_lut4.multiply` takes of a column tile; see there.

    ``divide``: steps are divided by; else they are powers of two, and ``steps`` holds their reciprocals.
    """

    sums: NDArray[np.int16]
    scales: NDArray[np.float32]
    halves: NDArray[np.float32]
    steps: NDArray[np.float32]
    factors: NDArray[np.int32]
    divide: bool


def short_tables(tile: ColumnTile) -> ShortTables:
    """Tables of a ``short`` column tile."""
    phases, slices, cols = tile.factor.shape
    skip = tile.first_col % 4
    tiles = -(-(cols + skip) // LANES)
    padded_phases = -(-phases // CHAINS) * CHAINS

    def tiled(values: NDArray[Any], fill: float) -> NDArray[Any]:
        """``[..., S, C]`` as ``[S * tiles, ..., 16]``."""
        wide = np.full((*values.shape[:-1], tiles * LANES), fill, values.dtype)
        wide[..., skip : skip + cols] = values
        wide = wide.reshape(*values.shape[:-1], tiles, LANES)
        front = (values.ndim - 2, values.ndim - 1)
        moved = np.moveaxis(wide, front, (0, 1))
        return np.ascontiguousarray(moved.reshape(slices * tiles, *values.shape[:-2], LANES))

    def phased(values: NDArray[Any], fill: float, kind: Any) -> NDArray[Any]:
        padded = np.full((padded_phases, slices, cols), fill, kind)
        padded[:phases] = values
        return tiled(padded, fill)

    rows = len(tile.means)

    def sums(plane: Floats) -> NDArray[np.int16]:
        groups = -(-rows // 4)
        cells = np.zeros((groups * 4, slices, cols), np.int64)
        cells[:rows] = plane.reshape(rows, slices, cols)
        grouped = tiled(cells, 0).reshape(slices * tiles, groups, 4, LANES)
        driven = (np.arange(16)[:, np.newaxis] >> np.arange(4)) & 1
        table: Ints = np.einsum("nj,tgjc->tgnc", driven, grouped)
        return table.reshape(slices * tiles, groups * 16, LANES).astype(np.int16)

    means = sums(tile.means)
    spreads = sums(tile.spreads) if tile.spreads.size else np.zeros_like(means)
    divide = bool((np.frexp(tile.step)[0] != 0.5).any())
    steps = tile.step if divide else 1 / tile.step  # exact
    return ShortTables(
        aligned(np.stack([means, spreads], axis=2)), tiled(tile.scale.astype(np.float32), 1.0),
        phased(tile.half, 0.0, np.float32), phased(steps, 1.0, np.float32),
        phased(tile.factor, 0, np.int32), divide,
    )  # fmt: skip
