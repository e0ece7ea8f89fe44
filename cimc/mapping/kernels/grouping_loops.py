"""Grow groups of rows along the pairs read together."""

from __future__ import annotations

import heapq

import numpy as np

from cimc.mapping.dtypes import IntArray
from cimc.support.jit import jit


@jit
def grow(start: IntArray, neighbour: IntArray, weight: IntArray, size: int) -> IntArray:
    """Order of the nodes in groups of ``size``; see ``cimc.mapping.grouping.co_occurrence``.

    Args:
        start: int64[n + 1], first edge of each node; nodes are sorted by preference.
        neighbour: int64[e], other end of each edge.
        weight: int64[e], > 0.
        size: nodes of a group.

    Returns:
        int64[n], the nodes in the order they were taken.
    """
    n = start.size - 1
    order = np.empty(n, dtype=np.int64)
    taken = np.zeros(n, dtype=np.bool_)
    pull = np.zeros(n, dtype=np.int64)  # sum of the weights to the group that is growing
    group = np.full(n, -1, dtype=np.int64)  # the group that `pull` refers to
    heap = [(np.int64(0), np.int64(0))]
    heap.clear()
    first = 0  # no node before it is free
    for k in range(n):
        number = k // size
        if k % size == 0:
            heap.clear()
        node = np.int64(-1)
        while len(heap) > 0:
            entry = heapq.heappop(heap)
            if not taken[entry[1]] and pull[entry[1]] == -entry[0]:
                node = entry[1]
                break
        if node < 0:
            while taken[first]:
                first += 1
            node = np.int64(first)
        order[k] = node
        taken[node] = True
        for e in range(start[node], start[node + 1]):
            other = neighbour[e]
            if not taken[other]:
                if group[other] != number:
                    group[other] = number
                    pull[other] = 0
                pull[other] += weight[e]
                heapq.heappush(heap, (-pull[other], other))
    return order
