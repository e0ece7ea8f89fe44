"""Linear assignment by shortest augmenting paths."""

from __future__ import annotations

import numpy as np

from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.support.jit import jit


@jit
def assign(cost: FloatArray, row_dual: FloatArray, column_dual: FloatArray) -> IntArray:
    """The column of each row at the least total cost (Jonker and Volgenant 1987, augmenting paths only).

    Args:
        cost: float64[r, c] with r <= c, finite.
        row_dual: float64[r], written: dual values u.
        column_dual: float64[c], written: dual values v <= 0, with u_i + v_j <= cost[i, j] up to rounding.

    Returns:
        int64[r].  The sum of u and v is the least cost, and a bound on it for any u, v as above.
    """
    rows, columns = cost.shape
    row_of = np.full(columns, -1, dtype=np.int64)
    column_of = np.full(rows, -1, dtype=np.int64)
    row_dual[:] = 0.0
    column_dual[:] = 0.0
    for source in range(rows):
        shortest = np.full(columns, np.inf)
        before = np.full(columns, -1, dtype=np.int64)
        seen = np.zeros(columns, dtype=np.bool_)
        i, length, sink = source, 0.0, -1
        while sink < 0:
            nearest, at = np.inf, -1
            for j in range(columns):
                if not seen[j]:
                    through = length + cost[i, j] - row_dual[i] - column_dual[j]
                    if through < shortest[j]:
                        shortest[j] = through
                        before[j] = i
                    if shortest[j] < nearest:
                        nearest, at = shortest[j], j
            length = nearest
            seen[at] = True
            if row_of[at] < 0:
                sink = at
            else:
                i = row_of[at]
        row_dual[source] += length
        for j in range(columns):
            if seen[j] and j != sink:
                row_dual[row_of[j]] += length - shortest[j]
                column_dual[j] -= length - shortest[j]
        j = sink
        while True:
            i = before[j]
            row_of[j] = i
            column_of[i], j = j, column_of[i]
            if i == source:
                break
    return column_of
