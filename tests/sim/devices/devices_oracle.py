"""What noisy mode computes, as plain loops: Python integers up to the converters, single operations in them.

Nothing here is vectorised or shared with a kernel, except the tables of a device's levels, the planes of a
prepared column tile (their cells are compared by themselves) and the digits of weights and inputs.
"""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise
from typing import Any

import numpy as np

from cimc.sim.devices.column_tiles import ColumnTile
from cimc.sim.devices.model.aged_levels import FRACTION, Levels
from cimc.support.random import quantiles
from cimc.target.cell_encoding import PhasePlan, digit_weights, encode_weights, input_phases, weight_offset
from cimc.target.spec import Array

MASK = (1 << 64) - 1


def word(key: int, index: int) -> int:
    """Word ``index`` of the splitmix64 stream ``key``."""
    z = (key + (index + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def name_key(seed: int, name: str) -> int:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return word(word(0, seed), int.from_bytes(digest, "little"))


def device(levels: Levels, key: int, row: int, col: int, s: int, which: int, level: int) -> int:
    """Conductance of one device, 2**-16 levels above level 0."""
    h = word(word(key, row), col * 32 + s * 2 + which)
    if h >> 32 < levels.stuck_low:
        return 0
    if h >> 32 < levels.stuck_any:
        return (levels.count - 1) * 2**FRACTION
    written = int(levels.error[h & 0xFFFF]) * int(levels.sigma_p[level])
    relaxed = int(levels.normal[h >> 16 & 0xFFFF]) * int(levels.sigma_r[level])
    shift = int(levels.mean[level]) * 2**24
    return max(level * 2**FRACTION + ((written + relaxed + shift + 2**31) >> 32), levels.floor)


def cell(levels: Levels, array: Array, key: int, row: int, col: int, s: int, digit: int) -> tuple[int, int]:
    """Mean and variance of reads of a cell: one device, or the difference of two."""
    mean = variance = 0
    for which in range(2 if array.encoding == "differential" else 1):
        sign = -1 if which else 1
        m = device(levels, key, row, col, s, which, max(sign * digit, 0))
        at = (m - levels.floor) >> levels.read_shift
        mean += sign * (m + int(levels.read_mean[at]))
        variance += int(levels.read_variance[at])
    return mean, variance


def normal(key: int, index: int, col: int, cols: int) -> float:
    """Deviate of column ``col`` of ``cols`` in group ``index`` of a stream."""
    h = word(key, index * -(-cols // 4) + col // 4)
    return float(quantiles.deviates()[h >> (16 * (col % 4)) & 0xFFFF])


def code(
    real: Any, total: int, variance: int, scale: float, z: float, half: float, step: float, array: Array
) -> int:
    """One conversion in the float type ``real``; each operation rounds once."""
    y = real(total)
    if variance or scale:
        y = y + np.sqrt(real(variance) * real(scale)) * real(z)
    low, high = array.adc_codes
    return min(max(math.floor((y + real(half)) / real(step)), low), high)


def mvm(
    x: Any,
    tile: ColumnTile,
    plan: PhasePlan,
    array: Array,
    request: int,
    use: int,
    total_cols: int,
    noisy: bool,
) -> list[list[int]]:
    """Product of one column tile, from its planes: ``[B][C]``."""
    drive = input_phases(x, plan)
    phases, slices, cols = tile.factor.shape
    real = tile.means.dtype.type
    out = []
    for b in range(len(x)):
        key = word(word(tile.key, request + b), use)
        line = []
        for c in range(cols):
            acc = 0
            for p in range(phases):
                driven = [int(v) for v in drive[p, b, tile.rows]]
                for s in range(slices):
                    at = s * cols + c
                    total = sum(d * int(m) for d, m in zip(driven, tile.means[:, at], strict=True))
                    spread = 0
                    if noisy:
                        column = tile.spreads[:, at]
                        spread = sum(d * d * int(v) for d, v in zip(driven, column, strict=True))
                    z = normal(key, p * slices + s, tile.first_col + c, total_cols)
                    found = code(
                        real, total, spread, float(tile.scale[s, c]) if noisy else 0.0, z,
                        float(tile.half[p, s, c]), float(tile.step[p, s, c]), array,
                    )  # fmt: skip
                    acc += found * int(tile.factor[p, s, c])
            acc += int(tile.constant[c])
            acc += tile.input_factor * sum(int(v) for v in x[b, tile.rows])
            line.append(acc)
        out.append(line)
    return out


def table_step(
    levels: Levels, array: Array, bits: int, lsb: int, table: Any, rows: list[int], cells_key: int, key: int
) -> list[int]:
    """What the converters show of ``rows`` driven together, offsets removed: ``[D]``."""
    weights = digit_weights(array.encoding, array.cell_levels, bits)
    offset = weight_offset(array.encoding, bits)
    dim = table.shape[1]
    digits = {r: encode_weights(table[r], array.encoding, array.cell_levels, bits).digits for r in rows}
    out = []
    for c in range(dim):
        acc = -offset * len(rows)
        for s in range(len(weights)):
            found = [cell(levels, array, cells_key, r, c, s, int(digits[r][s, c])) for r in rows]
            total, spread = sum(m for m, _ in found), sum(v for _, v in found)
            scale = levels.variance_scale if levels.noisy else 0.0
            shown = code(
                np.float64, total, spread, scale, normal(key, s, c, dim), lsb * 2.0 ** (FRACTION - 1),
                lsb * 2.0**FRACTION, array,
            )  # fmt: skip
            acc += int(weights[s]) * lsb * shown
        out.append(acc)
    return out


def pool(
    levels: Levels, array: Array, bits: int, lsb: int, table: Any, ids: Any, starts: Any, block_rows: int,
    pool_rows: int, key: int, request: int, use: int,
) -> list[list[int]]:  # fmt: skip
    """Bags pooled in the arrays, blocks of ``block_rows`` rows; ``key``: of the table."""
    out = []
    for bag, (begin, end) in enumerate(pairwise(int(v) for v in starts)):
        total = [0] * table.shape[1]
        members = sorted(int(v) for v in ids[begin:end])
        for block in sorted({r // block_rows for r in members}):
            here = [r for r in members if r // block_rows == block]
            steps = max(-(-len(here) // pool_rows), *(here.count(r) for r in here))
            branch = word(word(word(word(word(key, 2), request + bag), use), 0), block)
            for t in range(steps):
                shown = table_step(
                    levels, array, bits, lsb, table, here[t::steps], word(word(key, 0), 0), word(branch, t)
                )
                total = [a + b for a, b in zip(total, shown, strict=True)]
        out.append(total)
    return out
