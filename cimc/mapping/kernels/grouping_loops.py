"""Grow groups of rows along the bags that hold them together."""

from __future__ import annotations

import heapq

import numpy as np

from cimc.mapping.dtypes import IntArray
from cimc.support.jit import jit


@jit
def grow(
    bag_start: IntArray,
    bag_row: IntArray,
    weight: IntArray,
    row_start: IntArray,
    row_bag: IntArray,
    size: int,
) -> IntArray:
    """Order of the rows in groups of ``size``; see ``cimc.mapping.grouping.co_occurrence``.

    Args:
        bag_start: int64[bags + 1], first entry of each bag in ``bag_row``.
        bag_row: int64[k], rows of the bags; rows are numbered by preference.
        weight: int64[bags], > 0.
        row_start: int64[n + 1], first entry of each row in ``row_bag``.
        row_bag: int64[k], bags of the rows.
        size: rows of a group.

    Returns:
        int64[n], the rows in the order they were taken.
    """
    n = row_start.size - 1
    order = np.empty(n, dtype=np.int64)
    taken = np.zeros(n, dtype=np.bool_)
    pull = np.zeros(n, dtype=np.int64)  # how often a row is in a bag with one of the group that is growing
    group = np.full(n, -1, dtype=np.int64)  # the group that `pull` refers to
    turn = np.full(n, -1, dtype=np.int64)  # when `pull` last grew
    grown = np.empty(n, dtype=np.int64)
    heap = [(np.int64(0), np.int64(0))]
    heap.clear()
    first = 0  # no row before it is free
    for k in range(n):
        number = k // size
        if k % size == 0:
            heap.clear()
        row = np.int64(-1)
        while len(heap) > 0:
            entry = heapq.heappop(heap)
            if not taken[entry[1]] and pull[entry[1]] == -entry[0]:
                row = entry[1]
                break
        if row < 0:
            while taken[first]:
                first += 1
            row = np.int64(first)
        order[k] = row
        taken[row] = True
        count = 0
        for e in range(row_start[row], row_start[row + 1]):
            bag = row_bag[e]
            for i in range(bag_start[bag], bag_start[bag + 1]):
                other = bag_row[i]
                if taken[other]:
                    continue
                if turn[other] != k:
                    turn[other] = k
                    grown[count] = other
                    count += 1
                if group[other] != number:
                    group[other] = number
                    pull[other] = 0
                pull[other] += weight[bag]
        if k % size == size - 1:
            continue  # the next group starts anew
        for i in range(count):
            heapq.heappush(heap, (-pull[grown[i]], grown[i]))
    return order
