"""Allocations: a greedy one at once, and the best by CP-SAT with a proof of how good it is."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from ortools.sat.python import cp_model

from cimc.mapping.allocation.allocation_problem import (
    Allocation,
    AllocationProblem,
    evaluated,
    in_step,
    period_ns,
)

_UNITS = 100
"""Units of time a ns: CP-SAT computes in integers."""
_EFFORT = 4.0
"""Deterministic time of CP-SAT, about seconds."""


def lower_bound(problem: AllocationProblem) -> float:
    """No allocation has a smaller period: every part by itself as good as it can be."""
    least = [min(each.busy_ns) for each in problem.layers]
    most = problem.instances[-1]
    busy = max(
        max((ns / most for ns in least), default=0.0),
        min(problem.tables.instance_ns) / most,
        min(problem.sizes.busy_ns) / most,
        min(problem.tables.busy_ns),
        problem.shared_ns / min(most, problem.chips),
    )
    return period_ns(problem, busy, problem.latency_ns + min(problem.sizes.vector_ns) + sum(least))


def greedy(problem: AllocationProblem) -> Allocation:
    """Every number of instances and places with the narrowest layers that fit, all narrowed alike.

    The best of them; of equal ones that with fewer arrays.  The first number of instances of the widest
    layers, one place each, is taken to fit.
    """
    bound = lower_bound(problem)
    most = max((len(each.widths) for each in problem.layers), default=1)
    best: tuple[float, int, Allocation] | None = None
    for instances in problem.instances:
        for tables, places in enumerate(problem.tables.places):
            if not in_step(problem, instances, places):
                continue
            for size, narrow in product(range(len(problem.sizes.tiles)), range(most)):
                widths = [min(narrow, len(each.widths) - 1) for each in problem.layers]
                found = evaluated(problem, instances, tables, size, widths, bound, "greedy")
                if found is None:
                    continue
                key = found.period_ns, _arrays(problem, found)
                if best is None or key < best[:2]:
                    best = (*key, found)
    assert best is not None
    return best[2]


def _arrays(problem: AllocationProblem, found: Allocation) -> int:
    own = sum(each.arrays[w] for each, w in zip(problem.layers, found.widths, strict=True))
    return found.instances * own + problem.table_arrays + problem.tables.arrays[found.tables]


def solve_allocation(problem: AllocationProblem) -> Allocation:
    """The best allocation: proven, or within a deterministic limit the best that was found.

    Of those within a thousandth of the best the one that takes the fewest arrays.
    """
    start = greedy(problem)
    model = cp_model.CpModel()
    chosen = {n: model.new_bool_var(f"instances {n}") for n in problem.instances}
    tables = [model.new_bool_var(f"tables {k}") for k in range(len(problem.tables.places))]
    model.add_exactly_one(chosen.values())
    sizes = [model.new_bool_var(f"size {k}") for k in range(len(problem.sizes.tiles))]
    model.add_exactly_one(tables)
    model.add_exactly_one(sizes)
    for n, one in chosen.items():
        for p, other in zip(problem.tables.places, tables, strict=True):
            if not in_step(problem, n, p):
                model.add_at_most_one(one, other)
    widths = [[model.new_bool_var(f"{e.name} {w}") for w in e.widths] for e in problem.layers]
    for options in widths:
        model.add_exactly_one(options)
    # units of one instance: its share is a request in so many
    largest = int(_UNITS * (start.period_ns + 1))
    busy = model.new_int_var(0, largest, "busy")
    own = sum(
        arrays * var
        for each, options in zip(problem.layers, widths, strict=True)
        for arrays, var in zip(each.arrays, options, strict=True)
    )
    latency = int(_UNITS * problem.latency_ns) + sum(
        _units(ns) * var
        for each, options in zip(problem.layers, widths, strict=True)
        for ns, var in zip(each.busy_ns, options, strict=True)
    )
    latency += sum(_units(ns) * var for var, ns in zip(sizes, problem.sizes.vector_ns, strict=True))
    more = sum(a * var for var, a in zip(tables, problem.tables.arrays, strict=True))
    for var, ns in zip(tables, problem.tables.busy_ns, strict=True):
        model.add(busy >= _units(ns)).only_enforce_if(var)
    taken = model.new_int_var(0, problem.arrays, "arrays")
    for n, var in chosen.items():
        model.add(taken >= n * own + problem.table_arrays + more).only_enforce_if(var)
        model.add(min(n, problem.chips) * busy >= _units(problem.shared_ns)).only_enforce_if(var)
        for other, ns in zip(tables, problem.tables.instance_ns, strict=True):
            model.add(n * busy >= _units(ns)).only_enforce_if(var, other)
        for other, ns in zip(sizes, problem.sizes.busy_ns, strict=True):
            model.add(n * busy >= _units(ns)).only_enforce_if(var, other)
        for each, options in zip(problem.layers, widths, strict=True):
            time = sum(_units(ns) * o for ns, o in zip(each.busy_ns, options, strict=True))
            model.add(n * busy >= time).only_enforce_if(var)
        if n > 1:
            # so many tiles are left for each instance
            model.add(own <= (problem.tiles // n) * problem.tile_arrays).only_enforce_if(var)
            for other, tiles in zip(sizes, problem.sizes.tiles, strict=True):
                if n * tiles > problem.tiles:
                    model.add_at_most_one(var, other)
    period = latency + (problem.in_flight - 1) * busy
    tie = max(1, int(1000 * problem.arrays / (_UNITS * start.period_ns)))  # arrays weigh a thousandth in all
    model.minimize(tie * period + taken)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 1
    solver.parameters.max_deterministic_time = _EFFORT
    solver.parameters.cp_model_probing_level = 0  # longer than the search that it would shorten
    solver.parameters.linearization_level = 0
    _hint(model, start, chosen, tables, sizes, widths)
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return start
    found = evaluated(
        problem,
        next(n for n, var in chosen.items() if solver.boolean_value(var)),
        next(k for k, var in enumerate(tables) if solver.boolean_value(var)),
        next(k for k, var in enumerate(sizes) if solver.boolean_value(var)),
        [next(k for k, var in enumerate(options) if solver.boolean_value(var)) for options in widths],
        0.0,
        "cp-sat",
    )
    if found is None or found.period_ns > start.period_ns * 1.001:
        return start
    proven = (solver.best_objective_bound - problem.arrays) / tie / _UNITS
    bound = max(lower_bound(problem), min(proven, found.period_ns))
    return replace(found, bound_ns=bound)


def _units(ns: float) -> int:
    return round(_UNITS * ns)


def _hint(
    model: cp_model.CpModel,
    start: Allocation,
    chosen: dict[int, cp_model.IntVar],
    tables: list[cp_model.IntVar],
    sizes: list[cp_model.IntVar],
    widths: list[list[cp_model.IntVar]],
) -> None:
    for n, var in chosen.items():
        model.add_hint(var, n == start.instances)
    for k, var in enumerate(tables):
        model.add_hint(var, k == start.tables)
    for k, var in enumerate(sizes):
        model.add_hint(var, k == start.size)
    for options, at in zip(widths, start.widths, strict=True):
        for k, var in enumerate(options):
            model.add_hint(var, k == at)
