"""How often each layer exists, by a named policy: what published compilers for crossbars decide.

The item is an *array group*: the arrays, side by side, that the same inputs of one copy of a layer drive; all
of them are on one core (here a tile).  ``windows`` of a layer are its uses: of a convolution the places where
its kernel is applied, of a fully connected layer one.  A copy takes its share of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from cimc.errors import PassError
from cimc.mapping.assignment.problem import bad_problem, whole_numbers
from cimc.mapping.assignment.strategy_registry import callable_, require
from cimc.mapping.dtypes import IntArray
from cimc.support.registry import Registry, guarded


@dataclass(frozen=True, eq=False)
class LayerCopiesProblem:
    """Layers in the order of the model.

    Attributes:
        groups: int64[n], array groups of a copy of each layer, >= 1.
        group_arrays: int64[n], arrays of such a group, 1..``core_arrays``.
        uses: int64[n], windows of each layer a request, >= 1.
        arrays: of the machine less those that tables take, enough for one copy of each layer.
        core_arrays: arrays of a core.
        mvm_ns, issue_ns: time that an array works on a window, and that a core's bus brings it its inputs.

    Raises:
        PassError: ``mapping.bad-problem``, when shapes, dtypes or values are not as above.
    """

    groups: IntArray
    group_arrays: IntArray
    uses: IntArray
    arrays: int
    core_arrays: int
    mvm_ns: float = 1.0
    issue_ns: float = 0.0

    def __post_init__(self) -> None:
        for name in ("groups", "group_arrays", "uses"):
            object.__setattr__(self, name, whole_numbers(name, getattr(self, name), least=1))
        if not self.groups.size == self.group_arrays.size == self.uses.size:
            raise bad_problem("`groups`, `group_arrays` and `uses` need one entry per layer")
        if np.any(self.group_arrays > self.core_arrays):
            raise bad_problem(f"an array group has at most the {self.core_arrays} arrays of a core")
        if int(self.copy_arrays.sum()) > self.arrays:
            raise bad_problem(f"one copy of each layer does not fit in {self.arrays} arrays")

    @property
    def layers(self) -> int:
        """n."""
        return int(self.groups.size)

    @property
    def copy_arrays(self) -> IntArray:
        """int64[n], arrays of a copy of each layer."""
        found: IntArray = self.groups * self.group_arrays
        return found

    def windows(self, in_flight: int) -> IntArray:
        """int64[n], windows of each layer over ``in_flight`` requests, the most copies that it can use.

        Raises:
            PassError: ``mapping.bad-option``, when there is no request.
        """
        require(in_flight >= 1, f"`windows` must be at least 1, it is {in_flight}")
        return self.uses * in_flight

    def fits(self, copies: IntArray) -> bool:
        """Whether the machine has so many arrays."""
        return int((copies * self.copy_arrays).sum()) <= self.arrays


@dataclass(frozen=True, eq=False)
class LayerCopies:
    """What a policy returns: int64[n] copies of each layer, at least 1, and deterministic counts."""

    copies: IntArray
    effort: Mapping[str, int | float] = field(default_factory=dict)


class CopyPolicy(Protocol):
    """A function of a problem, a seed and its own keyword options (each with a default)."""

    __module__: str

    def __call__(self, problem: LayerCopiesProblem, /, *, seed: int) -> LayerCopies:
        """Decide on the copies of each layer."""


_HERE = "cimc.mapping.allocation."
COPY_POLICIES: Registry[CopyPolicy] = Registry(
    "policy of layer copies",
    {
        "pimcomp": _HERE + "pimcomp:pimcomp",
        "pimsyn_sa": _HERE + "pimsyn:pimsyn_sa",
    },
    duplicate="mapping.duplicate-strategy",
    fits=callable_,
)
"""What :func:`copy_layers` accepts, by name."""

register_copy_policy = COPY_POLICIES.register
copy_policies = COPY_POLICIES.names


def copy_layers(
    problem: LayerCopiesProblem, policy: str, *, seed: int = 0, **options: int | float | str
) -> LayerCopies:
    """Copies of each layer by the named policy, verified.

    Raises:
        PassError: ``mapping.unknown-strategy``, ``mapping.bad-option``, or ``mapping.invalid-solution``, when
            the policy leaves a layer out or spends more arrays than there are.
    """
    function = COPY_POLICIES[policy]
    COPY_POLICIES.check_options(policy, options)
    require(seed >= 0, f"the seed of a policy must not be negative, it is {seed}")
    with guarded(function):
        found = function(problem, seed=seed, **options)
        copies = np.array(found.copies, dtype=np.int64)
    if copies.shape != problem.groups.shape or np.any(copies < 1) or not problem.fits(copies):
        raise PassError(
            "mapping.invalid-solution",
            f"policy of layer copies `{policy}` leaves a layer out, or spends more than "
            f"{problem.arrays} arrays",
        )
    copies.setflags(write=False)
    return LayerCopies(copies, dict(found.effort))
