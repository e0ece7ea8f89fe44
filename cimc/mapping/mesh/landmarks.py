"""Places by the hop distances to landmarks in four directions, which missing links hardly disturb.

On a mesh most pairs of nodes that are well apart in both coordinates keep a shortest path without detour
even where many links are missing: one whole staircase between them is enough.  Their distance is then
|x - x'| + |y - y'| exactly, and a node at a known place gives an equation for another one.  The median over
some hundred such equations is exact, although not all of those places are right yet: a few turns of this take
a rough layout to an exact one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cimc.mapping.assignment.packing import UNPLACED
from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.mapping.mesh.mesh_problem import QuadraticProblem, cost_of

# Nodes that others are located by: this many, fewer on large problems.
_MOST = 1024
_TABLE = 1 << 22
# Places settle in some ten turns; a layout is made of every third.
_TURNS, _EVERY = 12, 3
# Straight ahead, detours are frequent: landmarks there are passed over.
_SLOPE = 0.3


class Landmarks(NamedTuple):
    """Nodes int64[k], and int32[k, n] hops from each to every block, -1 where there is no path."""

    node: IntArray
    hops: npt.NDArray[np.int32]


def landmarks(problem: QuadraticProblem) -> Landmarks:
    """Evenly chosen blocks and their hop distances."""
    from cimc.mapping.kernels.hop_loops import hop_table

    n = problem.n_blocks
    node = np.linspace(0, n - 1, max(1, min(n, _MOST, _TABLE // n))).astype(np.int64)
    return Landmarks(node, hop_table(problem.graph.start, problem.graph.neighbour, node, n))


def relocate(problem: QuadraticProblem, marks: Landmarks, sites: IntArray) -> IntArray | None:
    """The cheapest legal placement int64[n] on the way from ``sites`` to places that fit the distances.

    None where no placement was made within the capacities.
    """
    from cimc.mapping.kernels.hop_loops import locate

    x, y = np.ascontiguousarray(problem.position[sites].T.astype(np.float64))
    best: IntArray | None = None
    least = np.inf
    for turn in range(1, _TURNS + 1):
        before = x, y
        x, y = locate(marks.hops, marks.node, x, y, _SLOPE)
        still = np.array_equal(x, before[0]) and np.array_equal(y, before[1])
        if still or turn % _EVERY == 0:
            for found in _settled(problem, x, y):
                cost = cost_of(problem, found)
                if cost < least:
                    best, least = found, cost
        if still:
            break
    return best


def _settled(problem: QuadraticProblem, x: FloatArray, y: FloatArray) -> list[IntArray]:
    """Placements near the points, moved as a whole to where the mesh covers most of them, and one hop off."""
    from cimc.mapping.kernels.hop_loops import settle

    low = problem.position.min(axis=0)
    site_x, site_y = np.ascontiguousarray((problem.position - low).T)
    wide, high = int(site_x.max()) + 1, int(site_y.max()) + 1
    site_at = np.full((wide, high), -1, np.int64)
    site_at[site_x, site_y] = np.arange(problem.n_sites)
    at_x, at_y = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    # Places with a fraction are disputed; blocks with many exchanges come first among equals.
    disputed = np.abs(x - at_x) + np.abs(y - at_y)
    degree = np.diff(problem.graph.start[: problem.n_blocks + 1])
    order = np.lexsort((np.arange(x.size), -degree, disputed))
    found = []
    for off_x in _offsets(at_x, wide):
        for off_y in _offsets(at_y, high):
            clear = settle(
                np.clip(at_x - off_x, 0, wide - 1),
                np.clip(at_y - off_y, 0, high - 1),
                order,
                problem.size,
                site_at,
                problem.capacity.copy(),
            )
            if not np.any(clear == UNPLACED):
                found.append(clear)
    return found


def _offsets(at: IntArray, extent: int) -> list[int]:
    """Where a window of ``extent`` places covers most of ``at``, and one place to either side."""
    first = int(at.min())
    count = np.bincount(at - first, minlength=extent)
    total = np.concatenate(([0], np.cumsum(count)))
    inside = total[extent:] - total[:-extent]
    most = np.flatnonzero(inside == inside.max())
    middle = first + int(most[most.size // 2])
    return [middle, middle - 1, middle + 1]
