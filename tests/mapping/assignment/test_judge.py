"""The evaluation of an assignment, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.errors import PassError
from cimc.mapping.assignment.judge import evaluate, settle
from cimc.mapping.assignment.problem import PlacementProblem

PROBLEM = PlacementProblem(
    load=np.array([4.0, 2.0, 2.0]),
    size=np.array([2, 1, 1]),
    traffic=np.array([1.0, 10.0, 100.0]),
    capacity=np.array([2, 2, 4]),
    distance=np.array([1.0, 2.0, 3.0]),
    labels=("a", "b", "c"),
)


def test_figures_of_an_assignment() -> None:
    found = evaluate(PROBLEM, np.array([0, 1, 1]))
    assert (found.bottleneck, found.bottleneck_bound, found.gap) == (4.0, 4.0, 0.0)
    assert found.hops == 1 * 1 + 10 * 2 + 100 * 2
    assert found.hops_bound <= 100 * 1 + 10 * 1 + 1 * 2
    assert found.utilisation == 0.5
    assert (found.load_min, found.load_mean, found.bins_used) == (0.0, 8 / 3, 2)
    assert found.load_std == pytest.approx(np.std([4.0, 4.0, 0.0]))
    assert found.violations == ()


def test_broken_constraints_are_named() -> None:
    found = evaluate(PROBLEM, np.array([0, 0, -1]))
    assert found.violations == ("c is on no bin", "bin 0 holds 3 arrays of crossbar storage, it has 2")
    assert found.hops == 11.0


def test_long_lists_are_cut() -> None:
    many = PlacementProblem(np.ones(20), np.full(20, 2), np.ones(20), np.ones(10, np.int64), np.ones(10))
    assert evaluate(many, np.full(20, 99)).violations[-1] == "and 12 more items are on no bin"
    assert evaluate(many, np.arange(20) % 10).violations[-1] == "and 2 more bins are over capacity"


@pytest.mark.parametrize("wrong", [np.array([0, 1]), np.array([0.0, 1.0, 1.0]), np.array([[0, 1, 1]])])
def test_what_is_no_assignment(wrong: np.ndarray) -> None:
    with pytest.raises(PassError, match="3 integers") as error:
        evaluate(PROBLEM, wrong)
    assert error.value.code == "mapping.bad-assignment"


def test_bounds_settle_on_the_objective_within_rounding_alone() -> None:
    assert settle(1.0, 2.0) == 1.0
    assert settle(1.0 + 1e-12, 1.0) == 1.0
    with pytest.raises(AssertionError, match="above objective"):
        settle(1.1, 1.0)
