"""What is to be small, in the integers that CP-SAT computes with."""

from __future__ import annotations

from dataclasses import dataclass

from ortools.sat.python import cp_model

from cimc.mapping.allocation.allocation_problem import AllocationProblem
from cimc.mapping.allocation.goal import FULL, Goal

UNITS = 100
"""Units of time a ns, and of power a mW."""
_LEVELS = 200_000
"""Steps of energy and of time that their product is computed in."""
_USES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.88, 0.9, 0.92, 0.94, 0.95)
"""Uses of the busiest unit at which the curve of waits has a tangent."""
_FINE = 1000
"""Steps of the slope of a tangent."""


@dataclass(frozen=True)
class Cost:
    """An expression; ``units`` of it are one ns, pJ or pJ x ns.  ``sure``: the share of a bound on it that
    holds in spite of what is rounded."""

    value: cp_model.LinearExprT
    units: float
    sure: float = 1.0


def objective_cost(
    model: cp_model.CpModel,
    problem: AllocationProblem,
    tables: list[cp_model.IntVar],
    busy: cp_model.IntVar,
    latency: cp_model.LinearExprT,
    taken: cp_model.IntVar,
    on: cp_model.IntVar,
) -> Cost:
    """The cost of an allocation, and the constraints of its load.

    Args:
        model: to be added to.
        problem: says what is to be good.
        tables: choice of the way to copy tables.
        busy, latency: of the busiest unit and of a request alone, in :data:`UNITS` of time.
        taken, on: arrays and tiles that are used.
    """
    goal, power = problem.goal, problem.power
    wait = _wait(model, goal, busy)
    time = latency + wait
    if goal.rate:
        model.add(busy <= int(UNITS * FULL / goal.rate))
    if goal.p99_ns:
        bound = int(UNITS * goal.p99_ns)
        model.add(latency + (wait if not goal.rate else _tangents(model, goal, busy, True)) <= bound)
    if goal.objective in ("throughput", "latency"):
        return Cost(time, UNITS)
    hops = problem.tables.hop_pj or (0.0,) * len(tables)
    static = model.new_int_var(0, 10**9, "static")
    model.add(
        static
        >= round(UNITS * power.rest_mw)
        + round(UNITS * power.array_mw) * taken
        + round(UNITS * power.tile_mw) * on
    )
    period = model.new_int_var(0, 10**11, "period")
    model.add(period >= time)
    square = UNITS * UNITS
    if goal.rate:
        each, share = round(square * power.dynamic_pj), 1.0
        energy = each + sum(round(square * pj) * v for pj, v in zip(hops, tables, strict=True))
        energy += round(UNITS / goal.rate) * static
    else:
        share = float(goal.in_flight)
        each = round(square * share * power.dynamic_pj)
        energy = each + sum(round(square * share * pj) * v for pj, v in zip(hops, tables, strict=True))
        leaks = model.new_int_var(0, 10**17, "static energy")
        model.add_multiplication_equality(leaks, [static, period])
        energy += leaks
    if goal.objective == "energy":
        return Cost(energy, square * share)
    least = problem.goal.value(0.0, problem.latency_ns, power.dynamic_pj, power.rest_mw)
    coarse_time = max(1, int(UNITS * problem.latency_ns) // _LEVELS + 1)
    scale = max(1, int(square * share * least / max(problem.latency_ns, 1.0)) // _LEVELS + 1)
    steps, joules = model.new_int_var(0, 10**8, "time"), model.new_int_var(0, 10**9, "energy")
    model.add(coarse_time * steps >= period)
    model.add(scale * joules >= energy)
    product = model.new_int_var(0, 10**17, "energy x time")
    model.add_multiplication_equality(product, [steps, joules])
    return Cost(product, square * share * UNITS / (scale * coarse_time), 1 - 4 / _LEVELS)


def _wait(model: cp_model.CpModel, goal: Goal, busy: cp_model.IntVar) -> cp_model.LinearExprT:
    return _tangents(model, goal, busy, False) if goal.rate else (goal.in_flight - 1) * busy


def _tangents(model: cp_model.CpModel, goal: Goal, busy: cp_model.IntVar, p99: bool) -> cp_model.IntVar:
    """A variable above the tangents of the curve of waits, which is convex in ``busy``."""
    wait = model.new_int_var(0, 10**12, "wait p99" if p99 else "wait")
    curve = goal.waits_p99 if p99 else goal.waits
    for use in _USES:
        at = use / goal.rate
        step = at * 1e-6
        slope = (curve(at) - curve(at - step)) / step
        model.add(
            _FINE * wait >= int(_FINE * slope) * busy + int(_FINE * UNITS * (curve(at) - slope * at)) - _FINE
        )
    return wait
