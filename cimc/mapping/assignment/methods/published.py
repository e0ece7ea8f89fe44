"""Placement policies of published systems, written from their papers' descriptions.

Each docstring says what is the paper's and what is ours; docs/mapping.md has the references.
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


def torchrec_greedy(problem: PlacementProblem, /, *, seed: int, transfer_weight: float = 1.0) -> Proposal:
    """TorchRec's planner (Ivchenko et al., 2022): costliest shard first, to the device with the least cost.

    TorchRec's: a performance model gives each shard a cost that adds up compute and communication; shards
    are sorted by it and each goes to the least loaded device with enough memory.  Ours: compute is the
    load; communication is the shard's traffic, scaled so that both have the same mean; and the device is
    a tile.  The planner's proposals of other shardings are not here.

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
    return _list_schedule(problem, cost, heaviest_first(cost, problem.size), "torchrec_greedy")


def rerec(problem: PlacementProblem, /, *, seed: int) -> Proposal:
    """REREC (Wang et al., ICCAD 2021), access-aware mapping: hot vectors spread over the engines.

    The paper's: the access frequency of embedding vectors, not their number, decides the mapping, so that
    inner-product engines have equal work.  Ours: items in the order of their access frequency are dealt
    to the tiles back and forth (first to last, then last to first), which gives every tile its share of
    each degree of heat; tiles without room are passed over.

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
    return Proposal(assignment, "rerec")


def recross(problem: PlacementProblem, /, *, seed: int) -> Proposal:
    """ReCross (Lai et al., 2025), placement part: replicated groups, the hottest first, to the idlest tile.

    The paper's: groups of co-occurring embeddings are written to crossbars, hot ones several times, so
    that no crossbar is contended; the bundle of this name has those parts.  Ours: the copies are placed
    by LPT, and tiles trade their contents so that the busiest are nearest.

    Raises:
        InfeasibleError: no packing was found.
    """
    order = heaviest_first(problem.load, problem.size)
    proposal = _list_schedule(problem, problem.load, order, "recross")
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
