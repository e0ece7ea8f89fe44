"""The inner loop of the fused reference: rows of bags, gathered and pooled, for several tables at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cimc.support.jit import jit

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

SUM, MEAN, MAX = 0, 1, 2
FIXED, OFFSETS, OFFSETS_END = 0, 1, 2
TABLE, ROWS, MODE, LAYOUT, STARTS, PADDED, PADDING, WEIGHTED = range(8)
"""Columns of ``bags``: first row of the table among all rows, its rows, how it pools, how ids are laid out,
which part of ``numbers`` holds its offsets, whether and which ids are left out, whether ids have weights."""


@jit
def pooled(rows: F32, bags: I64, counts: I64, numbers: I64, sizes: I64, weights: F32, out: F32) -> int:
    """Pool the bags of several tables of one width, each table's one after the other.

    Args:
        rows: ``[rows, dim]``, all tables.
        bags: ``[tables, 8]``, see the module.
        counts: ``[tables]``, bags of each.
        numbers: parts back to back: the ids of each table, then offsets; ``sizes`` of the parts.
        weights: of the ids of all tables that have them, back to back.
        out: ``[bags in all, dim]``, filled.

    Returns:
        -1, or the number of a table with an id, or an offset, that does not fit.
    """
    places = np.zeros(sizes.shape[0] + 1, np.int64)
    for part in range(sizes.shape[0]):
        places[part + 1] = places[part] + sizes[part]
    dim = rows.shape[1]
    at = weighed = 0
    for t in range(bags.shape[0]):
        table, limit, mode, layout = bags[t, TABLE], bags[t, ROWS], bags[t, MODE], bags[t, LAYOUT]
        padded, padding, weighted = bags[t, PADDED] != 0, bags[t, PADDING], bags[t, WEIGHTED] != 0
        first, count, size = places[t], counts[t], sizes[t]
        starts = places[bags[t, STARTS]]
        length = size // count if count else 0
        for b in range(count):
            if layout == FIXED:
                begin, end = b * length, (b + 1) * length
            else:
                begin = numbers[starts + b]
                last = layout == OFFSETS and b == count - 1
                end = size if last else numbers[starts + b + 1]
            if begin < 0 or end < begin or end > size:
                return t
            line = out[at]
            taken = 0
            for i in range(begin, end):
                row = numbers[first + i]
                if padded and row == padding:
                    continue
                if row < 0 or row >= limit:
                    return t
                source = rows[table + row]
                scale = weights[weighed + i] if weighted else np.float32(1)
                if taken == 0:
                    for d in range(dim):
                        line[d] = source[d] * scale
                elif mode == MAX:
                    for d in range(dim):
                        line[d] = max(line[d], source[d])
                else:
                    for d in range(dim):
                        line[d] += source[d] * scale
                taken += 1
            if taken == 0:
                line[:] = np.float32(0)
            if mode == MEAN and taken > 1:
                for d in range(dim):
                    line[d] /= np.float32(taken)
            at += 1
        if weighted:
            weighed += size
    return -1
