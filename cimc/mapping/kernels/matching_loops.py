"""Linear assignment by shortest augmenting paths, and heavy-edge matching."""

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


@jit
def match(
    start: IntArray, neighbour: IntArray, weight: FloatArray, size: IntArray, order: IntArray, most: int
) -> IntArray:
    """Heavy-edge matching: each node, in ``order``, with the free neighbour of the most flow per size.

    Args:
        start, neighbour, weight: the graph in compressed rows.
        size: int64[n].
        order: int64[n].
        most: largest size of a pair.

    Returns:
        int64[n], the partner of each node, itself where it has none.
    """
    n = size.size
    partner = np.full(n, -1, dtype=np.int64)
    for i in order:
        if partner[i] >= 0:
            continue
        best, value = i, 0.0
        for e in range(start[i], start[i + 1]):
            k = neighbour[e]
            if k < n and k != i and partner[k] < 0 and size[i] + size[k] <= most:
                worth = weight[e] / (size[i] * size[k])
                if worth > value or (worth == value and best != i and k < best):
                    best, value = k, worth
        partner[i], partner[best] = best, i
    return partner
