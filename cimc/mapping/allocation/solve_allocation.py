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
    meets,
)
from cimc.mapping.allocation.objective_cost import UNITS as _UNITS
from cimc.mapping.allocation.objective_cost import objective_cost

_EFFORT = 4.0
"""Deterministic time of CP-SAT, about seconds."""


def lower_bound(problem: AllocationProblem) -> float:
    """No allocation has a smaller value: every part by itself as good as it can be."""
    least = [min(each.busy_ns) for each in problem.layers]
    most, power = problem.instances[-1], problem.power
    busy = max(
        max((ns / most for ns in least), default=0.0),
        min(problem.tables.instance_ns) / most,
        min(problem.sizes.busy_ns) / most,
        min(problem.tables.busy_ns),
        problem.shared_ns / min(most, problem.chips),
    )
    latency = problem.latency_ns + min(problem.sizes.vector_ns) + sum(least)
    arrays = problem.table_arrays + sum(min(each.arrays) for each in problem.layers)
    static = power.rest_mw + power.array_mw * arrays + power.tile_mw
    dynamic = power.dynamic_pj + min(problem.tables.hop_pj, default=0.0)
    return problem.goal.value(busy, latency, dynamic, static)


def greedy(problem: AllocationProblem) -> Allocation:
    """Every number of instances and places with the narrowest layers that fit, all narrowed alike.

    The best of them that serves the load and keeps the bound on latency, or comes nearest to that; of equal
    ones that with fewer arrays.  The first number of instances of the widest layers, one place each, is taken
    to fit.
    """
    bound = lower_bound(problem)
    most = max((len(each.widths) for each in problem.layers), default=1)
    best: tuple[int, float, int, Allocation] | None = None
    for instances in problem.instances:
        for tables, places in enumerate(problem.tables.places):
            if not in_step(problem, instances, places):
                continue
            for size, narrow in product(range(len(problem.sizes.tiles)), range(most)):
                widths = [min(narrow, len(each.widths) - 1) for each in problem.layers]
                found = evaluated(problem, instances, tables, size, widths, bound, "greedy")
                if found is None:
                    continue
                key = *_rank(problem, found), _arrays(problem, found)
                if best is None or key < best[:3]:
                    best = (*key, found)
    assert best is not None
    return best[3]


def _rank(problem: AllocationProblem, found: Allocation) -> tuple[int, float]:
    """What is better comes first: by value, but the load is served before all else, then latency kept."""
    if not problem.goal.serves(found.busy_ns):
        return 2, found.busy_ns
    return (0, found.value) if meets(problem.goal, found) else (1, found.p99_ns)


def _arrays(problem: AllocationProblem, found: Allocation) -> int:
    own = sum(each.arrays[w] for each, w in zip(problem.layers, found.widths, strict=True))
    return found.instances * own + problem.table_arrays + problem.tables.arrays[found.tables]


def solve_allocation(problem: AllocationProblem) -> Allocation:
    """The best allocation: proven, or within a deterministic limit the best that was found.

    Of those within a thousandth of the best the one that takes the fewest arrays.  Where none that was found
    serves the load, or keeps the bound on latency, it is the one that comes nearest.
    """
    start = greedy(problem)
    found = _solved(problem, start)
    # CP-SAT knows waits by their tangents, which are a little less
    if found is not None and problem.goal.p99_ns and found.p99_ns > problem.goal.p99_ns:
        stricter = replace(problem.goal, p99_ns=2 * problem.goal.p99_ns - 1.001 * found.p99_ns)
        found = _solved(replace(problem, goal=stricter), start) if stricter.p99_ns > 0 else None
    if found is None or _rank(problem, found) > (_rank(problem, start)[0], _rank(problem, start)[1] * 1.001):
        return start
    return found


def _solved(problem: AllocationProblem, start: Allocation) -> Allocation | None:
    """What CP-SAT finds; ``None``: nothing."""
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
    busy = model.new_int_var(0, _longest_busy(problem, start), "busy")
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
    on = _tiles_on(model, problem, chosen, sizes, own, taken)
    cost = objective_cost(model, problem, tables, busy, latency, taken, on)
    # arrays weigh a thousandth in all
    tie = max(1, int(1000 * problem.arrays / max(start.value * cost.units, 1.0)))
    model.minimize(tie * cost.value + taken)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 1
    solver.parameters.max_deterministic_time = _EFFORT
    solver.parameters.cp_model_probing_level = 0  # longer than the search that it would shorten
    solver.parameters.linearization_level = 0
    _hint(model, start, chosen, tables, sizes, widths)
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    found = evaluated(
        problem,
        next(n for n, var in chosen.items() if solver.boolean_value(var)),
        next(k for k, var in enumerate(tables) if solver.boolean_value(var)),
        next(k for k, var in enumerate(sizes) if solver.boolean_value(var)),
        [next(k for k, var in enumerate(options) if solver.boolean_value(var)) for options in widths],
        0.0,
        "cp-sat",
    )
    if found is None:
        return None
    proven = (solver.best_objective_bound - problem.arrays) / tie / cost.units
    return replace(found, bound=max(lower_bound(problem), min(proven * cost.sure, found.value)))


def _longest_busy(problem: AllocationProblem, start: Allocation) -> int:
    """Units of time that the busiest unit of a good allocation is surely busy for no longer than."""
    goal = problem.goal
    if goal.objective == "throughput" and goal.in_flight > 1 and meets(goal, start):
        return int(_UNITS * (start.response_ns + 1))
    slowest = [max(each.busy_ns) for each in problem.layers]
    tables, sizes = problem.tables, problem.sizes
    return _UNITS + _units(
        max(*slowest, problem.shared_ns, *tables.busy_ns, *tables.instance_ns, *sizes.busy_ns)
    )


def _tiles_on(
    model: cp_model.CpModel,
    problem: AllocationProblem,
    chosen: dict[int, cp_model.IntVar],
    sizes: list[cp_model.IntVar],
    own: cp_model.LinearExprT,
    taken: cp_model.IntVar,
) -> cp_model.IntVar:
    """Tiles that take static power: as :func:`evaluated` counts them."""
    most = problem.arrays + problem.tiles * problem.instances[-1]
    each = model.new_int_var(0, problem.tiles + problem.arrays, "tiles of one")
    model.add(problem.tile_arrays * each >= own)
    for var, tiles in zip(sizes, problem.sizes.tiles, strict=True):
        model.add(each >= tiles).only_enforce_if(var)
    wanted, on = model.new_int_var(0, most, "tiles"), model.new_int_var(0, problem.tiles, "tiles on")
    for n, var in chosen.items():
        if n == 1:
            model.add(wanted >= taken).only_enforce_if(var)
            model.add(wanted >= each).only_enforce_if(var)
        else:
            model.add(wanted >= n * each - n * own + taken).only_enforce_if(var)
    model.add_min_equality(on, [wanted, problem.tiles])
    return on


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
