"""A placement strategy."""

from __future__ import annotations

import numpy as np

from cimc.errors import InfeasibleError, Shortage
from cimc.mapping import PlacementProblem, Proposal


def nearest(problem: PlacementProblem, /, *, seed: int, skip: int = 0) -> Proposal:
    """Items in the order of their traffic, each to the nearest bin with room.

    Args:
        problem: items and bins.
        seed: not used: nothing is random here.
        skip: the nearest bins to leave empty as long as there is room elsewhere.
    """
    order = np.argsort(problem.distance, kind="stable")
    bins = np.concatenate([order[skip:], order[:skip]])
    room = problem.capacity.copy()
    assignment = np.empty(problem.n_items, np.int64)
    for item in np.argsort(-problem.traffic, kind="stable"):
        fitting = bins[room[bins] >= problem.size[item]]
        if not len(fitting):
            raise InfeasibleError(
                Shortage(
                    problem.resource, int(problem.size.sum()), int(problem.capacity.sum()), problem.item_unit
                )
            )
        assignment[item] = fitting[0]
        room[fitting[0]] -= problem.size[item]
    return Proposal(assignment)
