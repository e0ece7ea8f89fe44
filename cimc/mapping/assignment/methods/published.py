"""Placement policies after published systems, and stand-ins for some of which little is known.

Each docstring says what is the source's and what is ours; docs/mapping.md has the references.
"""

from __future__ import annotations

import numpy as np

from cimc.mapping.assignment.construct import heaviest_first, to_lightest
from cimc.mapping.assignment.feasibility import not_packed
from cimc.mapping.assignment.packing import UNPLACED, pack
from cimc.mapping.assignment.problem import PlacementProblem, Proposal
from cimc.mapping.assignment.relabel import nearest_first
from cimc.mapping.assignment.strategy_registry import require
from cimc.mapping.dtypes import FloatArray, IntArray


def pimcomp_sequential(problem: PlacementProblem, /, *, seed: int) -> Proposal:
    """PIMCOMP (Sun et al., 2023): nodes in network order fill one core after another.

    The paper's: array groups are mapped in the order of the layers, each core is filled before the next.
    Its genetic search over mappings is not here; ours: a tile without room for an item is passed over
    and tried again for later, smaller items.

    Raises:
        InfeasibleError: no packing was found.
    """
    free, assignment = problem.capacity.copy(), np.full(problem.n_items, UNPLACED, dtype=np.int64)
    current = 0
    for item, width in enumerate(problem.size.tolist()):
        place = current
        if free[place] < width:
            fits = np.flatnonzero(free >= width)
            if fits.size == 0:
                return _packed(problem, "sequential filling")
            place = int(fits[0])
        assignment[item] = place
        free[place] -= width
        while current + 1 < problem.n_bins and free[current] == 0:
            current += 1
    return Proposal(assignment, "pimcomp_sequential")


def lpt_by_cost(problem: PlacementProblem, /, *, seed: int, transfer_weight: float = 1.0) -> Proposal:
    """Costliest item first, to the tile with the least cost and room: a stand-in for planners of devices.

    TorchRec's planner (Ivchenko et al., 2022) prices shards by a performance model and gives each to the
    device with the least cost.  This is no more than that idea: TorchRec sorts by storage, its devices are
    no tiles, and its point is the search over shardings (``place{chips=torchrec}``).  Here compute is the
    load, and communication is the item's traffic, scaled so that both have the same mean.

    Args:
        problem: the problem.
        seed: not used.
        transfer_weight: weight of communication against compute.

    Raises:
        InfeasibleError: no packing was found.
        PassError: ``mapping.bad-option``.
    """
    require(
        0 <= transfer_weight < np.inf, f"`transfer_weight` must be finite and >= 0, it is {transfer_weight}"
    )
    traffic, load = float(problem.traffic.sum()), float(problem.load.sum())
    scale = load / traffic if traffic > 0 else 0.0
    cost = problem.load + transfer_weight * scale * problem.traffic
    return _list_schedule(problem, cost, heaviest_first(cost, problem.size), "lpt_by_cost")


def frequency_deal(problem: PlacementProblem, /, *, seed: int) -> Proposal:
    """Items by load, dealt to the tiles back and forth; a stand-in for REREC (Wang et al., ICCAD 2021).

    Of REREC the abstract alone is known here: access frequency, not number, decides the mapping, so that
    engines have equal work.  The rule is ours: items in falling order go to the first tile, the second, to
    the last, then from the last to the first, so that every tile has its share of each degree of heat; tiles
    without room are passed over.

    Raises:
        InfeasibleError: no packing was found.
    """
    order = heaviest_first(problem.load, problem.size)
    free, assignment = problem.capacity.tolist(), np.full(problem.n_items, UNPLACED, dtype=np.int64)
    m = problem.n_bins
    turn = 0
    for item in order.tolist():
        width = int(problem.size[item])
        for _ in range(2 * m):
            lap, step = divmod(turn, m)
            place = step if lap % 2 == 0 else m - 1 - step
            turn += 1
            if free[place] >= width:
                break
        else:
            return _packed(problem, "dealing by frequency")
        assignment[item] = place
        free[place] -= width
    return Proposal(assignment, "frequency_deal")


def hottest_to_idlest(problem: PlacementProblem, /, *, seed: int) -> Proposal:
    """Hottest item first, to the idlest tile with room; then the busiest tiles are nearest.

    The placement of ``log_copies``, the stand-in for ReCross (Lai et al., 2025), whose abstract says that
    groups of co-occurring embeddings are written to crossbars, hot ones several times, so that no crossbar is
    contended.  How copies are placed it does not say.

    Raises:
        InfeasibleError: no packing was found.
    """
    order = heaviest_first(problem.load, problem.size)
    proposal = _list_schedule(problem, problem.load, order, "hottest_to_idlest")
    return Proposal(nearest_first(problem, proposal.assignment), proposal.produced_by)


def _list_schedule(problem: PlacementProblem, cost: FloatArray, order: IntArray, name: str) -> Proposal:
    assignment = to_lightest(cost, problem.size, problem.capacity, order)
    if np.any(assignment == UNPLACED):
        return _packed(problem, name)
    return Proposal(assignment, name)


def _packed(problem: PlacementProblem, how: str) -> Proposal:
    packing = pack(problem.size, problem.capacity)
    if not packing.complete:
        placed = int(problem.size[packing.assignment != UNPLACED].sum())
        raise not_packed(problem, placed, packing.proven)
    return Proposal(packing.assignment, f"{packing.method} ({how} leaves items over)")
