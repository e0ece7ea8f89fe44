"""From points in the unit square to sites: recursive bisection of the mesh and the blocks."""

from __future__ import annotations

import numpy as np

from cimc.mapping.assignment.packing import UNPLACED
from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.mapping.mesh.mesh_problem import QuadraticProblem
from cimc.mapping.mesh.mesh_solve import packed


def legalise(problem: QuadraticProblem, points: FloatArray) -> IntArray:
    """int64[n]: a site for each block, near its point, within the capacities.

    The sites are halved across their longer side; the blocks, sorted by that coordinate, are divided in
    the proportion of the halves' capacities; and so on.  Blocks that find no room in their site go to
    the nearest one with room; where that fails too, any packing has to do.
    """
    from cimc.mapping.kernels.bisection_loops import deal

    if problem.n_blocks == 0:
        return np.zeros(0, dtype=np.int64)
    sites = deal(*problem.bisection, problem.size, np.ascontiguousarray(points))
    room = problem.capacity.copy()
    placed = sites != UNPLACED
    np.subtract.at(room, sites[placed], problem.size[placed])
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
