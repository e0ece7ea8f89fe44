"""Quadratic placement without search: in order, and greedily."""

from __future__ import annotations

import numpy as np

from cimc.mapping.assignment.packing import UNPLACED
from cimc.mapping.dtypes import IntArray
from cimc.mapping.mesh.mesh_problem import QuadraticProblem, QuadraticProposal
from cimc.mapping.mesh.mesh_solve import packed


def row_major(problem: QuadraticProblem, /, *, seed: int) -> QuadraticProposal:
    """Blocks in their order, row after row of sites; by size alone where that does not fit."""
    order = np.lexsort((problem.position[:, 0], problem.position[:, 1]))
    free = problem.capacity[order].tolist()
    sites = np.full(problem.n_blocks, UNPLACED, dtype=np.int64)
    at = 0
    for block, width in enumerate(problem.size.tolist()):
        while at < len(free) and free[at] < width:
            at += 1
        if at == len(free):
            return QuadraticProposal(packed(problem), "packing by size (row-major leaves blocks over)")
        sites[block] = order[at]
        free[at] -= width
    return QuadraticProposal(sites, "row_major")


def greedy(problem: QuadraticProblem, /, *, seed: int) -> QuadraticProposal:
    """Next the block with the most flow to placed ones, where that costs least; else a packing by size."""
    sites = build_greedily(problem)
    if np.any(sites == UNPLACED):
        return QuadraticProposal(packed(problem), "packing by size (greedy leaves blocks over)")
    return QuadraticProposal(sites, "greedy")


def build_greedily(problem: QuadraticProblem) -> IntArray:
    """int64[n]; -1 for blocks that found no room."""
    from cimc.mapping.kernels.mesh_loops import build

    x, y = np.ascontiguousarray(problem.position.T)
    far_x, far_y = np.ascontiguousarray(problem.terminals.T)
    return build(*problem.graph, problem.size, far_x, far_y, x, y, problem.capacity.copy())
