"""Say why items do not fit, in terms of one resource, its demand, its bound and what would help."""

from __future__ import annotations

import numpy as np

from cimc.errors import InfeasibleError, Shortage
from cimc.mapping.assignment.problem import PlacementProblem

_ROOM = (
    "use a target with more or larger tiles",
    "lower the replication budget",
    "quantise to fewer bits per weight",
    "keep cold tables in DRAM",
)
_PIECES = ("cut items into smaller shards", "use a target with larger bins")


def require_room(problem: PlacementProblem) -> None:
    """Refuse problems that cannot be packed, by three counts that prove it.

    Raises:
        InfeasibleError: when the items together, the largest item, or the items of at least some
            size exceed what the bins can hold.
    """
    if problem.n_items == 0:
        return
    unit, resource = problem.item_unit, problem.resource
    largest = int(np.argmax(problem.size))
    widest = int(problem.capacity.max())
    if problem.size[largest] > widest:
        shortage = Shortage(f"{resource} in one bin", int(problem.size[largest]), widest, unit, _PIECES)
        raise InfeasibleError(shortage, subject=problem.label(largest))
    demand, bound = int(problem.size.sum()), int(problem.capacity.sum())
    if demand > bound:
        raise InfeasibleError(Shortage(resource, demand, bound, unit, _ROOM))
    sizes = np.unique(problem.size)
    # Beyond this many distinct sizes the counts are taken at evenly spaced ones: still proofs.
    probed = sizes if sizes.size <= 256 else sizes[np.linspace(0, sizes.size - 1, 256).astype(np.int64)]
    ordered = np.sort(problem.size)
    for size in probed.tolist():
        items = problem.n_items - int(np.searchsorted(ordered, size))
        places = int(np.sum(np.minimum(problem.capacity // size, items)))
        if items > places:
            shortage = Shortage(resource, items, places, f"places of {size} or more {unit}", _PIECES + _ROOM)
            raise InfeasibleError(shortage)


def not_packed(problem: PlacementProblem, placed: int, proven: bool) -> InfeasibleError:
    """The error for items that fit by volume but not by shape.

    Args:
        problem: the problem.
        placed: capacity units that the best packing found could place.
        proven: whether the search was exhaustive.
    """
    demand = int(problem.size.sum())
    how = "no packing exists" if proven else "no packing was found; the search was not exhaustive"
    shortage = Shortage(
        f"{problem.resource} without cutting items ({how})",
        demand,
        placed,
        problem.item_unit,
        _PIECES + _ROOM,
    )
    return InfeasibleError(shortage)
