"""Fewest hops within a balance limit: the ring formulation, rounding and descent, after greedy."""

from __future__ import annotations

import numpy as np

from cimc.mapping.balance import balance_groups
from cimc.mapping.bounds import bottleneck_bound
from cimc.mapping.construct import construct
from cimc.mapping.descent import descend
from cimc.mapping.exchange import bin_loads
from cimc.mapping.packing import UNPLACED
from cimc.mapping.problem import IntArray, PlacementProblem, Prices, Proposal
from cimc.mapping.registry import register, require
from cimc.mapping.rings import Rings, make_classes, make_rings, round_to_rings
from cimc.mapping.strategies.greedy import greedy
from cimc.mapping.strategies.ring_lp import solve_rings

# Share of the slack between bound and limit that the program leaves to the rounding: without it the
# near bins all stand at the limit and mending them costs more hops than the slack does.
_ROUNDING_RESERVE = 0.1


@register("ortools")
def ortools(
    problem: PlacementProblem,
    /,
    *,
    seed: int,
    eps: float = 0.05,
    max_variables: int = 40_000,
    max_rings: int = 256,
    max_iterations: int = 200_000,
    rounds: int = 300,
    effort: int = 100_000_000,
) -> Proposal:
    """Greedy first; then whatever has fewer hops at a bottleneck within ``1 + eps`` of its bound.

    The limit on the bottleneck is ``(1 + eps) x`` its lower bound, or greedy's bottleneck where greedy
    does not get there either.  Candidates, best first: the ring program rounded, repaired and improved
    by swaps; the swaps alone, from greedy's assignment.  ``produced_by`` names the winner, and why the
    ring program is not it where it is not.

    Args:
        problem: the problem.
        seed: of the random pairs in the swap descent.
        eps: slack on the balance.
        max_variables: upper limit on classes x rings, which sets how coarse the classes are.
        max_rings: most rings; beyond it rings of neighbouring distances are merged.
        max_iterations: simplex iterations.
        rounds: most rounds of swaps.
        effort: most candidate exchanges, for each of greedy and the descents.

    Raises:
        InfeasibleError: no packing was found.
        PassError: ``mapping.bad-option``.
    """
    require(0 <= eps < np.inf, f"`eps` must be finite and not negative, it is {eps}")
    for name, value in (
        ("max_variables", max_variables),
        ("max_rings", max_rings),
        ("max_iterations", max_iterations),
    ):
        require(value >= 1, f"`{name}` must be positive, it is {value}")
    for name, value in (("rounds", rounds), ("effort", effort)):
        require(value >= 0, f"`{name}` must not be negative, it is {value}")

    incumbent = greedy(problem, seed=seed, effort=effort)
    counts: dict[str, int | float] = {f"greedy_{k}": v for k, v in incumbent.effort.items()}
    idle = _nothing_to_gain(problem)
    if idle:
        return Proposal(incumbent.assignment, f"greedy ({idle})", counts)
    bound = bottleneck_bound(problem)
    limit = max((1 + eps) * bound, _bottleneck(problem, incumbent.assignment))
    counts["balance_limit"] = limit

    rings = make_rings(problem, max_rings)
    classes = make_classes(problem, max(1, max_variables // rings.bins.size))
    plan = solve_rings(classes, rings, limit - _ROUNDING_RESERVE * (limit - bound), max_iterations)
    counts |= {
        "rings": rings.bins.size,
        "classes": classes.count.size,
        "class_tolerance": classes.tolerance,
        "simplex_iterations": plan.iterations,
    }
    prices, start = None, None
    why = f"the ring program ended: {plan.status}"
    if plan.optimal:
        prices = Prices(limit, plan.load_price[rings.of_bin], plan.size_price[rings.of_bin])
        start, left_over = _place_in_rings(
            problem, rings, round_to_rings(problem, classes, plan.share), limit, effort
        )
        counts["left_over"] = left_over
        why = f"rounding left {left_over} items over that fit nowhere"
    if start is not None:
        found = descend(problem, start, limit=limit, rounds=rounds, effort=effort, seed=seed)
        counts |= {"descent_moves_tried": found.moves_tried, "descent_rounds": found.rounds}
        if _better(problem, found.assignment, incumbent.assignment, limit):
            return Proposal(found.assignment, "ring program, swap descent", counts, prices)
        why = "the ring program led to no better assignment"
    found = descend(problem, incumbent.assignment, limit=limit, rounds=rounds, effort=effort, seed=seed)
    counts |= {"swap_moves_tried": found.moves_tried, "swap_rounds": found.rounds}
    if _better(problem, found.assignment, incumbent.assignment, limit):
        return Proposal(found.assignment, f"greedy, swap descent ({why})", counts, prices)
    return Proposal(incumbent.assignment, f"greedy ({why}, and no swap helps)", counts, prices)


def _nothing_to_gain(problem: PlacementProblem) -> str:
    if problem.n_items == 0:
        return "there are no items"
    if not np.any(problem.traffic > 0):
        return "there is no traffic"
    usable = problem.distance[problem.capacity >= problem.size.min()]
    if np.all(usable == usable[0]):
        return "all bins are equally far"
    return ""


def _place_in_rings(
    problem: PlacementProblem, rings: Rings, ring_of: IntArray, limit: float, effort: int
) -> tuple[IntArray | None, int]:
    """Items to bins of their ring, or to the nearest bin with room where the ring is full.

    Returns:
        int64[n], or None when an item fits nowhere, and the number of items that left their ring
        (that fit nowhere, if None).
    """
    assignment = np.full(problem.n_items, UNPLACED, dtype=np.int64)
    items_of = np.split(np.argsort(ring_of, kind="stable"), np.cumsum(np.bincount(ring_of))[:-1])
    for ring, items in enumerate(items_of):
        bins = np.flatnonzero(rings.of_bin == ring)
        inside = construct(
            problem.load[items], problem.size[items], problem.capacity[bins], exhaustive=False
        ).assignment
        assignment[items] = np.where(inside == UNPLACED, UNPLACED, bins[inside])
    over = np.flatnonzero(assignment == UNPLACED)
    placed = assignment != UNPLACED
    load = np.bincount(assignment[placed], weights=problem.load[placed], minlength=problem.n_bins)
    room = problem.capacity.copy()
    np.subtract.at(room, assignment[placed], problem.size[placed])
    nearest = np.lexsort((np.arange(problem.n_bins), problem.distance))
    for done, item in enumerate(over[np.lexsort((-problem.load[over], -problem.size[over]))].tolist()):
        fits = nearest[room[nearest] >= problem.size[item]]
        if fits.size == 0:
            return None, over.size - done
        light = fits[load[fits] + problem.load[item] <= limit]
        b = light[0] if light.size else fits[np.argmin(load[fits])]
        assignment[item] = b
        load[b] += problem.load[item]
        room[b] -= problem.size[item]
    levelled = balance_groups(problem, assignment, rings.of_bin, target=limit, effort=effort)
    return levelled.assignment, over.size


def _bottleneck(problem: PlacementProblem, assignment: IntArray) -> float:
    return float(bin_loads(problem, assignment).max())


def _better(problem: PlacementProblem, found: IntArray, incumbent: IntArray, limit: float) -> bool:
    """Within the limit, and fewer hops by more than rounding."""
    hops = [float(np.sum(problem.traffic * problem.distance[a])) for a in (found, incumbent)]
    return _bottleneck(problem, found) <= limit and hops[0] < hops[1] * (1 - 1e-9)
