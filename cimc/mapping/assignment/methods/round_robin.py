"""Items in their given order to the bins in turn: the baseline that ignores loads."""

from __future__ import annotations

import numpy as np

from cimc.mapping.assignment.feasibility import not_packed
from cimc.mapping.assignment.packing import UNPLACED, pack
from cimc.mapping.assignment.problem import PlacementProblem, Proposal


def round_robin(problem: PlacementProblem, /, *, seed: int) -> Proposal:
    """Item i goes to the next bin after item i - 1's that has room.

    Where the turn order leaves an item without room, the items are packed by size instead and
    ``produced_by`` says so.

    Raises:
        InfeasibleError: no packing was found.
    """
    free = problem.capacity.tolist()
    m, turn = problem.n_bins, 0
    assignment = np.full(problem.n_items, UNPLACED, dtype=np.int64)
    skipped = 0
    for item, width in enumerate(problem.size.tolist()):
        for step in range(m):
            b = (turn + step) % m
            if free[b] >= width:
                break
        else:
            packing = pack(problem.size, problem.capacity)
            if not packing.complete:
                placed = int(problem.size[packing.assignment != UNPLACED].sum())
                raise not_packed(problem, placed, packing.proven)
            why = f"{packing.method} (round-robin found no room for {problem.label(item)})"
            return Proposal(packing.assignment, why, {"bins_skipped": skipped})
        assignment[item] = b
        free[b] -= width
        skipped += step
        turn = (b + 1) % m
    return Proposal(assignment, "round_robin", {"bins_skipped": skipped})
