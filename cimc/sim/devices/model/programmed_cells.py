"""Cells as drawn: the conductance of every device of a matrix, and how its reads fluctuate.

A draw is keyed by seed, matrix, copy, row, column, slice and device of the pair; nothing else decides it.
These are the plain numpy routines; :mod:`cimc.sim.devices.kernels.compiled` does the same for rows of tables.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.sim.devices.model.aged_levels import FRACTION, Ints, Levels
from cimc.support.random import quantiles, splitmix

CELLS, DENSE_READS, TABLE_READS = range(3)
"""Branches of a matrix's key: what its cells hold; noise of its products; noise of its lookups."""


def draw_devices(levels: Levels, key: int, rows: Ints, cols: Ints, device: int, level: NDArray[Any]) -> Ints:
    """Conductances ``m`` of one device per cell, int64 ``[S, R, C]``.

    ``level [S, R, C]``: what each device is programmed to; ``rows [R]`` and ``cols [C]``: logical places;
    ``device``: 0, or 1 for the negative device of a pair; ``key``: of the copy.
    """
    slices = level.shape[0]
    row_keys = splitmix.words(key, rows)[:, np.newaxis]
    out = np.empty(level.shape, np.int64)
    for s in range(slices):
        word = splitmix.words(row_keys, cell_index(s, device, cols)[np.newaxis])
        out[s] = settle(levels, word, level[s].astype(np.int64))
    return out


def cell_index(s: int, device: int, cols: Ints) -> Ints:
    """Word of a row's stream that decides device ``device`` of slice ``s`` in columns ``cols``."""
    return np.asarray(cols << 5 | s << 1 | device, np.int64)


def settle(levels: Levels, word: splitmix.Words, level: Ints) -> Ints:
    """Conductances of devices programmed to ``level``, by one random word each.

    Bits 0-15 choose the programming error, 16-31 the relaxation, 32-63 whether the cell is stuck.
    """
    e_p = levels.error[quantiles.lane(word, 0)] * levels.sigma_p[level]
    e_r = levels.normal[quantiles.lane(word, 1)] * levels.sigma_r[level]
    shift = levels.mean[level] << quantiles.FRACTION
    m: Ints = (level << FRACTION) + ((e_p + e_r + shift + (1 << 31)) >> 32)
    np.maximum(m, levels.floor, out=m)
    luck = (word >> np.uint64(32)).astype(np.int64)
    m[luck < levels.stuck_any] = (levels.count - 1) << FRACTION
    m[luck < levels.stuck_low] = 0
    return m


def read_moments(levels: Levels, m: Ints) -> tuple[Ints, Ints]:
    """Mean (units of ``m``) and variance of reads of devices that hold ``m``."""
    at = (m - levels.floor) >> levels.read_shift
    return m + levels.read_mean[at], levels.read_variance[at]
