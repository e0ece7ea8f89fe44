"""Lower bounds on the cost of a quadratic placement, valid for every placement."""

from __future__ import annotations

import numpy as np

from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.mapping.mesh.mesh_problem import QuadraticProblem

# Up to this many blocks x sites the bound of Gilmore and Lawler is computed; beyond it two weaker ones.
_DENSE = 160_000
# Sums of float64 in different orders differ in the last digits; that much of a bound is given back.
_SAFETY = 1e-10


def quadratic_bound(problem: QuadraticProblem) -> float:
    """Lower bound on the sum of flow x distance.

    The larger of two, or of three on small problems:
    - pairs: the largest flows at the smallest distances between places (rearrangement inequality);
    - stars: every block's own flows at the smallest distances around any one site, halved;
    - Gilmore and Lawler (1962, 1963): those stars for each site, and the cheapest assignment of blocks
      to sites by that price.
    Flows to terminals have their price at each site, and enter stars and assignment.
    """
    n = problem.n_blocks
    if n == 0 or problem.flow.size == 0:
        return 0.0
    places = problem.capacity // int(problem.size.min())
    if int(places.sum()) < n:
        return 0.0
    graph = problem.graph
    linear, inside = _to_terminals(problem)
    profiles = _profiles(problem, places)
    levels = np.arange(profiles.shape[1], dtype=np.float64)
    ends = np.cumsum(profiles, axis=1)

    # A block at site s has the other blocks in the places around it, of which one place is its own.
    best = ends.max(axis=0)
    owner = np.repeat(np.arange(n), np.diff(graph.start[: n + 1]))
    blocks = inside[: owner.size]
    rank_flow, rank_of = _ranked_flows(owner[blocks], graph.flow[: owner.size][blocks], n)
    distance = levels[np.searchsorted(best, rank_of, side="right")]
    stars = np.bincount(
        owner[blocks][_order(owner[blocks], graph.flow[: owner.size][blocks])],
        weights=rank_flow * distance,
        minlength=n,
    )
    least_linear = linear.min(axis=1) if linear.size else np.zeros(n)
    by_stars = float(np.sum(stars / 2 + least_linear))

    pair_flow = np.sort(graph.flow[: owner.size][blocks])[::-1][::2]  # each pair stands there twice
    pair_ends = np.cumsum(profiles.T @ places) / 2
    at = np.searchsorted(pair_ends, np.arange(pair_flow.size), side="right")
    by_pairs = float(np.sum(pair_flow * levels[np.minimum(at, levels.size - 1)])) + float(least_linear.sum())
    bound = max(by_stars, by_pairs)
    if n * problem.n_sites <= _DENSE:
        bound = max(bound, _gilmore_lawler(problem, ends, levels, linear, places))
    return bound * (1 - _SAFETY)


def _to_terminals(problem: QuadraticProblem) -> tuple[FloatArray, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """float64[n, m]: price of each site by flows to terminals ([n, 0] without any); which flows are not."""
    n = problem.n_blocks
    inside = problem.graph.neighbour < n
    fixed = (problem.pairs >= n).any(axis=1)
    if not fixed.any():
        return np.zeros((n, 0)), inside
    linear = np.zeros((n, problem.n_sites))
    block = problem.pairs[fixed].min(axis=1)
    point = problem.terminals[problem.pairs[fixed].max(axis=1) - n]
    for b, p, f in zip(block.tolist(), point, problem.flow[fixed].tolist(), strict=True):
        linear[b] += f * np.abs(problem.position - p).sum(axis=1)
    return linear, inside


def _profiles(problem: QuadraticProblem, places: IntArray) -> IntArray:
    """int64[m, d]: places at each distance of each site, one place of its own left out."""
    x, y = problem.position.T
    farthest = int(x.max() - x.min() + y.max() - y.min())
    profiles = np.zeros((places.size, farthest + 1), dtype=np.int64)
    for s in np.flatnonzero(places).tolist():
        apart = np.abs(x - x[s]) + np.abs(y - y[s])
        profiles[s] = np.rint(np.bincount(apart, weights=places, minlength=farthest + 1))
        profiles[s, 0] -= 1
    return profiles


def _order(owner: IntArray, flow: FloatArray) -> IntArray:
    return np.lexsort((-flow, owner))


def _ranked_flows(owner: IntArray, flow: FloatArray, n: int) -> tuple[FloatArray, IntArray]:
    """Each owner's flows, largest first, and their rank among them."""
    order = _order(owner, flow)
    count = np.bincount(owner, minlength=n)
    rank = np.arange(owner.size) - np.repeat(np.cumsum(count) - count, count)
    return flow[order], rank


def _gilmore_lawler(
    problem: QuadraticProblem, ends: IntArray, levels: FloatArray, linear: FloatArray, places: IntArray
) -> float:
    from cimc.mapping.kernels.matching_loops import assign

    n, graph = problem.n_blocks, problem.graph
    price = np.zeros((n, problem.n_sites))
    sites = np.flatnonzero(places)
    for b in range(n):
        around = slice(graph.start[b], graph.start[b + 1])
        flow = np.sort(graph.flow[around][graph.neighbour[around] < n])[::-1]
        for s in sites.tolist() if flow.size else []:
            at = np.searchsorted(ends[s], np.arange(flow.size), side="right")
            price[b, s] = float(np.sum(flow * levels[np.minimum(at, levels.size - 1)])) / 2
    if linear.size:
        price += linear
    columns = np.repeat(np.arange(problem.n_sites), np.minimum(places, n))
    u, v = np.zeros(n), np.zeros(columns.size)
    cost = np.ascontiguousarray(price[:, columns])
    assign(cost, u, v)
    # Dual values bound the assignment whatever the solver did: lower each u to what its row allows.
    v = np.minimum(v, 0.0)
    return float(np.sum(np.min(cost - v, axis=1)) + np.sum(v))
