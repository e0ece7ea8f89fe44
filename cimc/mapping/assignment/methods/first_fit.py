"""First-fit decreasing: the densest packing first, loads ignored."""

from __future__ import annotations

from cimc.mapping.assignment.feasibility import not_packed
from cimc.mapping.assignment.packing import UNPLACED, pack
from cimc.mapping.assignment.problem import PlacementProblem, Proposal


def first_fit(problem: PlacementProblem, /, *, seed: int) -> Proposal:
    """Largest items first (equal ones in their given order), each to the first bin with room.

    Where that does not fit, a harder packing method is used and ``produced_by`` names it.

    Raises:
        InfeasibleError: no packing was found.
    """
    packing = pack(problem.size, problem.capacity)
    if not packing.complete:
        placed = int(problem.size[packing.assignment != UNPLACED].sum())
        raise not_packed(problem, placed, packing.proven)
    first = packing.method == "first-fit decreasing"
    produced_by = "first_fit" if first else f"{packing.method} (first-fit decreasing does not fit)"
    return Proposal(packing.assignment, produced_by)
