"""Embedding lookups: rows of a table, pooled per bag.

A read that cannot clip needs no matrix product: it is a gather and an integer sum.  Tables whose digits the
converter alters are first mapped to what is read (:func:`adc_levels`, one value per weight).  Bags come as
``ids int64[n]`` with ``starts int64[bags + 1]``: bag ``i`` is ``ids[starts[i] : starts[i + 1]]``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import ProgramError
from cimc.interpreter.bags import RowScales
from cimc.sim.kernels.lookups import row_sums
from cimc.target.cell_encoding import encode_weights, max_weight
from cimc.target.spec import Array

_GATHERED_ELEMENTS = 1 << 22  # table values gathered at a time
_INT32_MAX = (1 << 31) - 1

Table = NDArray[np.int8] | NDArray[np.int16]
Ids = NDArray[np.int64]


# --------------------------------------------------------------------------------------------------
# Rows as the converter shows them


def adc_levels(array: Array, weight_bits: int, lsb: int) -> NDArray[np.int16]:
    """What a table value reads as when one row is driven and converted with step ``lsb``.

    int16 ``[256]``, indexed by the value's two's complement byte (``value & 255``).  Each digit ``d`` becomes
    ``clip(floor((d + lsb // 2) / lsb)) * lsb`` before slices recombine.  Values that the cells cannot hold
    map to themselves: who reads rows refuses them.
    """
    values = np.arange(-128, 128, dtype=np.int16)
    levels = values.copy()
    low, high = weight_bounds(array, weight_bits)
    held = (values >= low) & (values <= high)
    code = encode_weights(values[held], array.encoding, array.cell_levels, weight_bits)
    seen = np.clip((code.digits.astype(np.int64) + lsb // 2) // lsb, *array.adc_codes) * lsb
    levels[held] = np.tensordot(code.digit_weights, seen, axes=1) - code.weight_offset
    return np.roll(levels, -128)  # from -128..127 to byte order 0..127, -128..-1


def weight_bounds(array: Array, weight_bits: int) -> tuple[int, int]:
    """Smallest and largest table value that the cells hold."""
    if array.encoding == "offset":
        return -(1 << (weight_bits - 1)), (1 << (weight_bits - 1)) - 1
    limit = max_weight(array.encoding, array.cell_levels, weight_bits)
    return -limit, limit


# --------------------------------------------------------------------------------------------------
# Pooling


def rows_of(table: Table, ids: NDArray[np.integer[Any]]) -> Table:
    """Rows ``ids [...]`` of ``table [R, D]``: ``[..., D]``.

    Raises ``IndexError`` for ids outside the table.
    """
    _check_ids(table, ids)
    rows: Table = table[ids]
    return rows


def pooled_sum(table: Table, ids: Ids, starts: Ids) -> NDArray[np.int32]:
    """Sum of the rows of each bag, int32 ``[bags, D]``; an empty bag gives zeros.

    Raises ``IndexError`` for ids outside the table and :class:`~cimc.errors.ProgramError`
    (``sim.accumulator-overflow``) for a bag so long that int32 might not hold its sum.
    """
    _check_bags(table, ids, starts)
    lengths = np.diff(starts)
    longest = int(lengths.max(initial=0))
    if longest * (-np.iinfo(table.dtype).min) > _INT32_MAX:
        raise ProgramError(
            "sim.accumulator-overflow",
            f"a bag of {longest} rows can exceed a 32-bit accumulator",
            hint="split the bag",
        )
    if row_sums.serves(table):
        return row_sums.pooled_sum(table, ids, starts)
    out = np.zeros((len(lengths), table.shape[1]), dtype=np.int32)
    for a, b in _chunks(starts, table.shape[1]):
        rows = np.take(table, ids[starts[a] : starts[b]], axis=0)
        if 0 < longest == int(lengths[a:b].min()):
            out[a:b] = rows.reshape(b - a, longest, -1).sum(axis=1, dtype=np.int32)
            continue
        full = np.flatnonzero(lengths[a:b])
        if len(full):
            begins = starts[a:b][full] - starts[a]
            out[a + full] = np.add.reduceat(rows, begins, axis=0, dtype=np.int32)
    return out


def pooled_max(table: Table, ids: Ids, starts: Ids) -> Table:
    """Element-wise maximum of the rows of each bag, ``[bags, D]`` in the table's dtype; an empty bag: zeros.

    Raises ``IndexError`` for ids outside the table.
    """
    _check_bags(table, ids, starts)
    lengths = np.diff(starts)
    out = np.zeros((len(lengths), table.shape[1]), dtype=table.dtype)
    for a, b in _chunks(starts, table.shape[1]):
        full = np.flatnonzero(lengths[a:b])
        if len(full):
            rows = np.take(table, ids[starts[a] : starts[b]], axis=0)
            out[a + full] = np.maximum.reduceat(rows, starts[a:b][full] - starts[a], axis=0)
    return out


def weighted_sum(
    table: Table, scale: float, ids: Ids, weights: NDArray[np.float32], starts: Ids
) -> NDArray[np.float32]:
    """``sum_j weights[j] * (float32(row_j) * scale)`` of each bag, float32 ``[bags, D]``.

    In the order of the bag, from 0.0, every operation rounded to float32 (no fused multiply-add): the result
    is defined to the bit.  Raises ``IndexError`` for ids outside the table.
    """
    if weights.dtype != np.float32 or weights.shape != ids.shape:
        raise ValueError("one float32 weight per id expected")
    if row_sums.serves(table):
        _check_bags(table, ids, starts)
        return row_sums.weighted_sum(table, scale, ids, weights, starts)

    def rows(at: Ids) -> NDArray[np.float32]:
        value = np.take(table, ids[at], axis=0).astype(np.float32)
        value *= np.float32(scale)
        value *= weights[at][:, np.newaxis]
        return value

    return _in_order(table, ids, starts, rows)


def scaled_sum(
    table: Table, scales: RowScales, ids: Ids, weights: NDArray[np.float32] | None, starts: Ids
) -> NDArray[np.float32]:
    """:func:`weighted_sum` of rows of which each has its own scale; without weights a plain sum.

    The same order, rounding and errors; every row is ``float32(row) * factor``, then ``+ addend`` if any.
    """
    if weights is not None and (weights.dtype != np.float32 or weights.shape != ids.shape):
        raise ValueError("one float32 weight per id expected")

    def rows(at: Ids) -> NDArray[np.float32]:
        value = scales.of(np.take(table, ids[at], axis=0), ids[at])
        return value if weights is None else value * weights[at][:, np.newaxis]

    return _in_order(table, ids, starts, rows)


def scaled_max(table: Table, scales: RowScales, ids: Ids, starts: Ids) -> NDArray[np.float32]:
    """:func:`pooled_max` of rows of which each has its own scale, float32 ``[bags, D]``."""
    _check_bags(table, ids, starts)
    lengths = np.diff(starts)
    out = np.zeros((len(lengths), table.shape[1]), np.float32)
    for a, b in _chunks(starts, table.shape[1]):
        full = np.flatnonzero(lengths[a:b])
        if len(full):
            part = ids[starts[a] : starts[b]]
            rows = scales.of(np.take(table, part, axis=0), part)
            out[a + full] = np.maximum.reduceat(rows, starts[a:b][full] - starts[a], axis=0)
    return out


def _in_order(
    table: Table, ids: Ids, starts: Ids, rows: Callable[[Ids], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Sums of the rows of each bag in the order of the bag; ``rows`` gives those at positions in ``ids``."""
    _check_bags(table, ids, starts)
    lengths = np.diff(starts)
    order = np.argsort(-lengths, kind="stable")  # long bags first: those with a j-th row are a prefix
    begins = starts[:-1][order]
    remaining = np.sort(lengths)
    out = np.zeros((len(lengths), table.shape[1]), dtype=np.float32)
    for j in range(int(lengths.max(initial=0))):
        alive = len(lengths) - int(np.searchsorted(remaining, j, side="right"))
        at = begins[:alive] + j
        out[:alive] += rows(at)
    result = np.empty_like(out)
    result[order] = out
    return result


def _chunks(starts: Ids, dim: int) -> list[tuple[int, int]]:
    """Consecutive ranges of bags that gather about ``_GATHERED_ELEMENTS`` values each (at least one bag)."""
    rows = max(1, _GATHERED_ELEMENTS // max(1, dim))
    chunks, a = [], 0
    while a < len(starts) - 1:
        b = max(a + 1, int(np.searchsorted(starts, starts[a] + rows, side="right")) - 1)
        chunks.append((a, b))
        a = b
    return chunks


def _check_ids(table: Table, ids: NDArray[np.integer[Any]]) -> None:
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= table.shape[0]):
        raise IndexError(f"ids must lie in 0..{table.shape[0] - 1}, got {ids.min()}..{ids.max()}")


def _check_bags(table: Table, ids: Ids, starts: Ids) -> None:
    _check_ids(table, ids)
    if starts.ndim != 1 or not len(starts) or starts[0] != 0 or starts[-1] != len(ids):
        raise ValueError("starts must run from 0 to the number of ids")
    if (starts[1:] < starts[:-1]).any():
        raise ValueError("starts must not decrease")


# --------------------------------------------------------------------------------------------------
# Which blocks a bag touches


@dataclass(frozen=True)
class ShardHits:
    """Bags against blocks of rows: one entry per pair that meets, ordered by bag, then by block.

    ``bag``, ``block``: int64; ``rows``: rows of the bag in the block, repeats counted; ``steps``: array
    operations that takes.  A step drives up to ``pool_rows`` different word lines once each, so it is the
    larger of ``ceil(rows / pool_rows)`` and the times that the most frequent row occurs.
    """

    bag: NDArray[np.int64]
    block: NDArray[np.int64]
    rows: NDArray[np.int64]
    steps: NDArray[np.int64]

    def blocks_per_bag(self, bags: int) -> NDArray[np.int64]:
        """Distinct blocks of each bag, int64 ``[bags]``."""
        return np.bincount(self.bag, minlength=bags)

    def steps_per_bag(self, bags: int) -> NDArray[np.int64]:
        """Array operations of each bag, int64 ``[bags]``."""
        return np.bincount(self.bag, weights=self.steps, minlength=bags).astype(np.int64)


def shard_hits(ids: Ids, starts: Ids, first_rows: NDArray[np.integer[Any]], pool_rows: int) -> ShardHits:
    """Count what pooling each bag costs when blocks begin at ``first_rows`` (ascending, from 0)."""
    if not len(first_rows) or first_rows[0] != 0 or (np.diff(first_rows) <= 0).any():
        raise ValueError("first_rows must ascend from 0")
    if pool_rows < 1:
        raise ValueError("pool_rows is at least 1")
    if not len(ids):
        none = np.zeros(0, dtype=np.int64)
        return ShardHits(none, none, none, none)
    bag = np.repeat(np.arange(len(starts) - 1, dtype=np.int64), np.diff(starts))
    width = int(ids.max()) + 1
    distinct, times = np.unique(bag * width + ids, return_counts=True)
    # ids ascend within a bag, so the entries of one (bag, block) pair are neighbours
    owner, block = distinct // width, np.searchsorted(first_rows, distinct % width, side="right") - 1
    pair = owner * len(first_rows) + block
    begins = np.flatnonzero(np.diff(pair, prepend=-1))
    rows = np.add.reduceat(times, begins).astype(np.int64)
    most = np.maximum.reduceat(times, begins).astype(np.int64)
    return ShardHits(owner[begins], block[begins], rows, np.maximum(-(-rows // pool_rows), most))
