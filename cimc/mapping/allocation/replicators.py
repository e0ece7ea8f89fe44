"""Rules that copy layers one by one or in rounds, as PIMCOMP's code has them (see :mod:`.pimcomp`)."""

from __future__ import annotations

import heapq
import math

import numpy as np

from cimc.mapping.allocation.layer_copies import LayerCopiesProblem
from cimc.mapping.assignment.strategy_registry import require
from cimc.mapping.dtypes import IntArray

_SLACK = 1.2
"""Share by which ``W0H0`` and ``uniform`` take a round of copies for larger than it is."""


def balance(problem: LayerCopiesProblem, windows: IntArray, margin: float) -> IntArray:
    """int64[n]: one more copy to the layer with the most windows a copy, while more than ``margin`` is free.

    It ends where the layer on top of the heap finds no room, or has a copy for every window.
    """
    require(0 <= margin < 1, f"`margin` must lie in 0..1, it is {margin}")
    size, copies = problem.copy_arrays.tolist(), [1] * problem.layers
    room = problem.arrays - sum(size)
    free = problem.arrays
    heap = [(-w, i) for i, w in enumerate(windows.tolist())]
    heapq.heapify(heap)
    while heap:
        _, i = heapq.heappop(heap)
        if copies[i] >= windows[i] or not (free > size[i] and free > margin * problem.arrays):
            break
        if size[i] > room:
            break
        copies[i], free, room = copies[i] + 1, free - size[i], room - size[i]
        each = math.ceil(int(windows[i]) / copies[i])
        heapq.heappush(heap, (-each, i))
    return np.array(copies, np.int64)


def rounds(windows: IntArray) -> IntArray:
    """int64[n]: windows of each layer over the second smallest number of windows, upwards."""
    distinct = np.unique(windows)
    unit = int(distinct[min(1, distinct.size - 1)]) if distinct.size else 1
    found: IntArray = -(-windows // unit)
    return found


def in_rounds(problem: LayerCopiesProblem, windows: IntArray, shares: IntArray) -> IntArray:
    """int64[n]: ``shares`` as often as they fit into the arrays over 1.2, no copy without a window."""
    if problem.layers == 0:
        return np.zeros(0, np.int64)
    one = int((shares * problem.copy_arrays).sum())
    count = max(1, int(problem.arrays / one / _SLACK))
    found = np.clip(count * shares, 1, windows)
    return found if problem.fits(found) else np.ones(problem.layers, np.int64)
