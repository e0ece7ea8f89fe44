"""The exact strategy: exhaustive search agrees, and bounds are proofs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from cimc.errors import InfeasibleError, PassError
from cimc.mapping import PlacementProblem, solve
from tests.mapping.assignment.placement_instances import exhaustive, problems, zipf


@settings(max_examples=25, deadline=None)
@given(problems(max_items=5, max_bins=3, roomy=True))
def test_exhaustive_search_agrees(problem: PlacementProblem) -> None:
    found = solve(problem, "exact")
    if found.certificate is None:  # every assignment has the same hops
        return
    assert "optimum proven" in found.produced_by
    _, bottleneck, hops = exhaustive(problem)
    within = hops[bottleneck <= found.certificate.limit * (1 + 1e-12)]
    best = float(within.min())
    assert found.evaluation.hops == pytest.approx(best, rel=1e-9, abs=1e-9)
    assert found.evaluation.bottleneck <= found.certificate.limit * (1 + 1e-9)
    assert found.certificate.hops_bound == pytest.approx(best, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("bins", "seed"), [(8, 2), (16, 0), (16, 1)])
def test_forty_items_have_a_proven_optimum(bins: int, seed: int) -> None:
    problem = zipf(40, bins, seed=seed)
    found, before = solve(problem, "exact"), solve(problem, "ortools")
    assert found.produced_by == "CP-SAT, optimum proven"
    assert found.certificate is not None
    assert before.certificate is not None
    assert found.certificate.limit == before.certificate.limit
    assert found.evaluation.hops == pytest.approx(found.certificate.hops_bound, rel=1e-6)
    assert before.certificate.hops_bound <= found.evaluation.hops <= before.evaluation.hops
    if (bins, seed) == (16, 1):
        assert found.evaluation.hops < 0.98 * before.evaluation.hops
    np.testing.assert_array_equal(solve(problem, "exact").assignment, found.assignment)


def test_a_limit_of_effort_leaves_a_bound() -> None:
    found = solve(zipf(40, 8, seed=1), "exact", effort=0.05)
    assert found.certificate is not None
    assert "above the optimum" in found.produced_by
    assert found.certificate.hops_bound < found.evaluation.hops


def test_many_items_are_left_to_ortools() -> None:
    problem = zipf(40, 8)
    found = solve(problem, "exact", max_items=39)
    np.testing.assert_array_equal(found.assignment, solve(problem, "ortools").assignment)
    assert "CP-SAT" not in found.produced_by


def tight(size: list[int], capacity: list[int]) -> PlacementProblem:
    n = len(size)
    return PlacementProblem(
        load=np.ones(n),
        size=np.array(size),
        traffic=np.ones(n),
        capacity=np.array(capacity),
        distance=np.arange(len(capacity)) + 1.0,
    )


def test_what_cannot_be_packed_is_proven() -> None:
    with pytest.raises(InfeasibleError, match="no packing exists"):
        solve(tight([4, 4, 4, 4, 4, 3, 3], [9, 9, 9]), "exact")


def test_options_that_make_no_sense() -> None:
    with pytest.raises(PassError, match="effort"):
        solve(zipf(5, 2), "exact", effort=0.0)
    with pytest.raises(PassError, match="max_items"):
        solve(zipf(5, 2), "exact", max_items=-1)
