"""Multilevel placement: pair blocks into clusters, place those, and refine while they are taken apart.

Before and beside it, layouts by hop distances (:mod:`cimc.mapping.mesh.hops`), which find the global
order of graphs that are nearly meshes; what is cheaper at the finest level goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.mapping.mesh.hops import from_sides, hop_layouts
from cimc.mapping.mesh.landmarks import Landmarks, landmarks, relocate
from cimc.mapping.mesh.legalise import legalise
from cimc.mapping.mesh.mesh_anneal import budget, check, cool, start_of
from cimc.mapping.mesh.mesh_bounds import quadratic_bound
from cimc.mapping.mesh.mesh_problem import QuadraticProblem, QuadraticProposal, cost_of, make_graph
from cimc.mapping.mesh.relax import relaxations
from cimc.mapping.mesh.state import Mesh
from cimc.support.random.draws import Draws
from cimc.support.random.splitmix import key_of

# Problems of this size annealing solves by itself, from any start.
_COARSEST = 64
# Every level is annealed this often, each time from a smoothed copy of its best placement.
_ROUNDS = 8
_HOPS = "layout by hop distances, annealing"
# Placements that the first rounds start from.
_STARTS = 3
# Layouts by hop distances made anew from their own sides.
_SIDES = 3
# The coarsest level, from this many different starts.
_CHAINS = 8
# Within this share of the lower bound there is nothing left to find.
_ENOUGH = 1e-9
# A level that shrinks by less is the last one: what is left has no pairs of flow.
_SHRINK = 0.9
# Temperatures in mean flow of a block: the coarsest level starts above the one at which order is lost,
# the others below it, so that they keep what the coarser level found.
_HOT, _WARM, _COLD = 0.4, (0.2, 0.12), 0.02


def multilevel(
    problem: QuadraticProblem, /, *, seed: int, sweeps: int = 100_000, effort: int = 80_000_000
) -> QuadraticProposal:
    """Coarsen by heavy-edge matching, anneal the coarsest level, then legalise and anneal level by level.

    The finest level starts from a layout by hop distances where that is cheaper.

    Args:
        problem: the problem.
        seed: of the proposals.
        sweeps: proposals per block of each level.
        effort: proposals on the finest level, if fewer; the coarser levels together take as many.
    """
    check(sweeps, effort)
    start, how = start_of(problem)
    if problem.n_blocks == 0 or problem.graph.flow.size == 0:
        return QuadraticProposal(start, f"{how} (there is no flow)")
    least, work = quadratic_bound(problem) * (1 + _ENOUGH), _Work()
    marks = landmarks(problem)
    guesses = hop_layouts(problem, marks)
    guess = Mesh(problem, guesses[0])
    if guess.cost() <= least:
        return QuadraticProposal(guess.sites, "layout by hop distances", {"proposals": 0})
    levels = coarsen(problem)
    last = levels[-1].problem
    best = Mesh(last, start_of(last)[0])
    by = f"multilevel, {len(levels)} levels"
    for depth in range(len(levels) - 1, -1, -1):
        level = levels[depth].problem
        limit = budget(level, sweeps, effort >> depth)
        enough, known = (least, marks) if depth == 0 else (0.0, None)
        random = Draws(key_of(seed, "multilevel", depth))
        if depth == len(levels) - 1:
            # From several starts: what order the heat ends in is a matter of luck.
            for chain in range(_CHAINS):
                if best.cost() <= enough:
                    break
                points = random.uniform((level.n_blocks, 2))
                starts = [start_of(level)[0] if chain == 1 else legalise(level, points)]
                laid_out = depth == 0 and chain % 2 == 0
                if laid_out:
                    starts = guesses
                mesh = _rounds(starts, level, limit, enough, random, work, known, hot=not laid_out)
                if mesh.cost() < best.cost():
                    best, by = mesh, _HOPS if laid_out else f"multilevel, {len(levels)} levels"
        else:
            starts = [legalise(level, points)]
            if depth == 0 and guess.cost() < cost_of(level, starts[0]):
                starts, by = guesses, _HOPS
            best = _rounds(starts, level, limit, enough, random, work, known, hot=False)
        if depth:
            points = project(levels[depth - 1], levels[depth], best.sites)
    counts: dict[str, int | float] = {
        "levels": len(levels),
        "proposals": work.proposals,
        "accepted": work.accepted,
    }
    if best.cost() >= Mesh(problem, start).cost():
        return QuadraticProposal(start, f"{how} (the multilevel method found nothing better)", counts)
    return QuadraticProposal(best.sites, by, counts)


@dataclass
class _Work:
    proposals: int = 0
    accepted: int = 0


def _rounds(
    starts: list[IntArray],
    problem: QuadraticProblem,
    limit: int,
    enough: float,
    random: Draws,
    work: _Work,
    marks: Landmarks | None,
    *,
    hot: bool,
) -> Mesh:
    """The best of some placements and of what annealing makes of them, then of copies of the best one.

    Args:
        starts: placements, the cheapest first, of which the first ``_STARTS`` are tried.
        problem: what is placed.
        limit: proposals, in all rounds.
        enough: cost at which to stop.
        random: source of the rounds' seeds.
        work: counts what was done.
        marks: hop distances of the problem's blocks to some of them, where copies are made by them too.
        hot: whether the first round may lose the order that ``start`` has.
    """
    best = Mesh(problem, starts[0])
    queue = starts[:_STARTS][::-1]  # the cheapest last
    for turn in range(_ROUNDS):
        if best.cost() <= enough:
            break
        first = hot and turn == 0
        queue = queue or _copies(best, marks)
        mesh = Mesh(problem, queue.pop())
        if mesh.cost() > enough:
            done, took = cool(
                mesh,
                hot=_HOT if first else _WARM[turn % 2],
                cold=_COLD,
                proposals=limit // _ROUNDS,
                seed=random.integer(1 << 62),
            )
            work.proposals, work.accepted = work.proposals + done, work.accepted + took
        if mesh.cost() < best.cost():
            best, queue = mesh, [] if turn >= len(starts[:_STARTS]) - 1 else queue
    return best


def _copies(mesh: Mesh, marks: Landmarks | None) -> list[IntArray]:
    """Legal placements near the relaxations of ``mesh``, by its sides and by landmarks, the cheapest last."""
    points = _places(mesh.problem, mesh.sites)
    found = [legalise(mesh.problem, p) for p in relaxations(mesh.problem, points)]
    sites = mesh.sites
    for _ in range(_SIDES):
        sites = legalise(mesh.problem, from_sides(mesh.problem, sites))
        found.append(sites)
    located = None if marks is None else relocate(mesh.problem, marks, mesh.sites)
    found += [] if located is None else [located]
    return sorted(found, key=lambda sites: -cost_of(mesh.problem, sites))


def _places(problem: QuadraticProblem, sites: IntArray) -> FloatArray:
    """float64[n, 2]: a placement as points in the unit square."""
    low = problem.position.min(axis=0)
    places: FloatArray = (problem.position[sites] - low + 0.5) / np.array(extent(problem), dtype=np.float64)
    return places


@dataclass(frozen=True, eq=False)
class Level:
    """A problem whose blocks are clusters of the finer level's blocks.

    Attributes:
        problem: clusters as blocks of size 1 on a mesh of about as many sites; the given problem at level 0.
        weight: int64[n], blocks of level 0 in each cluster.
        parent: int64[n], the cluster of the coarser level that each block belongs to; empty at the last.
    """

    problem: QuadraticProblem
    weight: IntArray
    parent: IntArray


def coarsen(problem: QuadraticProblem) -> list[Level]:
    """Levels from the problem itself to at most ``_COARSEST`` clusters."""
    from cimc.mapping.kernels.matching_loops import match

    levels = []
    weight = np.ones(problem.n_blocks, dtype=np.int64)
    while problem.n_blocks > _COARSEST:
        n = problem.n_blocks
        # Busy blocks first would leave the others without partners; those with few exchanges choose first.
        order = np.lexsort((np.arange(n), np.diff(problem.graph.start[: n + 1]), weight))
        most = max(3, 3 * int(weight.sum()) // n)
        partner = match(*problem.graph, weight, order, most)
        first = np.minimum(np.arange(n), partner)
        parent = np.unique(first, return_inverse=True)[1].reshape(-1)
        count = int(parent.max()) + 1
        if count > _SHRINK * n:
            break
        levels.append(Level(problem, weight, parent))
        weight = np.bincount(parent, weights=weight).astype(np.int64)
        problem = _coarse(levels[0].problem, problem, parent, count)
    return [*levels, Level(problem, weight, np.zeros(0, np.int64))]


def _coarse(
    finest: QuadraticProblem, fine: QuadraticProblem, parent: IntArray, count: int
) -> QuadraticProblem:
    """The clusters' problem, on a mesh of the finest one's shape."""
    nodes = np.concatenate((parent, count + np.arange(fine.terminals.shape[0])))
    ends = nodes[fine.pairs]
    apart = ends[:, 0] != ends[:, 1]
    graph = make_graph(nodes.size, ends[apart], fine.flow[apart])
    source = np.repeat(np.arange(nodes.size), np.diff(graph.start))
    once = source < graph.neighbour
    wide, high = extent(finest)
    columns = max(1, int(np.ceil(np.sqrt(count * wide / high))))
    rows = -(-count // columns)
    x, y = np.divmod(np.arange(columns * rows), rows)
    scale = np.array([columns / wide, rows / high])
    origin = finest.position.min(axis=0)
    terminals = np.floor((finest.terminals - origin + 0.5) * scale).astype(np.int64)
    return QuadraticProblem(
        pairs=np.stack((source[once], graph.neighbour[once]), axis=1),
        flow=graph.flow[once],
        size=np.ones(count, dtype=np.int64),
        capacity=np.ones(columns * rows, dtype=np.int64),
        position=np.stack((x, y), axis=1),
        terminals=terminals,
    )


def extent(problem: QuadraticProblem) -> tuple[int, int]:
    """Columns and rows of the mesh."""
    wide, high = problem.position.max(axis=0) - problem.position.min(axis=0) + 1
    return int(wide), int(high)


def project(fine: Level, coarse: Level, sites: IntArray) -> FloatArray:
    """float64[n, 2]: where the finer blocks should go, in the unit square, from their clusters' sites.

    Within a cluster a block leans to the blocks it exchanges data with.
    """
    points = _places(coarse.problem, sites)[fine.parent]
    n, graph = fine.problem.n_blocks, fine.problem.graph
    owner = np.repeat(np.arange(n), np.diff(graph.start[: n + 1]))
    neighbour, flow = graph.neighbour[: owner.size], graph.flow[: owner.size]
    other = neighbour < n
    pulled = points.copy()
    total = np.bincount(owner[other], weights=flow[other], minlength=n)
    for axis in (0, 1):
        weighted = flow[other] * points[neighbour[other], axis]
        mean = np.bincount(owner[other], weights=weighted, minlength=n) / np.where(total > 0, total, 1.0)
        pulled[:, axis] += np.where(total > 0, 0.5 * (mean - points[:, axis]), 0.0)
    return pulled
