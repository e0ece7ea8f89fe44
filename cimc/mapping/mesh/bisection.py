"""The sites of a mesh halved again and again, once for all placements that are made along it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cimc.mapping.dtypes import IntArray


class Bisection(NamedTuple):
    """A binary tree over the sites with room; node 0 is the root, and there is none without such sites.

    Attributes, one entry per node:
        axis: int64[k], the axis across which its sites are halved.
        left, right: int64[k], its halves, -1 for a single site.
        room: int64[k], capacity of its sites.
        site: int64[k], its site, -1 for several.
    """

    axis: IntArray
    left: IntArray
    right: IntArray
    room: IntArray
    site: IntArray


def bisect(position: IntArray, capacity: IntArray) -> Bisection:
    """Halve the sites int64[m, 2] across their longer side, and so on."""
    nodes: list[list[int]] = []
    stack = [(np.flatnonzero(capacity > 0), -1, 0)]
    while stack:
        here, parent, side = stack.pop()
        if here.size == 0:
            continue
        number = len(nodes)
        if parent >= 0:
            nodes[parent][side] = number
        room = int(capacity[here].sum())
        if here.size == 1:
            nodes.append([0, -1, -1, room, int(here[0])])
            continue
        spread = position[here].max(axis=0) - position[here].min(axis=0)
        axis = int(np.argmax(spread))
        nodes.append([axis, -1, -1, room, -1])
        ordered = here[np.lexsort((position[here, 1 - axis], position[here, axis]))]
        cut = _cut(position[ordered, axis])
        stack += [(ordered[:cut], number, 1), (ordered[cut:], number, 2)]
    return Bisection(*np.ascontiguousarray(np.array(nodes, np.int64).reshape(-1, 5).T))


def _cut(coordinate: IntArray) -> int:
    """Where to halve sorted coordinates: between two different ones, nearest to the middle."""
    middle = coordinate.size // 2
    steps = np.flatnonzero(np.diff(coordinate)) + 1
    return int(steps[np.argmin(np.abs(steps - middle))]) if steps.size else middle
