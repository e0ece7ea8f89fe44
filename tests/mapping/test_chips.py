import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.errors import InfeasibleError, PassError
from cimc.mapping.chips import ChipProblem, place_on_chips


def problem_of(cost: list[float], size: list[int], capacity: list[int], link: list[float]) -> ChipProblem:
    n = len(cost)
    return ChipProblem(np.array(cost), np.full(n, 8.0), np.array(size), np.array(capacity), np.array(link))


def least(problem: ChipProblem) -> float | None:
    n, m = problem.cost_ns.shape
    best = None
    for chips in itertools.product(range(m), repeat=n):
        load, used = np.zeros(m), np.zeros(m)
        for table, chip in enumerate(chips):
            load[chip] += problem.cost_ns[table, chip]
            used[chip] += problem.size[table]
        if np.all(used <= problem.capacity) and (best is None or load.max() < best):
            best = float(load.max())
    return best


tables = st.lists(st.tuples(st.integers(1, 50).map(float), st.integers(1, 4)), min_size=1, max_size=6)


@settings(max_examples=15, deadline=None)
@given(tables, st.integers(1, 3), st.integers(4, 10), st.booleans())
def test_the_optimum_is_found_and_proven(
    rows: list[tuple[float, int]], chips: int, capacity: int, equal: bool
) -> None:
    link = [1.0] * chips if equal else [1.0, 2.0, 4.0][:chips]
    problem = problem_of([r[0] for r in rows], [r[1] for r in rows], [capacity] * chips, link)
    best = least(problem)
    if best is None:
        with pytest.raises(InfeasibleError):
            place_on_chips(problem)
        return
    found = place_on_chips(problem)
    assert found.bottleneck_ns == pytest.approx(best, rel=1e-7)
    assert found.bound_ns <= best * (1 + 1e-9)
    assert found.optimal
    again = place_on_chips(problem)
    assert again.chips.tolist() == found.chips.tolist()


def test_branch_and_bound_beats_greedy_on_a_partition() -> None:
    # LPT puts 8, 5 | 7, 6 then 4, 4 ...: the perfect partition needs search.
    problem = problem_of([46.0, 41, 33, 31, 27, 22, 19, 13, 11, 9], [1] * 10, [10] * 3, [8.0] * 3)
    found = place_on_chips(problem)
    assert found.optimal
    assert found.bottleneck_ns == pytest.approx(least_by_sums(problem))


def least_by_sums(problem: ChipProblem) -> float:
    cost = problem.cost_ns[:, 0]
    every = np.array(list(itertools.product(range(3), repeat=cost.size)))
    loads = np.stack([(cost * (every == c)).sum(axis=1) for c in range(3)])
    return float(loads.max(axis=0).min())


def test_larger_problems_keep_greedy_and_say_so() -> None:
    random = np.random.default_rng(0)
    problem = problem_of(random.random(600).tolist(), [1] * 600, [100] * 8, [1.0] * 8)
    found = place_on_chips(problem)
    assert found.produced_by == "greedy (more than 4000 pairs of table and chip)"
    assert found.bound_ns <= found.bottleneck_ns
    assert found.gap < 0.01


def test_bad_problems_are_refused() -> None:
    with pytest.raises(PassError):
        problem_of([1.0], [1], [1], [0.0])
    with pytest.raises(PassError):
        problem_of([1.0, 2.0], [1], [1], [1.0])
