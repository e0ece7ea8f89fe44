"""Placement of items (table shards, weight blocks) on bins (tiles, arrays): a plain numpy problem.

This part imports neither the IR nor the frontend: arrays in, an assignment with its objective, lower
bounds and effort out.  A strategy is chosen by name; importing this package costs numpy and no solver.
"""

from cimc.mapping.assignment.judge import evaluate
from cimc.mapping.assignment.problem import (
    Evaluation,
    HopsCertificate,
    PlacementProblem,
    Prices,
    Proposal,
    Solution,
)
from cimc.mapping.assignment.solve import solve
from cimc.mapping.assignment.strategy_registry import register, strategies

__all__ = [
    "Evaluation",
    "HopsCertificate",
    "PlacementProblem",
    "Prices",
    "Proposal",
    "Solution",
    "evaluate",
    "register",
    "solve",
    "strategies",
]
