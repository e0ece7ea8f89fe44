"""List scheduling under capacities: build an assignment item by item, each to a light bin."""

from __future__ import annotations

import heapq

import numpy as np

from cimc.mapping.assignment.packing import UNPLACED, Packing, pack
from cimc.mapping.dtypes import FloatArray, IntArray

# After this many light bins without room the whole array is looked at once instead.
_HEAP_MISSES = 24


def heaviest_first(load: FloatArray, size: IntArray) -> IntArray:
    """Items by descending load, then descending size, then index."""
    return np.lexsort((-size, -load))


def largest_first(load: FloatArray, size: IntArray) -> IntArray:
    """Items by descending size, then descending load, then index."""
    return np.lexsort((-load, -size))


def to_lightest(load: FloatArray, size: IntArray, capacity: IntArray, order: IntArray) -> IntArray:
    """Each item, in ``order``, to the lightest bin that has room for it.

    With ``heaviest_first`` this is LPT (Graham 1969) under capacities.  Ties go to the bin that holds
    the fewest units, then to the lowest index.

    Returns:
        int64[n]; -1 for items that found no bin with room (the others are still placed).
    """
    assignment = np.full(load.size, UNPLACED, dtype=np.int64)
    free = capacity.copy()
    carried = np.zeros(capacity.size, dtype=np.float64)
    heap = [(0.0, 0, b) for b in range(capacity.size)]
    least_left = np.minimum.accumulate(size[order][::-1])[::-1].tolist()
    loads, sizes, room = load[order].tolist(), size[order].tolist(), capacity.tolist()
    whole = capacity.tolist()
    for k, item in enumerate(order.tolist()):
        width = sizes[k]
        aside: list[tuple[float, int, int]] = []
        place = UNPLACED
        while heap and len(aside) < _HEAP_MISSES:
            entry = heap[0]
            b = entry[2]
            if entry[1] != whole[b] - room[b]:  # left behind by a direct placement below
                heapq.heappop(heap)
            elif room[b] >= width:
                place = heapq.heappop(heap)[2]
                break
            else:
                heapq.heappop(heap)
                if room[b] >= least_left[k]:
                    aside.append(entry)
        if place == UNPLACED and heap:
            fits = free >= width
            if fits.any():
                place = int(np.argmin(np.where(fits, carried, np.inf)))
        for entry in aside:
            heapq.heappush(heap, entry)
        if place == UNPLACED:
            continue
        assignment[item] = place
        room[place] -= width
        free[place] = room[place]
        carried[place] += loads[k]
        heapq.heappush(heap, (float(carried[place]), whole[place] - room[place], place))
    return assignment


def to_lightest_place(load: FloatArray, size: IntArray, packing: IntArray) -> IntArray:
    """LPT over the places of a packing: a bin takes as many items of each size as the packing has there.

    Keeps a hard-won packing by size, and balances the loads within what it leaves open.
    """
    assignment = packing.copy()
    placed = np.flatnonzero(packing != UNPLACED)
    if placed.size == 0:
        return assignment
    carried = [0.0] * (int(packing.max()) + 1)
    places: dict[int, dict[int, int]] = {}
    for width, b in zip(size[placed].tolist(), packing[placed].tolist(), strict=True):
        of_width = places.setdefault(width, {})
        of_width[b] = of_width.get(b, 0) + 1
    heaps = {width: [(0.0, b) for b in sorted(bins)] for width, bins in places.items()}
    order = placed[heaviest_first(load[placed], size[placed])]
    for item in order.tolist():
        width = int(size[item])
        heap, left = heaps[width], places[width]
        while True:
            known, b = heap[0]
            if left[b] == 0:
                heapq.heappop(heap)
            elif known != carried[b]:
                heapq.heapreplace(heap, (carried[b], b))
            else:
                break
        assignment[item] = b
        left[b] -= 1
        carried[b] += float(load[item])
    return assignment


def construct(load: FloatArray, size: IntArray, capacity: IntArray, *, exhaustive: bool = True) -> Packing:
    """A balanced assignment; where load order does not fit, ever more weight goes to the packing.

    Args:
        load: float64[n].
        size: int64[n].
        capacity: int64[m].
        exhaustive: whether to go beyond first-fit and best-fit when those do not fit either.

    Returns:
        The first complete one of: heaviest first, largest first, LPT over the places of the best
        packing by size; else that packing, incomplete.
    """
    for name, order in (("LPT", heaviest_first), ("LPT, largest first", largest_first)):
        packing = Packing(to_lightest(load, size, capacity, order(load, size)), name)
        if packing.complete:
            return packing
    by_size = pack(size, capacity, exhaustive=exhaustive)
    return Packing(
        to_lightest_place(load, size, by_size.assignment), f"LPT over {by_size.method}", by_size.proven
    )
