"""Which chip holds which table, when one chip is too small: few items, so optimality can be proven.

The cost of a chip is the time it needs per request: the sum of its tables' compute times, plus its tables'
traffic over its link.  Chips work in parallel, so the slowest one counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cimc.mapping.assignment.bounds import bottleneck_bound
from cimc.mapping.assignment.feasibility import require_room
from cimc.mapping.assignment.judge import evaluate
from cimc.mapping.assignment.methods.greedy import greedy
from cimc.mapping.assignment.problem import PlacementProblem, bad_problem, finite_floats, whole_numbers
from cimc.mapping.assignment.strategy_registry import require
from cimc.mapping.dtypes import FloatArray, IntArray

# Beyond this many (table, chip) pairs the solver is not asked: greedy is within its gap there.
_LARGEST = 4_000
# Costs become integers of about this size for the solver: what is lost is below 1e-9 of the bottleneck.
_SCALE = 1 << 34
# A better assignment must be better by this share.
_TOLERANCE = 1e-9
# Nodes of the branch and bound per unit of deterministic time.
_NODES = 1_000_000


@dataclass(frozen=True, eq=False)
class ChipProblem:
    """Place ``n`` tables, whole, on ``m`` chips.

    Attributes:
        compute_ns: float64[n], time a chip computes for a table, per request, >= 0.
        traffic_bits: float64[n], bits that leave or enter a table's chip per request, >= 0.
        size: int64[n], capacity units of each table, >= 1.
        capacity: int64[m], capacity units of each chip, >= 0.
        link_bits_per_ns: float64[m], rate of each chip's link, > 0.
        labels: names of the tables for messages; empty, or one per table.

    Raises:
        PassError: ``mapping.bad-problem``, when shapes, dtypes or values are not as above.
    """

    compute_ns: FloatArray
    traffic_bits: FloatArray
    size: IntArray
    capacity: IntArray
    link_bits_per_ns: FloatArray
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("compute_ns", "traffic_bits", "link_bits_per_ns"):
            object.__setattr__(self, name, finite_floats(name, getattr(self, name)))
        object.__setattr__(self, "size", whole_numbers("size", self.size, least=1))
        object.__setattr__(self, "capacity", whole_numbers("capacity", self.capacity, least=0))
        n, m = self.compute_ns.size, self.capacity.size
        if not self.traffic_bits.size == self.size.size == n or self.link_bits_per_ns.size != m or m == 0:
            raise bad_problem("one entry per table, and per chip, of which there is one")
        if np.any(self.link_bits_per_ns <= 0):
            raise bad_problem("`link_bits_per_ns` must be positive")

    @property
    def cost_ns(self) -> FloatArray:
        """float64[n, m]: what each table adds to the time of each chip."""
        cost: FloatArray = self.compute_ns[:, None] + self.traffic_bits[:, None] / self.link_bits_per_ns
        return cost


@dataclass(frozen=True, eq=False)
class ChipSolution:
    """A verified assignment of tables to chips.

    Attributes:
        chips: int64[n], the chip of each table, read-only.
        bottleneck_ns: time of the slowest chip per request.
        bound_ns: lower bound on it, over all assignments.
        gap: ``bottleneck_ns / bound_ns - 1``.
        optimal: whether the solver proved that no assignment is better (to 1e-8).
        produced_by: the method that gave the assignment.
        effort: deterministic counts of the work done.
    """

    chips: IntArray
    bottleneck_ns: float
    bound_ns: float
    gap: float
    optimal: bool
    produced_by: str
    effort: Mapping[str, int | float] = field(default_factory=dict)


def place_on_chips(problem: ChipProblem, *, seed: int = 0, deterministic_time: float = 10.0) -> ChipSolution:
    """Greedy; then branch and bound over equal chips; then CP-SAT; until one of them proves the optimum.

    Args:
        problem: the problem.
        seed: of the solver.
        deterministic_time: effort of each of the two, in the solver's own measure; no seconds.

    Raises:
        InfeasibleError: the tables do not fit, or no packing was found.
        PassError: ``mapping.bad-option``.
    """
    require(0 <= deterministic_time < np.inf, "`deterministic_time` must be finite and not negative")
    least = problem.cost_ns.min(axis=1)
    # With one link rate for all this is the same problem; else its bound still holds.
    plain = PlacementProblem(
        load=least,
        size=problem.size,
        traffic=np.zeros(least.size),
        capacity=problem.capacity,
        distance=np.zeros(problem.capacity.size),
        resource="chip storage",
        labels=problem.labels,
    )
    require_room(plain)
    chips = np.array(greedy(plain, seed=seed).assignment)
    assert not evaluate(plain, chips).violations
    found, bound, how = _slowest(problem, chips), bottleneck_bound(plain), "greedy"
    counts: dict[str, int | float] = {}
    if problem.cost_ns.size > _LARGEST:
        how = f"greedy (more than {_LARGEST} pairs of table and chip)"
    else:
        for method, prove in (("branch and bound", _branch), ("CP-SAT", _prove)):
            if found <= bound * (1 + 10 * _TOLERANCE) or least.size == 0:
                break
            proof = prove(problem, chips, seed, deterministic_time)
            counts |= proof.effort
            better = _slowest(problem, proof.chips)
            if better < found:
                chips, found, how = proof.chips, better, method
            bound = max(bound, proof.bound)
    bound = min(bound, found)
    chips.setflags(write=False)
    gap = found / bound - 1.0 if bound > 0 else 0.0
    return ChipSolution(chips, found, bound, gap, gap <= 10 * _TOLERANCE, how, counts)


def _slowest(problem: ChipProblem, chips: IntArray) -> float:
    cost = problem.cost_ns[np.arange(chips.size), chips]
    return float(np.bincount(chips, weights=cost, minlength=problem.capacity.size).max())


def _equal(problem: ChipProblem) -> bool:
    return np.unique(problem.capacity).size == np.unique(problem.link_bits_per_ns).size == 1


@dataclass(frozen=True, eq=False)
class _Proof:
    chips: IntArray
    bound: float
    effort: dict[str, int | float]


def _branch(problem: ChipProblem, start: IntArray, seed: int, deterministic_time: float) -> _Proof:
    """Bin completion, on equal chips; with others it has nothing to say."""
    n, m = problem.cost_ns.shape
    nodes = int(deterministic_time * _NODES)
    if m < 2 or nodes == 0 or not _equal(problem):
        return _Proof(start, 0.0, {})
    from cimc.mapping.kernels.chip_loops import branch

    order = np.argsort(-problem.cost_ns[:, 0], kind="stable")
    cost, size = problem.cost_ns[order, 0], problem.size[order]
    best, found = np.array([_slowest(problem, start)]), start[order].copy()
    done = branch(cost, size, m, int(problem.capacity[0]), best, found, _TOLERANCE, nodes)
    chips = np.empty(n, dtype=np.int64)
    chips[order] = found
    bound = float(best[0]) * (1 - 2 * _TOLERANCE) if done < nodes else 0.0
    return _Proof(chips, bound, {"nodes": done})


def _prove(problem: ChipProblem, hint: IntArray, seed: int, deterministic_time: float) -> _Proof:
    """Minimise the slowest chip's time with one boolean per table and chip."""
    from ortools.sat.python import cp_model

    n, m = problem.cost_ns.shape
    unit = _slowest(problem, hint) / _SCALE
    # Rounded down: the program's bound then holds for the true costs.
    cost = np.floor(problem.cost_ns / unit).astype(np.int64)
    model = cp_model.CpModel()
    on = [[model.new_bool_var("") for _ in range(m)] for _ in range(n)]
    worst = model.new_int_var(0, _SCALE, "worst")
    for table in range(n):
        model.add_exactly_one(on[table])
    for chip in range(m):
        model.add(sum(int(cost[t, chip]) * on[t][chip] for t in range(n)) <= worst)
        model.add(sum(int(problem.size[t]) * on[t][chip] for t in range(n)) <= int(problem.capacity[chip]))
    # Equal chips may trade places: table t, largest cost first, opens at most one chip more.
    if _equal(problem):
        for rank, table in enumerate(np.argsort(-cost[:, 0], kind="stable")[: m - 1].tolist()):
            for chip in range(rank + 1, m):
                model.add(on[table][chip] == 0)
    else:
        for table in range(n):
            for chip in range(m):
                model.add_hint(on[table][chip], int(hint[table]) == chip)
    # The chips together do all the work; it cannot be spread more evenly than evenly.
    if np.unique(problem.link_bits_per_ns).size == 1:
        model.add(m * worst >= int(cost[:, 0].sum()))
    model.minimize(worst)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.catch_sigint_signal = False  # it would end the search, and the command go on
    solver.parameters.random_seed = seed
    solver.parameters.max_deterministic_time = deterministic_time
    status = solver.solve(model)
    effort: dict[str, int | float] = {"conflicts": solver.num_conflicts, "branches": solver.num_branches}
    chips = hint
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        chips = np.array([[solver.value(v) for v in row] for row in on], dtype=np.int64).argmax(axis=1)
    return _Proof(chips, solver.best_objective_bound * unit, effort)
