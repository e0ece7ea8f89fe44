"""Run a strategy and verify what it returns."""

from __future__ import annotations

import numpy as np

from cimc.errors import PassError
from cimc.mapping.assignment import strategy_registry
from cimc.mapping.assignment.bounds import balanced_hops_bound
from cimc.mapping.assignment.feasibility import require_room
from cimc.mapping.assignment.judge import evaluate, settle
from cimc.mapping.assignment.problem import Evaluation, HopsCertificate, PlacementProblem, Proposal, Solution
from cimc.support.registry import guarded


def solve(
    problem: PlacementProblem, strategy: str = "greedy", *, seed: int = 0, **options: int | float | str
) -> Solution:
    """Place every item of ``problem`` with the named strategy.

    Args:
        problem: the problem.
        strategy: one of :func:`cimc.mapping.strategies`.
        seed: seed of whatever the strategy draws at random; same seed, same assignment.
        options: the strategy's own options.

    Returns:
        A solution whose assignment was verified here: every item placed, every capacity respected.

    Raises:
        InfeasibleError: the items do not fit, or no packing was found; its shortage says which.
        PassError: ``mapping.unknown-strategy``, ``mapping.unknown-option``, ``mapping.bad-option``,
            or ``mapping.invalid-solution`` when the strategy broke a constraint.
    """
    function = strategy_registry.STRATEGIES[strategy]
    strategy_registry.STRATEGIES.check_options(strategy, options)
    strategy_registry.require(seed >= 0, f"the seed of a placement must not be negative, it is {seed}")
    require_room(problem)
    with guarded(function):
        proposal = function(problem, seed=seed, **options)
        evaluation = evaluate(problem, proposal.assignment)
    if evaluation.violations:
        raise PassError(
            "mapping.invalid-solution",
            f"placement strategy `{strategy}` broke a constraint: " + "; ".join(evaluation.violations),
        )
    assignment = np.array(proposal.assignment, dtype=np.int64)
    assignment.setflags(write=False)
    return Solution(
        assignment=assignment,
        evaluation=evaluation,
        strategy=strategy,
        produced_by=proposal.produced_by or strategy,
        effort=dict(proposal.effort),
        certificate=_certificate(problem, proposal, evaluation),
    )


def _certificate(
    problem: PlacementProblem, proposal: Proposal, evaluation: Evaluation
) -> HopsCertificate | None:
    """The larger of what the prices and a solver prove; both at one limit."""
    prices, proven = proposal.prices, proposal.proven
    if prices is None and proven is None:
        return None
    bounds = [] if prices is None else [balanced_hops_bound(problem, prices)]
    bounds += [] if proven is None else [proven.hops_bound]
    limit = proven.limit if prices is None and proven is not None else prices.limit if prices else 0.0
    bound = max(bounds)
    if evaluation.bottleneck <= limit:
        bound = settle(bound, evaluation.hops)
    return HopsCertificate(limit, bound)
