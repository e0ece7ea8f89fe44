"""From points in the unit square to sites: recursive bisection of the mesh and the blocks."""

from __future__ import annotations

import numpy as np

from cimc.mapping.packing import UNPLACED
from cimc.mapping.problem import FloatArray, IntArray
from cimc.mapping.quadratic.problem import QuadraticProblem
from cimc.mapping.quadratic.solve import packed


def legalise(problem: QuadraticProblem, points: FloatArray) -> IntArray:
    """int64[n]: a site for each block, near its point, within the capacities.

    The sites are halved across their longer side; the blocks, sorted by that coordinate, are divided in
    the proportion of the halves' capacities; and so on.  Blocks that find no room in their site go to
    the nearest one with room; where that fails too, any packing has to do.
    """
    sites = np.full(problem.n_blocks, UNPLACED, dtype=np.int64)
    room = problem.capacity.copy()
    stack = [(np.flatnonzero(problem.capacity > 0), np.arange(problem.n_blocks))]
    while stack:
        here, blocks = stack.pop()
        if blocks.size == 0:
            continue
        if here.size == 1:
            for block in blocks.tolist():
                if problem.size[block] <= room[here[0]]:
                    sites[block] = here[0]
                    room[here[0]] -= problem.size[block]
            continue
        spread = problem.position[here].max(axis=0) - problem.position[here].min(axis=0)
        axis = int(np.argmax(spread))
        ordered = here[np.lexsort((problem.position[here, 1 - axis], problem.position[here, axis]))]
        cut = _cut(problem.position[ordered, axis])
        left, right = ordered[:cut], ordered[cut:]
        queue = blocks[np.lexsort((blocks, points[blocks, 1 - axis], points[blocks, axis]))]
        has, more = int(problem.capacity[left].sum()), int(problem.capacity[right].sum())
        ends = np.cumsum(problem.size[queue])
        total = int(ends[-1])
        # In proportion, but no more than fits, and no less than the other half leaves over.
        share = min(max(total * has // (has + more), total - more), has)
        first = int(np.searchsorted(ends, share, side="right"))
        stack += [(left, queue[:first]), (right, queue[first:])]
    for block in np.flatnonzero(sites == UNPLACED)[
        np.argsort(-problem.size[sites == UNPLACED], kind="stable")
    ].tolist():
        fits = np.flatnonzero(room >= problem.size[block])
        if fits.size == 0:
            return packed(problem)
        low = problem.position.min(axis=0)
        wanted = points[block] * (problem.position.max(axis=0) - low + 1) - 0.5 + low
        site = fits[np.argmin(np.abs(problem.position[fits] - wanted).sum(axis=1))]
        sites[block] = site
        room[site] -= problem.size[block]
    return sites


def _cut(coordinate: IntArray) -> int:
    """Where to halve sorted coordinates: between two different ones, nearest to the middle."""
    middle = coordinate.size // 2
    steps = np.flatnonzero(np.diff(coordinate)) + 1
    return int(steps[np.argmin(np.abs(steps - middle))]) if steps.size else middle
