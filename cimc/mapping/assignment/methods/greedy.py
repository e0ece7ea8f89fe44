"""LPT under capacities, then moves and swaps: within milliseconds nearly always the best balance."""

from __future__ import annotations

import numpy as np

from cimc.mapping.assignment.balance import balance
from cimc.mapping.assignment.bounds import bottleneck_bound
from cimc.mapping.assignment.construct import construct
from cimc.mapping.assignment.feasibility import not_packed
from cimc.mapping.assignment.packing import UNPLACED
from cimc.mapping.assignment.problem import PlacementProblem, Proposal
from cimc.mapping.assignment.relabel import nearest_first
from cimc.mapping.assignment.strategy_registry import require


def greedy(
    problem: PlacementProblem, /, *, seed: int, target_gap: float = 1e-4, effort: int = 100_000_000
) -> Proposal:
    """Balance the loads; then put the bins' contents where the hops are fewest.

    Deterministic without randomness: ``seed`` changes nothing.

    Args:
        problem: the problem.
        seed: not used.
        target_gap: stop when the bottleneck is within this share of its lower bound.
        effort: stop after this many candidate exchanges.

    Raises:
        InfeasibleError: no packing was found.
        PassError: ``mapping.bad-option``.
    """
    require(0 <= target_gap < np.inf, f"`target_gap` must be finite and not negative, it is {target_gap}")
    require(effort >= 0, f"`effort` must not be negative, it is {effort}")
    start = construct(problem.load, problem.size, problem.capacity)
    if not start.complete:
        placed = int(problem.size[start.assignment != UNPLACED].sum())
        raise not_packed(problem, placed, start.proven)
    target = bottleneck_bound(problem) * (1 + target_gap)
    searched = balance(problem, start.assignment, target=target, effort=effort)
    return Proposal(
        nearest_first(problem, searched.assignment),
        f"{start.method}, local search",
        {
            "moves_tried": searched.moves_tried,
            "moves_made": searched.moves_made,
            "rounds": searched.rounds,
        },
    )
