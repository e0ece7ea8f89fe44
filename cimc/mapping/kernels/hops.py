"""Sums of hop distances in a graph, by breadth-first search."""

from __future__ import annotations

import numpy as np

from cimc.mapping.jit import jit
from cimc.mapping.problem import IntArray


@jit
def hop_sums(start: IntArray, neighbour: IntArray, sources: IntArray, n: int) -> IntArray:
    """int64[n]: the sum over ``sources`` of the exchanges on the shortest path to each of nodes 0..n-1.

    Paths pass through these nodes alone.  What a source does not reach counts as one further than the
    farthest node that it does.

    Args:
        start, neighbour: the exchanges of each node, in compressed rows.
        sources: int64[k], of the nodes 0..n-1.
        n: nodes.
    """
    total = np.zeros(n, np.int64)
    apart = np.empty(n, np.int64)
    queue = np.empty(n, np.int64)
    for source in sources:
        apart[:] = -1
        apart[source] = 0
        queue[0] = source
        head, tail = 0, 1
        while head < tail:
            node = queue[head]
            head += 1
            for e in range(start[node], start[node + 1]):
                k = neighbour[e]
                if k < n and apart[k] < 0:
                    apart[k] = apart[node] + 1
                    queue[tail] = k
                    tail += 1
        beyond = apart[queue[tail - 1]] + 1
        for node in range(n):
            total[node] += apart[node] if apart[node] >= 0 else beyond
    return total
