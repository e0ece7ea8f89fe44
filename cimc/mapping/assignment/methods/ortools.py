"""Fewest hops within a balance limit: the ring program prices load and room, annealing places."""

from __future__ import annotations

import numpy as np

from cimc.mapping.assignment.hop_annealing import PenaltyPrices, typical_prices
from cimc.mapping.assignment.methods.anneal import balance_limit, check, nothing_to_gain, search
from cimc.mapping.assignment.methods.greedy import greedy
from cimc.mapping.assignment.methods.ring_lp import solve_rings
from cimc.mapping.assignment.problem import PlacementProblem, Prices, Proposal
from cimc.mapping.assignment.rings import make_classes, make_rings
from cimc.mapping.assignment.strategy_registry import require

# Penalties must exceed what a unit more would save, which is the program's price.
_ABOVE_PRICE = 2.0
_LEAST = 0.05


def ortools(
    problem: PlacementProblem,
    /,
    *,
    seed: int,
    eps: float = 0.05,
    max_variables: int = 40_000,
    max_rings: int = 1024,
    max_iterations: int = 200_000,
    sweeps: int = 30_000,
    effort: int = 200_000_000,
) -> Proposal:
    """Greedy first; then annealing at the prices of the ring program, which also certify the result.

    The limit on the bottleneck is ``(1 + eps) x`` its lower bound, or greedy's bottleneck where greedy
    does not get there either.  The linear program over rings of bins and classes of items says what a
    unit of load is worth near the consumer: that prices the penalties of the annealing and gives the
    bound on the hops that the solution's certificate states.  ``produced_by`` says where the program
    did not end and typical prices stood in.

    Args:
        problem: the problem.
        seed: of the proposals.
        eps: slack on the balance.
        max_variables: upper limit on classes x rings, which sets how coarse the classes are.
        max_rings: most rings; beyond it rings of neighbouring distances are merged.
        max_iterations: simplex iterations.
        sweeps: proposals per item.
        effort: proposals in all, if fewer.

    Raises:
        InfeasibleError: no packing was found.
        PassError: ``mapping.bad-option``.
    """
    check(eps, sweeps, effort)
    for name, value in (
        ("max_variables", max_variables),
        ("max_rings", max_rings),
        ("max_iterations", max_iterations),
    ):
        require(value >= 1, f"`{name}` must be positive, it is {value}")
    incumbent = greedy(problem, seed=seed)
    counts: dict[str, int | float] = {f"greedy_{k}": v for k, v in incumbent.effort.items()}
    idle = nothing_to_gain(problem)
    if idle:
        return Proposal(incumbent.assignment, f"greedy ({idle})", counts)
    limit = balance_limit(problem, incumbent.assignment, eps)
    rings = make_rings(problem, max_rings)
    classes = make_classes(problem, max(1, max_variables // rings.bins.size))
    plan = solve_rings(classes, rings, limit, max_iterations)
    counts |= {
        "balance_limit": limit,
        "rings": rings.bins.size,
        "classes": classes.count.size,
        "class_tolerance": classes.tolerance,
        "simplex_iterations": plan.iterations,
    }
    certificate, penalties, how = None, typical_prices(problem), f"; the ring program ended: {plan.status}"
    if plan.optimal:
        # Between the mean distances of merged rings the prices are interpolated.
        at = [np.interp(problem.distance, rings.distance, p) for p in (plan.load_price, plan.size_price)]
        certificate, how = Prices(limit, *at), ""
        load_price = max(_ABOVE_PRICE * float(at[0].max()), _LEAST * penalties.load)
        penalties = PenaltyPrices(load_price, penalties.size)
    found = search(problem, incumbent.assignment, limit, penalties, sweeps, effort, seed)
    counts |= found.effort
    if not found.better:
        return Proposal(
            incumbent.assignment, f"greedy (annealing found nothing better{how})", counts, certificate
        )
    where = "annealing" if how else "ring program prices, annealing"
    return Proposal(found.assignment, where + (f" ({how[2:]})" if how else ""), counts, certificate)
