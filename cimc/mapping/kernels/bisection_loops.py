"""Blocks dealt to the sites of a mesh along a bisection of it."""

from __future__ import annotations

import numpy as np

from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.support.jit import jit


@jit
def deal(
    axis: IntArray,
    left: IntArray,
    right: IntArray,
    room: IntArray,
    site: IntArray,
    size: IntArray,
    points: FloatArray,
) -> IntArray:
    """int64[n]: a site for each block near its point, -1 for blocks that find no room in theirs.

    Args:
        axis, left, right, room, site: the tree, see :class:`cimc.mapping.mesh.bisection.Bisection`.
        size: int64[n], capacity units of the blocks.
        points: float64[n, 2], where they should go.
    """
    n = size.size
    sites = np.full(n, -1, np.int64)
    queue = np.arange(n)
    first, last = np.zeros(axis.size, np.int64), np.zeros(axis.size, np.int64)
    last[0] = n
    for node in range(axis.size):  # parents come before their halves
        low, high = first[node], last[node]
        if low == high:
            if left[node] >= 0:
                first[left[node]] = last[left[node]] = low
                first[right[node]] = last[right[node]] = low
            continue
        if site[node] >= 0:
            free = room[node]
            for block in queue[low:high]:
                if size[block] <= free:
                    sites[block] = site[node]
                    free -= size[block]
            continue
        here = np.sort(queue[low:high])
        here = here[np.argsort(points[:, 1 - axis[node]][here], kind="mergesort")]
        here = here[np.argsort(points[:, axis[node]][here], kind="mergesort")]
        queue[low:high] = here
        total = size[here].sum()
        has, more = room[left[node]], room[right[node]]
        # In proportion, but no more than fits, and no less than the other half leaves over.
        share = min(max(total * has // (has + more), total - more), has)
        cut, taken = low, 0
        while cut < high and taken + size[queue[cut]] <= share:
            taken += size[queue[cut]]
            cut += 1
        first[left[node]], last[left[node]] = low, cut
        first[right[node]], last[right[node]] = cut, high
    return sites
