"""Fewest hops within a balance limit, proven: CP-SAT on a variable for each item and bin."""

from __future__ import annotations

import numpy as np
from ortools.sat.python import cp_model

from cimc.errors import InfeasibleError
from cimc.mapping.assignment.feasibility import not_packed
from cimc.mapping.assignment.methods.anneal import balance_limit, nothing_to_gain
from cimc.mapping.assignment.methods.greedy import greedy
from cimc.mapping.assignment.methods.ortools import ortools
from cimc.mapping.assignment.problem import HopsCertificate, PlacementProblem, Proposal
from cimc.mapping.assignment.strategy_registry import require
from cimc.mapping.dtypes import FloatArray, IntArray

_SCALE = float(1 << 40)
"""Loads and traffics become integers: shares of their limit, rounded down, so that bounds stay bounds."""


def exact(
    problem: PlacementProblem,
    /,
    *,
    seed: int,
    eps: float = 0.05,
    max_items: int = 50,
    effort: float = 4.0,
) -> Proposal:
    """The fewest hops of all assignments whose bottleneck is at most ``(1 + eps) x`` its lower bound.

    The limit is greedy's bottleneck where that does not get so far; what ``ortools`` finds within it is the
    first answer, and CP-SAT's bound states how good the result is: ``produced_by`` says ``optimum proven``,
    or by how much hops may be above it.  Of more items than ``max_items`` the answer is that of ``ortools``.
    Where nothing is packed quickly CP-SAT finds a packing, or proves that there is none.

    Args:
        problem: the problem.
        seed: of the proposals of ``ortools``.
        eps: slack on the balance.
        max_items: of more nothing is proven.
        effort: deterministic time of CP-SAT, about seconds.

    Raises:
        InfeasibleError: there is no packing, or none was found.
        PassError: ``mapping.bad-option``.
    """
    require(max_items >= 0, f"`max_items` must not be negative, it is {max_items}")
    require(0 < effort < np.inf, f"`effort` must be positive and finite, it is {effort}")
    small = problem.n_items <= max_items
    try:
        first = ortools(problem, seed=seed, eps=eps)
    except InfeasibleError:
        if not small:
            raise
        packed = _packed(problem, effort)
        return Proposal(packed, "CP-SAT, a packing alone")
    if not small or nothing_to_gain(problem):
        return first
    limit = balance_limit(problem, greedy(problem, seed=seed).assignment, eps)
    model = _Model(problem, limit)
    model.hint(first.assignment)
    status, solver = model.minimised(effort)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return first
    found = model.assignment(solver)
    proven = status == cp_model.OPTIMAL
    bound = model.hops(solver.best_objective_bound)
    best = found if _hops(problem, found) < _hops(problem, first.assignment) else first.assignment
    gap = _hops(problem, best) / bound - 1.0 if bound > 0 else 0.0
    return Proposal(
        best,
        "CP-SAT, optimum proven" if proven else f"CP-SAT, at most {100 * gap:.1f} % above the optimum",
        {**first.effort, "branches": solver.num_branches, "conflicts": solver.num_conflicts},
        first.prices,
        HopsCertificate(limit, bound),
    )


def _hops(problem: PlacementProblem, assignment: IntArray) -> float:
    return float(np.sum(problem.traffic * problem.distance[assignment]))


def _packed(problem: PlacementProblem, effort: float) -> IntArray:
    """Any assignment within the capacities.

    Raises:
        InfeasibleError: there is none, which is proven, or none was found.
    """
    model = _Model(problem, None)
    status, solver = model.minimised(effort)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return model.assignment(solver)
    raise not_packed(problem, int(problem.size.sum()) - 1, status == cp_model.INFEASIBLE)


class _Model:
    """The integer program; without a ``limit`` any packing will do."""

    def __init__(self, problem: PlacementProblem, limit: float | None) -> None:
        self.problem = problem
        self.model = cp_model.CpModel()
        n, m = problem.n_items, problem.n_bins
        self.on = [[self.model.new_bool_var(f"{i} on {b}") for b in range(m)] for i in range(n)]
        sizes = problem.size.tolist()
        for row in self.on:
            self.model.add_exactly_one(row)
        for b, room in enumerate(problem.capacity.tolist()):
            self.model.add(sum(s * row[b] for s, row in zip(sizes, self.on, strict=True)) <= room)
        self.unit = 1.0
        if limit is None:
            return
        if limit > 0:
            load = _whole(problem.load, limit)
            for b in range(m):
                mine = sum(w * row[b] for w, row in zip(load, self.on, strict=True))
                self.model.add(mine <= int(_SCALE))
        cost = problem.traffic[:, None] * problem.distance[None, :]
        self.unit = max(float(cost.max(axis=1).sum()), 1e-300)
        self.model.minimize(
            sum(
                c * x
                for costs, row in zip(cost, self.on, strict=True)
                for c, x in zip(_whole(costs, self.unit), row, strict=True)
            )
        )

    def hint(self, assignment: IntArray) -> None:
        """Begin with this one."""
        for row, bin in zip(self.on, assignment.tolist(), strict=True):
            for b, x in enumerate(row):
                self.model.add_hint(x, b == bin)

    def minimised(self, effort: float) -> tuple[cp_model.CpSolverStatus, cp_model.CpSolver]:
        """Solve: one worker, a deterministic limit."""
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = 1
        solver.parameters.max_deterministic_time = effort
        solver.parameters.linearization_level = 2
        return solver.solve(self.model), solver

    def assignment(self, solver: cp_model.CpSolver) -> IntArray:
        """The bin of each item."""
        return np.array(
            [next(b for b, x in enumerate(row) if solver.boolean_value(x)) for row in self.on], np.int64
        )

    def hops(self, objective: float) -> float:
        """An objective in bit-hops."""
        return max(objective, 0.0) / _SCALE * self.unit


def _whole(values: FloatArray, limit: float) -> list[int]:
    found: list[int] = np.floor(values / limit * _SCALE).astype(np.int64).tolist()
    return found
