import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.errors import PassError
from cimc.mapping.replication import ReplicationProblem, replicate, replication_bound, replications, split

cases = st.tuples(
    st.lists(st.floats(0, 100), min_size=1, max_size=4),
    st.lists(st.integers(1, 3), min_size=4, max_size=4),
    st.integers(0, 8),
    st.integers(1, 4),
)


def problem_of(case: tuple[list[float], list[int], int, int]) -> ReplicationProblem:
    load, size, spare, bins = case
    return ReplicationProblem(np.array(load), np.array(size[: len(load)]), spare, bins)


@settings(max_examples=150, deadline=None)
@given(cases)
def test_the_bottleneck_policy_is_exact(case: tuple[list[float], list[int], int, int]) -> None:
    problem = problem_of(case)
    plans = np.array(list(itertools.product(range(1, problem.bins + 1), repeat=problem.load.size)))
    fits = ((plans - 1) * problem.size).sum(axis=1) <= problem.spare
    least = float((problem.load / plans[fits]).max(axis=1).min())
    assert replicate(problem, "bottleneck", floor=0.0).heaviest == least
    assert replication_bound(problem) == max(least, problem.mean)


@pytest.mark.parametrize("policy", ["bottleneck", "log_frequency", "none", "proportional"])
@settings(max_examples=60, deadline=None)
@given(case=cases)
def test_plans_stay_within_room_and_bins(policy: str, case: tuple[list[float], list[int], int, int]) -> None:
    problem = problem_of(case)
    plan = replicate(problem, policy)
    assert plan.copies.min() >= 1
    assert plan.copies.max() <= problem.bins
    assert plan.spent == int(((plan.copies - 1) * problem.size).sum()) <= problem.spare
    assert plan.gap >= 0
    parts = split(problem.load, plan.copies)
    assert parts.sum() == pytest.approx(problem.load.sum())
    assert parts.max(initial=0.0) == plan.heaviest
    assert replicate(problem, policy).copies.tolist() == plan.copies.tolist()


def test_loads_above_the_mean_of_a_bin_are_split() -> None:
    problem = ReplicationProblem(np.array([8.0, 1, 1, 1, 1]), np.ones(5, np.int64), 10, 4)
    assert problem.mean == 3.0
    assert replicate(problem, "none").gap == pytest.approx(8 / 3 - 1)
    for policy in ("bottleneck", "proportional"):
        assert replicate(problem, policy).gap == 0.0


def test_copies_grow_with_the_logarithm_of_the_load() -> None:
    # 16 is 3.2 times the mean of 5, which is 1 + 0.6 doublings; 8 is 1.6 times the mean.
    problem = ReplicationProblem(np.array([16.0, 8, 4, 2, 0, 0]), np.ones(6, np.int64), 100, 50)
    assert replicate(problem, "log_frequency", scale=1.0).copies.tolist() == [2, 1, 1, 1, 1, 1]
    assert replicate(problem, "log_frequency", scale=2.0).copies.tolist() == [4, 2, 1, 1, 1, 1]


def test_bad_input_is_refused() -> None:
    one = np.ones(1)
    for arguments in (
        (one, np.ones(2, np.int64), 0, 1),
        (one, np.ones(1, np.int64), -1, 1),
        (-one, one, 0, 1),
    ):
        with pytest.raises(PassError) as caught:
            ReplicationProblem(*arguments)  # type: ignore[arg-type]
        assert caught.value.code == "mapping.bad-problem"
    problem = ReplicationProblem(one, np.ones(1, np.int64), 0, 1)
    with pytest.raises(PassError) as caught:
        replicate(problem, "bottleneck", floor=-1.0)
    assert caught.value.code == "mapping.bad-option"
    with pytest.raises(PassError) as caught:
        replicate(problem, "everything")
    assert caught.value.code == "mapping.unknown-strategy"
    assert len(replications()) >= 4
