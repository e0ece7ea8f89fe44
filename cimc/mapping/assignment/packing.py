"""Packing by size alone: find any assignment that respects the capacities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimc.mapping.dtypes import IntArray

UNPLACED = -1
# Search nodes times bins; keeps the exhaustive search within a second or so.
_SEARCH_EFFORT = 4_000_000
_FILL_UNITS = 1 << 16


@dataclass(frozen=True, eq=False)
class Packing:
    """An assignment by size; ``proven`` marks an incomplete one that no search can complete."""

    assignment: IntArray
    method: str
    proven: bool = False

    @property
    def complete(self) -> bool:
        """Whether every item is placed."""
        return bool(np.all(self.assignment != UNPLACED))


def pack(size: IntArray, capacity: IntArray, *, exhaustive: bool = True) -> Packing:
    """The first complete packing of four methods, from cheap to exhaustive; else the fullest one.

    First-fit and best-fit decreasing, then filling each bin as full as possible (minimum bin slack,
    Gupta and Ho 1999), then a depth-first search with a node limit.  Without ``exhaustive`` only the
    first two.
    """
    methods = [("first-fit decreasing", first_fit_decreasing), ("best-fit decreasing", best_fit_decreasing)]
    if exhaustive:
        methods.append(("minimum bin slack", fill_each_bin))
    tried = []
    for method, function in methods:
        packing = Packing(function(size, capacity), method)
        if packing.complete:
            return packing
        tried.append(packing)
    found, exhausted = search(size, capacity) if exhaustive else (None, False)
    if found is not None:
        return Packing(found, "depth-first search")
    fullest = max(tried, key=lambda p: int(size[p.assignment != UNPLACED].sum()))
    return Packing(fullest.assignment, fullest.method, proven=exhausted)


def first_fit_decreasing(size: IntArray, capacity: IntArray) -> IntArray:
    """Largest items first, each into the first bin with room; -1 where there is none."""
    return _fill_runs(size, capacity, tightest=False)


def best_fit_decreasing(size: IntArray, capacity: IntArray) -> IntArray:
    """Largest items first, each into the fullest bin with room; -1 where there is none."""
    return _fill_runs(size, capacity, tightest=True)


def _fill_runs(size: IntArray, capacity: IntArray, tightest: bool) -> IntArray:
    """Items of one size go in together: a bin chosen for one of them is chosen until it is full."""
    free = capacity.copy()
    assignment = np.full(size.size, UNPLACED, dtype=np.int64)
    for items in runs_by_size(size):
        width = int(size[items[0]])
        order = np.argsort(free, kind="stable") if tightest else np.arange(free.size)
        places = np.cumsum(np.minimum(free[order] // width, items.size))
        placed = items[: min(items.size, int(places[-1]))]
        bins = order[np.searchsorted(places, np.arange(placed.size), side="right")]
        assignment[placed] = bins
        free -= width * np.bincount(bins, minlength=free.size)
    return assignment


def runs_by_size(size: IntArray) -> list[IntArray]:
    """Indices of the items of each size, largest size first, ascending within a size."""
    if size.size == 0:
        return []
    order = np.argsort(-size, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(size[order])) + 1)


def fill_each_bin(size: IntArray, capacity: IntArray) -> IntArray:
    """Fill bin after bin, smallest first, as full as the remaining items allow.

    Each bin takes the largest item that fits, then the subset of the others with the largest sum
    (a subset-sum table held in one integer's bits).  Bins too wide for a table are left to the others.
    """
    assignment = np.full(size.size, UNPLACED, dtype=np.int64)
    unit = int(np.gcd.reduce(size)) if size.size else 1
    groups = [(int(size[run[0]]) // unit, run.tolist()[::-1]) for run in runs_by_size(size)]
    if size.size == 0 or int(capacity.max()) // unit > _FILL_UNITS:
        return assignment
    for b in np.argsort(capacity, kind="stable").tolist():
        room = int(capacity[b]) // unit
        first = next((g for g in groups if g[1] and g[0] <= room), None)
        if first is None:
            continue
        assignment[first[1].pop()] = b
        for (_, members), count in zip(groups, _fullest(groups, room - first[0]), strict=True):
            for _ in range(count):
                assignment[members.pop()] = b
    return assignment


def _fullest(groups: list[tuple[int, list[int]]], room: int) -> list[int]:
    """How many items of each group to take for the largest sum <= room, large items preferred."""
    mask = (1 << (room + 1)) - 1
    # reach[g] has bit s set when the groups after the first g, smallest group first, can sum to s.
    smallest_first = groups[::-1]
    reach = [1]
    for width, members in smallest_first:
        bits, left, step = reach[-1], min(len(members), room // width), 1
        while left > 0:
            take = min(step, left)
            bits |= (bits << (take * width)) & mask
            left, step = left - take, step * 2
        reach.append(bits)
    target = reach[-1].bit_length() - 1
    counts = []
    for index in range(len(smallest_first) - 1, -1, -1):
        width, members = smallest_first[index]
        count = min(len(members), target // width)
        while not (reach[index] >> (target - count * width)) & 1:
            count -= 1
        counts.append(count)
        target -= count * width
    return counts


def search(size: IntArray, capacity: IntArray) -> tuple[IntArray | None, bool]:
    """Depth-first search, largest item first, tightest bin first, up to a node limit.

    Returns:
        A complete assignment or None, and whether the search was exhaustive.
    """
    order = np.argsort(-size, kind="stable")
    sizes = [int(size[i]) for i in order]
    free = capacity.tolist()
    slack = sum(free) - sum(sizes)
    smallest = sizes[-1] if sizes else 0
    limit = max(1, _SEARCH_EFFORT // max(1, len(free)))
    chosen: list[int] = []
    branches: list[list[int]] = []
    for _ in range(limit):
        if len(chosen) == len(sizes):
            assignment = np.empty(size.size, dtype=np.int64)
            assignment[order] = np.array(chosen, dtype=np.int64)
            return assignment, True
        # Space too small for the smallest item is lost; more than the slack and nothing below fits.
        dead = sum(f for f in free if f < smallest) > slack
        branches.append([] if dead else _candidates(free, sizes[len(chosen)]))
        while branches and not branches[-1]:
            branches.pop()
            if chosen and branches:
                b = chosen.pop()
                free[b] += sizes[len(chosen)]
        if not branches:
            return None, True
        b = branches[-1].pop()
        free[b] -= sizes[len(chosen)]
        chosen.append(b)
    return None, False


def _candidates(free: list[int], width: int) -> list[int]:
    """One bin of each distinct room, tightest last; only the exact fit if there is one.

    Restricting to an exact fit loses nothing: whatever another solution puts there could go where
    that solution puts this item.
    """
    by_room: dict[int, int] = {}
    for b, room in enumerate(free):
        if room == width:
            return [b]
        if room > width:
            by_room.setdefault(room, b)
    return [by_room[room] for room in sorted(by_room, reverse=True)]
