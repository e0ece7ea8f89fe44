"""What is particular to each placement strategy; what they share is in ``test_solve.py``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cimc.errors import InfeasibleError, PassError
from cimc.mapping.assignment.exchange import bin_loads
from cimc.mapping.assignment.judge import evaluate
from cimc.mapping.assignment.methods.anneal import anneal, balance_limit, check, nothing_to_gain
from cimc.mapping.assignment.methods.first_fit import first_fit
from cimc.mapping.assignment.methods.greedy import greedy
from cimc.mapping.assignment.methods.ortools import ortools
from cimc.mapping.assignment.methods.published import (
    frequency_deal,
    hottest_to_idlest,
    lpt_by_cost,
    pimcomp_sequential,
)
from cimc.mapping.assignment.methods.ring_lp import solve_rings
from cimc.mapping.assignment.methods.round_robin import round_robin
from cimc.mapping.assignment.problem import PlacementProblem, Proposal
from cimc.mapping.assignment.rings import Classes, Rings
from tests.mapping.assignment.placement_instances import planted, zipf


def items(size: list[int], capacity: list[int], **more: list[float]) -> PlacementProblem:
    n, m = len(size), len(capacity)
    given = {"load": [1.0] * n, "traffic": [1.0] * n, "distance": [float(b) for b in range(m)]} | more
    return PlacementProblem(
        size=np.array(size), capacity=np.array(capacity), **{k: np.array(v) for k, v in given.items()}
    )


def placed(proposal: Proposal) -> list[int]:
    return proposal.assignment.tolist()


def test_round_robin_goes_on_behind_the_last_bin() -> None:
    found = round_robin(items([1, 1, 2, 1], [2, 1, 2]), seed=0)
    assert (placed(found), found.produced_by) == ([0, 1, 2, 0], "round_robin")
    assert found.effort == {"bins_skipped": 0}
    skipping = round_robin(items([1, 2, 1], [2, 1, 2]), seed=0)
    assert (placed(skipping), skipping.effort) == ([0, 2, 0], {"bins_skipped": 1})


def test_first_fit_takes_the_largest_first() -> None:
    found = first_fit(items([1, 3, 2, 2], [4, 4]), seed=0)
    assert (placed(found), found.produced_by) == ([0, 0, 1, 1], "first_fit")


@pytest.mark.parametrize(
    "strategy", [round_robin, first_fit, pimcomp_sequential, frequency_deal, lpt_by_cost]
)
def test_what_a_simple_rule_leaves_over_is_packed_and_said(strategy: Callable[..., Proposal]) -> None:
    """Only 3 + 3 and 2 + 2 + 2 fill both bins; each rule begins otherwise."""
    problem = items([3, 2, 2, 3, 2], [6, 6], load=[5.0, 4.0, 2.0, 3.0, 1.0])
    found = strategy(problem, seed=0)
    assert evaluate(problem, found.assignment).violations == ()
    if strategy is not first_fit:
        assert found.produced_by != strategy.__name__
    with pytest.raises(InfeasibleError):
        strategy(items([2, 2, 2], [3, 3]), seed=0)


def test_greedy_balances_and_puts_the_busiest_nearest() -> None:
    problem = items([1, 1, 1, 1], [2, 2], load=[4.0, 3.0, 2.0, 1.0], traffic=[1.0, 9.0, 9.0, 1.0])
    found = greedy(problem, seed=0)
    assert bin_loads(problem, found.assignment).tolist() == [5.0, 5.0]
    assert found.assignment[1] == found.assignment[2] == 0


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        (greedy, {"target_gap": -1.0}),
        (greedy, {"effort": -1}),
        (anneal, {"eps": float("inf")}),
        (ortools, {"max_rings": 0}),
        (lpt_by_cost, {"transfer_weight": -0.5}),
    ],
)
def test_options_without_sense_are_refused(
    strategy: Callable[..., Proposal], options: dict[str, float]
) -> None:
    with pytest.raises(PassError) as error:
        strategy(planted(2, 3), seed=0, **options)
    assert error.value.code == "mapping.bad-option"
    assert next(iter(options)) in str(error.value)
    with pytest.raises(PassError, match="sweeps"):
        check(0.1, -1, 0)


@pytest.mark.parametrize(
    ("problem", "why"),
    [
        (items([], [1]), "there are no items"),
        (items([1], [1, 1], traffic=[0.0]), "there is no traffic"),
        (items([2], [2, 1, 2], distance=[3.0, 1.0, 3.0]), "all bins are equally far"),
        (items([1], [1, 1]), ""),
    ],
)
def test_where_every_place_is_as_good(problem: PlacementProblem, why: str) -> None:
    assert nothing_to_gain(problem) == why
    if why and problem.n_items:
        for strategy in (anneal, ortools):
            found = strategy(problem, seed=0)
            assert found.produced_by == f"greedy ({why})"


@pytest.mark.parametrize("strategy", [anneal, ortools])
def test_annealing_saves_hops_within_the_limit(strategy: Callable[..., Proposal]) -> None:
    problem = zipf(60, 9)
    incumbent = greedy(problem, seed=0).assignment
    limit = balance_limit(problem, incumbent, 0.05)
    assert limit >= bin_loads(problem, incumbent).max()
    found = strategy(problem, seed=1, sweeps=300)
    assert bin_loads(problem, found.assignment).max() <= limit
    assert evaluate(problem, found.assignment).hops < evaluate(problem, incumbent).hops
    assert found.effort["balance_limit"] == limit
    assert (found.prices is not None) == (strategy is ortools)


CLASSES = Classes(np.array([2, 2]), np.ones(2), np.ones(2), np.array([3.0, 1.0]), 0.0)


def test_the_ring_program_fills_the_near_ring_with_the_busiest_class() -> None:
    rings = Rings(np.array([0, 1]), np.array([1.0, 2.0]), np.array([1, 1]), np.array([3, 9]))
    found = solve_rings(CLASSES, rings, 10.0, 1000)
    assert found.optimal
    np.testing.assert_allclose(found.share, [[2, 0], [1, 1]], atol=1e-6)
    # one more place on the near ring would save a hop of the traffic of an item of the second class
    np.testing.assert_allclose(found.size_price, [1, 0], atol=1e-6)
    np.testing.assert_allclose(found.load_price, 0, atol=1e-6)


def test_a_ring_program_without_room_says_so() -> None:
    rings = Rings(np.array([0]), np.array([1.0]), np.array([1]), np.array([3]))
    found = solve_rings(CLASSES, rings, 10.0, 1000)
    assert not found.optimal
    assert "infeasible" in found.status
    assert found.load_price.size == 0


def test_pimcomp_fills_one_tile_after_another() -> None:
    assert placed(pimcomp_sequential(items([2, 1, 2, 1], [3, 3]), seed=0)) == [0, 0, 1, 1]
    assert placed(pimcomp_sequential(items([2, 2, 1], [3, 3]), seed=0)) == [0, 1, 0]


def test_frequency_deal_deals_by_frequency_back_and_forth() -> None:
    found = frequency_deal(items([1] * 5, [9, 9], load=[1.0, 5.0, 4.0, 3.0, 2.0]), seed=0)
    assert placed(found) == [0, 0, 1, 1, 0]


def test_torchrec_weighs_transfer_against_compute() -> None:
    problem = items([1] * 3, [9, 9], load=[4.0, 2.0, 2.0], traffic=[0.0, 0.0, 8.0])
    compute, transfer = (lpt_by_cost(problem, seed=0, transfer_weight=w).assignment for w in (0.0, 100.0))
    assert compute[1] == compute[2] != compute[0]
    assert transfer[0] == transfer[1] != transfer[2]


def test_hottest_to_idlest_puts_the_busiest_tile_nearest() -> None:
    problem = items([1] * 2, [9, 9], load=[2.0, 1.0], traffic=[1.0, 7.0])
    assert placed(hottest_to_idlest(problem, seed=0)) == [1, 0]
