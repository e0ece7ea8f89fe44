"""Large moves by linear assignment: blocks without exchanges among them trade places all at once."""

from __future__ import annotations

import numpy as np

from cimc.mapping.assignment.strategy_registry import require
from cimc.mapping.dtypes import IntArray
from cimc.mapping.mesh.mesh_anneal import start_of
from cimc.mapping.mesh.mesh_problem import QuadraticProblem, QuadraticProposal, cost_of
from cimc.support.random.draws import Draws
from cimc.support.random.splitmix import key_of

_WIDEST = 256


def assignment(
    problem: QuadraticProblem, /, *, seed: int, rounds: int = 400, patience: int = 40
) -> QuadraticProposal:
    """Greedy; then again and again the best exchange of places of an independent set of blocks.

    Blocks of one size that exchange nothing with each other do not feel each other's moves, so the best
    way to deal their sites among them (and empty ones) is a linear assignment, solved exactly.  No move
    ever raises the cost.

    Args:
        problem: the problem.
        seed: of the order in which sets are formed.
        rounds: sets to try.
        patience: stop after this many sets in a row that brought nothing.
    """
    for name, value in (("rounds", rounds), ("patience", patience)):
        require(value >= 0, f"`{name}` must not be negative, it is {value}")
    sites, how = start_of(problem)
    sites = sites.copy()
    if problem.n_blocks == 0 or problem.graph.flow.size == 0:
        return QuadraticProposal(sites, f"{how} (there is no flow)")
    random = Draws(key_of(seed, "assignment moves"))
    before = cost_of(problem, sites)
    tried = stalled = 0
    while tried < rounds and stalled < patience:
        tried += 1
        stalled = 0 if _deal(problem, sites, random) else stalled + 1
    if cost_of(problem, sites) >= before:
        return QuadraticProposal(sites, f"{how} (no assignment move helps)", {"sets": tried})
    return QuadraticProposal(sites, f"{how}, assignment moves", {"sets": tried})


def _deal(problem: QuadraticProblem, sites: IntArray, random: Draws) -> bool:
    """Deal the sites of one independent set anew; whether that lowered the cost."""
    from cimc.mapping.kernels.matching_loops import assign

    n, graph = problem.n_blocks, problem.graph
    first = random.integer(n)
    width = problem.size[first]
    blocked = np.zeros(graph.start.size - 1, dtype=np.bool_)
    chosen: list[int] = []
    for block in [first, *random.permutation(n).tolist()]:
        if not blocked[block] and problem.size[block] == width:
            chosen.append(block)
            blocked[block] = True
            blocked[graph.neighbour[graph.start[block] : graph.start[block + 1]]] = True
            if len(chosen) == _WIDEST:
                break
    blocks = np.array(chosen)
    room = problem.capacity.copy()
    np.subtract.at(room, sites, problem.size)
    empty = np.flatnonzero(room >= width)
    empty = empty[np.sort(random.permutation(empty.size)[:_WIDEST])]
    places = np.concatenate((sites[blocks], empty))
    points = np.concatenate((problem.position[sites], problem.terminals))
    cost = np.zeros((blocks.size, places.size))
    for row, block in enumerate(blocks.tolist()):
        around = slice(graph.start[block], graph.start[block + 1])
        apart = np.abs(problem.position[places][:, None, :] - points[graph.neighbour[around]]).sum(axis=2)
        cost[row] = (apart * graph.flow[around]).sum(axis=1)
    now = float(np.trace(cost))
    column = assign(cost, np.zeros(blocks.size), np.zeros(places.size))
    if float(cost[np.arange(blocks.size), column].sum()) >= now * (1 - 1e-12):
        return False
    sites[blocks] = places[column]
    return True
