"""Bins of equal capacity trade contents: no such trade is better."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.mapping.assignment.judge import evaluate
from cimc.mapping.assignment.relabel import nearest_first
from tests.mapping.assignment.placement_instances import exhaustive, problems


@settings(max_examples=20)
@given(problems(max_items=4, max_bins=4), st.data())
def test_no_permutation_of_equal_bins_has_fewer_hops(problem, data) -> None:  # type: ignore[no-untyped-def]
    every = exhaustive(problem)[0]
    if not len(every):
        return
    given_ = every[data.draw(st.integers(0, len(every) - 1))]
    found = nearest_first(problem, given_)
    best = evaluate(problem, found)
    assert best.violations == ()
    assert best.bottleneck == evaluate(problem, given_).bottleneck
    for order in itertools.permutations(range(problem.n_bins)):
        if np.array_equal(problem.capacity[list(order)], problem.capacity):
            assert best.hops <= evaluate(problem, np.array(order)[given_]).hops * (1 + 1e-9)
