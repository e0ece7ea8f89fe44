"""Run a quadratic placement method and verify what it returns."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from cimc.errors import PassError
from cimc.mapping.assignment.feasibility import not_packed, require_room
from cimc.mapping.assignment.packing import UNPLACED, pack
from cimc.mapping.assignment.problem import PlacementProblem
from cimc.mapping.assignment.strategy_registry import callable_, require
from cimc.mapping.dtypes import IntArray
from cimc.mapping.mesh.mesh_evaluation import QuadraticSolution, evaluate_quadratic
from cimc.mapping.mesh.mesh_problem import QuadraticProblem, QuadraticProposal
from cimc.support.registry import Registry, guarded


class QuadraticMethod(Protocol):
    """A function of a problem, a seed and its own keyword options (each with a default)."""

    __module__: str

    def __call__(self, problem: QuadraticProblem, /, *, seed: int) -> QuadraticProposal:
        """Place every block."""


_HERE = "cimc.mapping.mesh."
QUADRATIC_METHODS: Registry[QuadraticMethod] = Registry(
    "quadratic placement method",
    {
        "row_major": _HERE + "simple:row_major",
        "greedy": _HERE + "simple:greedy",
        "anneal": _HERE + "mesh_anneal:anneal",
    },
    duplicate="mapping.duplicate-strategy",
    advice="; `anneal` does what `multilevel` and `assignment` did",
    fits=callable_,
)
"""What :func:`solve_quadratic` accepts, by name."""

register_quadratic = QUADRATIC_METHODS.register
quadratic_methods = QUADRATIC_METHODS.names


def solve_quadratic(
    problem: QuadraticProblem, method: str = "anneal", *, seed: int = 0, **options: int | float
) -> QuadraticSolution:
    """Place every block of ``problem`` with the named method.

    Raises:
        InfeasibleError: the blocks do not fit, or no packing was found.
        PassError: ``mapping.unknown-strategy``, ``mapping.bad-option``, or ``mapping.invalid-solution``
            when the method broke a constraint.
    """
    function = QUADRATIC_METHODS[method]
    QUADRATIC_METHODS.check_options(method, options)
    require(seed >= 0, f"the seed of a placement must not be negative, it is {seed}")
    require_room(_by_size(problem))
    with guarded(function):
        proposal = function(problem, seed=seed, **options)
        evaluation = evaluate_quadratic(problem, proposal.sites)
    if evaluation.violations:
        raise PassError(
            "mapping.invalid-solution",
            f"quadratic placement method `{method}` broke a constraint: " + "; ".join(evaluation.violations),
        )
    sites = np.array(proposal.sites, dtype=np.int64)
    sites.setflags(write=False)
    return QuadraticSolution(sites, evaluation, method, proposal.produced_by or method, dict(proposal.effort))


def packed(problem: QuadraticProblem) -> IntArray:
    """Any placement within the capacities, whatever it costs.

    Raises:
        InfeasibleError: no packing was found.
    """
    packing = pack(problem.size, problem.capacity)
    if not packing.complete:
        placed = int(problem.size[packing.assignment != UNPLACED].sum())
        raise not_packed(_by_size(problem), placed, packing.proven)
    return packing.assignment


def _by_size(problem: QuadraticProblem) -> PlacementProblem:
    n, m = problem.n_blocks, problem.n_sites
    return PlacementProblem(
        load=np.zeros(n),
        size=problem.size,
        traffic=np.zeros(n),
        capacity=problem.capacity,
        distance=np.zeros(m),
        labels=problem.labels,
    )
