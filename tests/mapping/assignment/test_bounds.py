import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cimc.mapping import PlacementProblem, Prices
from cimc.mapping.assignment.bounds import balanced_hops_bound, bottleneck_bound, hops_bound
from tests.mapping.assignment.placement_instances import exhaustive, planted, problems

ROUNDING = 1 + 1e-9


def loads(values: list[float], capacity: list[int], size: list[int] | None = None) -> PlacementProblem:
    n, m = len(values), len(capacity)
    return PlacementProblem(
        load=np.array(values),
        size=np.array(size or [1] * n),
        traffic=np.zeros(n),
        capacity=np.array(capacity),
        distance=np.zeros(m),
    )


def test_mean_load() -> None:
    assert bottleneck_bound(loads([1.0] * 6, [9, 9])) == pytest.approx(3.0)


def test_heaviest_item() -> None:
    assert bottleneck_bound(loads([7.0, 1.0], [9, 9])) == 7.0


def test_pigeonhole_of_two_and_of_three() -> None:
    assert bottleneck_bound(loads([5.0, 5.0, 5.0], [9, 9])) == 10.0
    assert bottleneck_bound(loads([5.0] * 5, [9, 9])) == 15.0


def test_bins_too_small_for_any_item_do_not_count() -> None:
    assert bottleneck_bound(loads([1.0, 1.0], [4, 4, 1], size=[2, 2])) == pytest.approx(1.0)
    assert bottleneck_bound(loads([1.0] * 4, [4, 4, 1], size=[2] * 4)) == pytest.approx(2.0)


def test_large_items_share_the_bins_that_hold_them() -> None:
    problem = loads([1.0] * 4, [8, 2, 2, 2], size=[2, 2, 2, 1])
    assert bottleneck_bound(problem) == pytest.approx(1.0)
    assert bottleneck_bound(loads([2.0, 2.0, 2.0], [12, 1, 1], size=[4, 4, 4])) == pytest.approx(6.0)


def test_small_bins_leave_the_rest_to_the_others() -> None:
    # Nine equal items; the bin of one unit can hold one of them, so the other bin has eight.
    assert bottleneck_bound(loads([1.0] * 9, [1, 9])) == pytest.approx(8.0)


def test_planted_bottleneck_is_the_bound() -> None:
    assert bottleneck_bound(planted(12, 9)) == pytest.approx(10_000.0)


@settings(max_examples=150, deadline=None)
@given(problems(max_items=5, max_bins=3))
def test_no_assignment_undercuts_a_bound(problem: PlacementProblem) -> None:
    assignments, bottleneck, hops = exhaustive(problem)
    assume(len(assignments) > 0)
    assert bottleneck_bound(problem) <= bottleneck.min() * ROUNDING
    assert hops_bound(problem) <= hops.min() * ROUNDING


@settings(max_examples=150, deadline=None)
@given(problems(max_items=5, max_bins=3), st.data())
def test_any_prices_bound_the_hops_within_the_limit(problem: PlacementProblem, data: st.DataObject) -> None:
    assignments, bottleneck, hops = exhaustive(problem)
    assume(len(assignments) > 0)
    price = st.lists(st.floats(0, 100), min_size=problem.n_bins, max_size=problem.n_bins)
    limit = float(data.draw(st.sampled_from(np.unique(bottleneck).tolist())))
    prices = Prices(limit, np.array(data.draw(price)), np.array(data.draw(price)))
    assert balanced_hops_bound(problem, prices) <= hops[bottleneck <= limit].min() * ROUNDING


def test_good_prices_beat_the_bound_that_ignores_loads() -> None:
    # One near bin with room for both items, but a limit that admits one: the other travels far.
    problem = PlacementProblem(
        load=np.ones(2),
        size=np.ones(2, dtype=np.int64),
        traffic=np.ones(2),
        capacity=np.array([2, 2]),
        distance=np.array([0.0, 10.0]),
    )
    assert hops_bound(problem) == 0.0
    prices = Prices(1.0, np.array([10.0, 0.0]), np.zeros(2))
    assert balanced_hops_bound(problem, prices) == pytest.approx(10.0)
