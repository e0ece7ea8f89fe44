"""The best allocation against every one that there is, bounds, and determinism."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.mapping.allocation.allocation_problem import (
    Allocation,
    AllocationProblem,
    LayerChoices,
    Power,
    TableChoices,
    TileChoices,
    evaluated,
    in_step,
    meets,
)
from cimc.mapping.allocation.goal import Goal
from cimc.mapping.allocation.solve_allocation import greedy, lower_bound, solve_allocation

NS = st.integers(1, 4000).map(lambda n: n / 10)


SIZES = (
    TileChoices((1,), (9.0,), (7.0,)),
    TileChoices((1, 2, 4), (90.0, 50.0, 31.5), (80.0, 60.0, 55.5)),
)


GOALS = st.builds(
    Goal,
    st.sampled_from(["throughput", "latency", "energy", "edp"]),
    st.sampled_from([1, 2, 64]),
    st.sampled_from([0.0, 0.0, 1e-4, 5e-3]),
    st.sampled_from([0.0, 0.0, 300.0, 3000.0]),
)


@st.composite
def problems(draw: st.DrawFn, goals: st.SearchStrategy[Goal] = GOALS) -> AllocationProblem:
    layers = []
    for number in range(draw(st.integers(0, 3))):
        widths = draw(st.integers(1, 3))
        arrays = sorted(draw(st.lists(st.integers(1, 6), min_size=widths, max_size=widths)))
        busy = sorted(draw(st.lists(NS, min_size=widths, max_size=widths)), reverse=True)
        layers.append(LayerChoices(f"l{number}", tuple(range(widths, 0, -1)), tuple(arrays), tuple(busy)))
    tables = draw(st.integers(1, 4))
    places = [1, *sorted(draw(st.lists(st.integers(2, 6), min_size=tables - 1, max_size=tables - 1)))]
    more = [0, *draw(st.lists(st.integers(0, 20), min_size=tables - 1, max_size=tables - 1))]
    times = [draw(st.lists(NS, min_size=tables, max_size=tables)) for _ in range(3)]
    rows = draw(st.integers(0, 10))
    return AllocationProblem(
        (1, *sorted(draw(st.sets(st.integers(2, 12), max_size=4)))),
        tuple(layers),
        TableChoices(tuple(places), tuple(more), tuple(times[0]), tuple(times[1]), tuple(times[2])),
        draw(
            st.sampled_from(
                [
                    TileChoices((1,), (9.0,), (7.0,)),
                    TileChoices((1, 2, 4), (90.0, 50.0, 31.5), (80.0, 60.0, 55.5)),
                ]
            )
        ),
        draw(st.sampled_from([1, 3])),
        draw(NS),
        draw(NS),
        draw(goals),
        rows + sum(each.arrays[0] for each in layers) + draw(st.integers(0, 60)),
        rows,
        draw(st.integers(1, 8)),
        draw(st.integers(1, 16)),
        Power(draw(NS), draw(NS), draw(NS), draw(NS)),
    )


def every(problem: AllocationProblem) -> list[Allocation]:
    """All allocations."""
    found = []
    for instances, tables in product(problem.instances, range(len(problem.tables.places))):
        if not in_step(problem, instances, problem.tables.places[tables]):
            continue
        choices = [range(len(each.widths)) for each in problem.layers]
        for size, *widths in product(range(len(problem.sizes.tiles)), *choices):
            one = evaluated(problem, instances, tables, size, widths, 0.0, "all")
            if one is not None:
                found.append(one)
    return found


@settings(max_examples=60, deadline=None)
@given(problems(st.builds(Goal, st.just("throughput"), st.sampled_from([1, 2, 64]))))
def test_it_is_the_best_there_is(problem: AllocationProblem) -> None:
    best, found, quick = min(a.value for a in every(problem)), solve_allocation(problem), greedy(problem)
    # of those within a thousandth the one with the fewest arrays; times are rounded to hundredths of a ns
    slack = 0.02 * (problem.goal.in_flight + len(problem.layers))
    assert best <= found.value * (1 + 1e-12)
    assert found.value <= 1.001 * best + slack
    assert best <= quick.value * (1 + 1e-12)
    assert lower_bound(problem) <= best * (1 + 1e-12)
    assert found.bound <= best + slack
    assert found.gap >= 0
    assert found.value == pytest.approx(found.latency_ns + (problem.goal.in_flight - 1) * found.busy_ns)
    assert solve_allocation(problem) == found


@settings(max_examples=120, deadline=None)
@given(problems())
def test_it_is_the_best_for_every_objective_and_load(problem: AllocationProblem) -> None:
    goal, found = problem.goal, solve_allocation(problem)
    good = [a.value for a in every(problem) if meets(goal, a)]
    if not good:
        assert not meets(goal, found)
        served = [a for a in every(problem) if goal.serves(a.busy_ns)]
        assert goal.serves(found.busy_ns) == bool(served)
        return
    assert meets(goal, found)
    # waits are known by their tangents, products in steps
    assert min(good) * (1 - 1e-12) <= found.value <= 1.01 * min(good) + 0.02 * (goal.in_flight + 3)
    assert lower_bound(problem) <= min(good) * (1 + 1e-12)
    assert found.bound <= min(good) * (1 + 1e-3) + 0.02 * (goal.in_flight + 3)


def test_waits_at_a_rate_are_those_of_a_queue() -> None:
    goal = Goal("latency", rate=0.01)
    assert goal.waits(50.0) == pytest.approx(0.5 * 50 / (2 * 0.5))  # M/D/1
    assert goal.waits(1.0) < goal.waits_p99(50.0)
    assert goal.serves(94.9)
    assert not goal.serves(96.0)
    assert goal.waits(100.0) == float("inf")
    assert goal.request_ns(50.0, 1000.0) == 100.0


def test_each_objective_takes_what_it_is_for() -> None:
    """Copies make requests faster, and take power; a slow machine makes static power last longer."""
    layer = LayerChoices("l", (64,), (4,), (100.0,))
    tables = TableChoices((1, 4), (0, 8), (1.0, 1.0), (1.0, 1.0), (1000.0, 100.0))

    def found(objective: str, rate: float, power: Power, p99: float = 0.0) -> tuple[int, int]:
        problem = AllocationProblem(
            (1, 2, 4, 8), (layer,), tables, SIZES[0], 1, 1.0, 500.0, Goal(objective, 64, rate, p99),
            512, 4, 8, 64, power,
        )  # fmt: skip
        best = solve_allocation(problem)
        return best.instances, best.places

    leaky, tight = Power(100.0, 50.0, 50.0, 0.0), Power(100.0, 0.0, 0.0, 10.0)
    assert found("throughput", 0.0, leaky)[0] == 8
    assert found("energy", 1e-3, leaky) == (1, 1)  # more arrays leak more than hops cost
    assert found("energy", 1e-3, tight) == (4, 4)  # nothing but hops
    assert found("energy", 0.0, tight)[0] == 8  # the rest of the machine is on for a shorter time
    assert found("edp", 0.0, leaky)[0] > found("energy", 0.0, leaky)[0]
    assert found("latency", 9.9e-3, leaky)[0] == 8
    assert found("energy", 5e-3, leaky)[0] == 1
    assert found("energy", 5e-3, leaky, 760.0)[0] > 1


def test_copies_pay_until_something_shared_is_in_the_way() -> None:
    layer = LayerChoices("l", (64, 32), (1, 2), (200.0, 100.0))
    sizes = TileChoices((1,), (100.0,), (100.0,))
    tables = TableChoices((1, 4), (0, 12), (40.0, 10.0), (800.0, 600.0))

    def found(
        in_flight: int, shared: float, arrays: int = 512, chips: int = 1
    ) -> tuple[int, int, tuple[int, ...]]:
        problem = AllocationProblem(
            (1, 2, 4, 8, 16, 32),
            (layer,),
            tables,
            sizes,
            chips,
            shared,
            1400.0,
            Goal(in_flight=in_flight),
            arrays,
            4,
            8,
            64,
        )
        best = solve_allocation(problem)
        return best.instances, best.places, best.widths

    assert found(1, 1.0) == (1, 1, (1,))  # alone, a request is served by one instance of narrow layers
    assert found(64, 1.0) == (32, 4, (1,))
    assert found(64, 150.0) == (8, 1, (1,))  # more would wait for what all share
    assert found(64, 1.0, 5) == (1, 1, (0,))
    # every chip with an instance has links of its own
    assert found(64, 150.0, chips=8) == (32, 1, (1,))
    assert found(64, 600.0, chips=64)[0] == 32


def test_an_instance_has_its_place_on_its_own_chip() -> None:
    problem = AllocationProblem(
        (1, 2, 4, 8), (), TableChoices((1,), (0,), (1.0,), (1.0,)), SIZES[0], 4, 1.0, 1.0, Goal(), 8, 0, 8, 64
    )
    pairs = [(n, p) for n in (1, 2, 4, 8, 16) for p in (1, 2, 4, 8) if in_step(problem, n, p)]
    assert pairs == [
        (1, 1),
        (2, 1),
        (2, 2),
        (4, 1),
        (4, 4),
        (8, 1),
        (8, 4),
        (8, 8),
        (16, 1),
        (16, 4),
        (16, 8),
    ]
