"""The integers that CP-SAT computes with say what the goal says, and forbid what it does not serve."""

from __future__ import annotations

import pytest
from ortools.sat.python import cp_model

from cimc.mapping.allocation.allocation_problem import AllocationProblem, Power, TableChoices, TileChoices
from cimc.mapping.allocation.goal import OBJECTIVES, Goal
from cimc.mapping.allocation.objective_cost import UNITS, objective_cost

BUSY, LATENCY, ARRAYS, TILES = 40.0, 1500.0, 100, 20
POWER = Power(2e5, 4.0, 50.0, 4000.0)


def solved(goal: Goal) -> float | None:
    """The least cost with everything fixed, in ns, pJ or pJ x ns; ``None``: forbidden."""
    tables, sizes = TableChoices((1,), (0,), (0.0,), (0.0,), (500.0,)), TileChoices((1,), (0.0,), (0.0,))
    problem = AllocationProblem((1,), (), tables, sizes, 1, 0.0, LATENCY, goal, 512, 0, 8, 64, POWER)
    model = cp_model.CpModel()
    choice = model.new_bool_var("")
    model.add(choice == 1)
    busy, taken, on = (model.new_int_var(n, n, "") for n in (round(UNITS * BUSY), ARRAYS, TILES))
    cost = objective_cost(model, problem, [choice], busy, round(UNITS * LATENCY), taken, on)
    model.minimize(cost.value)
    solver = cp_model.CpSolver()
    found = solver.solve(model)
    return None if found == cp_model.INFEASIBLE else solver.objective_value / cost.units


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("rate", [0.0, 0.001, 0.018])
def test_costs_are_those_of_the_goal(objective: str, rate: float) -> None:
    goal = Goal(objective, 64, rate)
    static = POWER.rest_mw + POWER.array_mw * ARRAYS + POWER.tile_mw * TILES
    wanted = goal.value(BUSY, LATENCY, POWER.dynamic_pj + 500.0, static)
    assert solved(goal) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize(
    ("goal", "kept"),
    [
        (Goal("latency", rate=0.03), False),  # 120 % busy
        (Goal("latency", rate=0.02, p99_ns=1550.0), False),
        (Goal("latency", rate=0.02, p99_ns=2000.0), True),
        (Goal("energy", 64, p99_ns=4000.0), False),
        (Goal("energy", 64, p99_ns=4100.0), True),
    ],
)
def test_what_is_not_kept_is_forbidden(goal: Goal, kept: bool) -> None:
    assert (solved(goal) is not None) == kept
