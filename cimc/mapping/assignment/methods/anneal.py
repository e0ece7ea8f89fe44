"""Fewest hops within a balance limit by annealing, after greedy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimc.mapping.assignment.bounds import bottleneck_bound
from cimc.mapping.assignment.exchange import bin_loads
from cimc.mapping.assignment.hop_annealing import PenaltyPrices, anneal_hops, typical_prices
from cimc.mapping.assignment.methods.greedy import greedy
from cimc.mapping.assignment.problem import PlacementProblem, Proposal
from cimc.mapping.assignment.strategy_registry import require
from cimc.mapping.dtypes import IntArray


def anneal(
    problem: PlacementProblem,
    /,
    *,
    seed: int,
    eps: float = 0.05,
    sweeps: int = 30_000,
    effort: int = 200_000_000,
) -> Proposal:
    """Greedy first; then annealing towards fewer hops at a bottleneck within ``1 + eps`` of its bound.

    The limit on the bottleneck is ``(1 + eps) x`` its lower bound, or greedy's bottleneck where greedy
    does not get there either.

    Args:
        problem: the problem.
        seed: of the proposals.
        eps: slack on the balance.
        sweeps: proposals per item.
        effort: proposals in all, if fewer.

    Raises:
        InfeasibleError: no packing was found.
        PassError: ``mapping.bad-option``.
    """
    check(eps, sweeps, effort)
    incumbent = greedy(problem, seed=seed)
    counts: dict[str, int | float] = {f"greedy_{k}": v for k, v in incumbent.effort.items()}
    idle = nothing_to_gain(problem)
    if idle:
        return Proposal(incumbent.assignment, f"greedy ({idle})", counts)
    limit = balance_limit(problem, incumbent.assignment, eps)
    counts["balance_limit"] = limit
    found = search(problem, incumbent.assignment, limit, typical_prices(problem), sweeps, effort, seed)
    counts |= found.effort
    if not found.better:
        return Proposal(incumbent.assignment, "greedy (annealing found nothing better)", counts)
    return Proposal(found.assignment, "annealing", counts)


def check(eps: float, sweeps: int, effort: int) -> None:
    """Refuse option values that make no sense."""
    require(0 <= eps < np.inf, f"`eps` must be finite and not negative, it is {eps}")
    for name, value in (("sweeps", sweeps), ("effort", effort)):
        require(value >= 0, f"`{name}` must not be negative, it is {value}")


def nothing_to_gain(problem: PlacementProblem) -> str:
    """Why every assignment has the same hops, or nothing."""
    if problem.n_items == 0:
        return "there are no items"
    if not np.any(problem.traffic > 0):
        return "there is no traffic"
    usable = problem.distance[problem.capacity >= problem.size.min()]
    if np.all(usable == usable[0]):
        return "all bins are equally far"
    return ""


def balance_limit(problem: PlacementProblem, incumbent: IntArray, eps: float) -> float:
    """The bottleneck that is allowed: ``(1 + eps) x`` its bound, or the incumbent's where that is more."""
    return max((1 + eps) * bottleneck_bound(problem), float(bin_loads(problem, incumbent).max()))


@dataclass(frozen=True, eq=False)
class Found:
    """The assignment found, whether it beats the incumbent, and what it took."""

    assignment: IntArray
    better: bool
    effort: dict[str, int | float]


def search(
    problem: PlacementProblem,
    incumbent: IntArray,
    limit: float,
    prices: PenaltyPrices,
    sweeps: int,
    effort: int,
    seed: int,
) -> Found:
    """Anneal from ``incumbent``; with strict capacities where soft ones do not end within them."""
    proposals = accepted = 0
    found = incumbent
    for size_price in (prices.size, -prices.size):
        run = anneal_hops(
            problem,
            incumbent,
            limit=limit,
            prices=PenaltyPrices(prices.load, size_price),
            sweeps=sweeps,
            effort=effort,
            seed=seed,
        )
        proposals, accepted = proposals + run.proposals, accepted + run.accepted
        found = run.assignment
        if not run.overfull and float(bin_loads(problem, found).max()) <= limit:
            break
    counts: dict[str, int | float] = {"proposals": proposals, "accepted": accepted}
    return Found(found, _better(problem, found, incumbent, limit), counts)


def _better(problem: PlacementProblem, found: IntArray, incumbent: IntArray, limit: float) -> bool:
    """Within limit and capacities, and fewer hops by more than rounding."""
    used = np.zeros(problem.n_bins, dtype=np.int64)
    np.add.at(used, found, problem.size)
    hops = [float(np.sum(problem.traffic * problem.distance[a])) for a in (found, incumbent)]
    within = float(bin_loads(problem, found).max()) <= limit and bool(np.all(used <= problem.capacity))
    return within and hops[0] < hops[1] * (1 - 1e-9)
