"""Placement of items (table shards, weight blocks) on bins (tiles, arrays): a plain numpy problem.

This part imports neither the IR nor the frontend: arrays in, an assignment with its objective, lower
bounds and effort out.  A strategy is chosen by name; importing this package costs numpy and no solver.
"""

from cimc.mapping.evaluate import evaluate
from cimc.mapping.problem import (
    Evaluation,
    HopsCertificate,
    PlacementProblem,
    Prices,
    Proposal,
    Solution,
)
from cimc.mapping.registry import register, strategies
from cimc.mapping.solve import solve

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
