"""Policies by name, and the plan that one gives, verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from cimc.errors import PassError
from cimc.mapping.assignment.strategy_registry import callable_
from cimc.mapping.dtypes import IntArray
from cimc.mapping.sharding.sharding_problem import ShardingProblem
from cimc.support.registry import Registry, guarded


@dataclass(frozen=True, eq=False)
class ShardingPlan:
    """A verified plan.

    Attributes:
        chip: int64[k], the chip of each block, read-only.
        bottleneck_ns: time of the slowest chip per request.
        bound_ns: lower bound on it over all plans: work spread evenly.
        produced_by: the policy and what of it gave the plan.
        effort: deterministic counts of the work done.
    """

    chip: IntArray
    bottleneck_ns: float
    bound_ns: float
    produced_by: str
    effort: Mapping[str, int | float] = field(default_factory=dict)


class ShardingPolicy(Protocol):
    """A policy: int64[k] the chip of each block, who gave it, and what it took."""

    __module__: str

    def __call__(self, problem: ShardingProblem, /, *, seed: int) -> tuple[IntArray, str, dict[str, int]]:
        """Raise InfeasibleError where no plan is found."""


_HERE = "cimc.mapping.sharding."
SHARDINGS: Registry[ShardingPolicy] = Registry(
    "sharding policy",
    {
        "torchrec": _HERE + "torchrec_planner:torchrec",
        "recshard": _HERE + "recshard_program:recshard",
        "neuroshard": _HERE + "neuroshard_beam:neuroshard",
    },
    duplicate="mapping.duplicate-strategy",
    fits=callable_,
)
"""What :func:`plan_shards` accepts, by name."""


def plan_shards(problem: ShardingProblem, policy: str, *, seed: int = 0, **options: float) -> ShardingPlan:
    """Chips of all blocks by a named policy.

    Raises:
        InfeasibleError: no plan was found.
        PassError: ``mapping.unknown-strategy``; ``mapping.unknown-option``; ``mapping.bad-option``;
            ``mapping.invalid-solution``, when the policy breaks a capacity.
    """
    function = SHARDINGS[policy]
    SHARDINGS.check_options(policy, options)
    with guarded(function):
        chip, how, effort = function(problem, seed=seed, **options)
        chip = np.array(chip, dtype=np.int64)
    fits = chip.shape == problem.table.shape and np.all((chip >= 0) & (chip < problem.chips))
    if not fits or np.any(problem.used(chip) > problem.capacity):
        raise PassError(
            "mapping.invalid-solution", f"sharding policy `{policy}` leaves chips or their capacity"
        )
    chip.setflags(write=False)
    bottleneck = float(problem.times(chip).max())
    bound = min(float(problem.busy_ns.sum()) / problem.chips, bottleneck)
    return ShardingPlan(chip, bottleneck, bound, f"{policy}: {how}", effort)
