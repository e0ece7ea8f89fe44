"""What holds for every policy: room, bounds, equal answers; and what they are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cimc.errors import InfeasibleError, PassError
from cimc.mapping.dtypes import IntArray
from cimc.mapping.sharding.plan_shards import SHARDINGS, plan_shards
from cimc.mapping.sharding.sharding_problem import ShardingProblem
from tests.mapping.sharding.instances import drawn, least

POLICIES = ("neuroshard", "recshard", "torchrec")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(3))
def test_plans_fit_are_no_better_than_the_best_and_are_equal_again(policy: str, seed: int) -> None:
    problem = drawn(seed, [3, 2, 1], columns=seed % 2 == 1)
    found = plan_shards(problem, policy)
    assert np.all(problem.used(found.chip) <= problem.capacity)
    assert found.bottleneck_ns == pytest.approx(float(problem.times(found.chip).max()))
    best = least(problem)
    assert found.bound_ns <= best * (1 + 1e-12)
    assert best * (1 - 1e-12) <= found.bottleneck_ns <= 2.0 * best
    again = plan_shards(problem, policy)
    assert (again.chip.tolist(), again.produced_by) == (found.chip.tolist(), found.produced_by)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_fits_nowhere_is_explained(policy: str) -> None:
    with pytest.raises(InfeasibleError) as caught:
        plan_shards(drawn(0, [5, 5, 5], room=4), policy)
    shortage = caught.value.shortage
    assert (shortage.demand, shortage.bound) == (15, 12)
    assert shortage.levers


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_and_a_single_chip(policy: str) -> None:
    assert plan_shards(drawn(0, []), policy).chip.size == 0
    one = plan_shards(drawn(0, [2, 1], chips=1), policy)
    assert one.chip.tolist() == [0, 0, 0]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_table_larger_than_a_chip_is_cut(policy: str) -> None:
    problem = drawn(1, [6, 1], room=3)
    chip = plan_shards(problem, policy).chip
    assert len(set(chip[:6].tolist())) > 1


def test_traffic_is_that_of_pieces_pooled_by_tile_or_of_a_whole_table() -> None:
    problem = drawn(2, [4])
    many = replace(problem, seen=np.full(4, 3.0))
    half = many.piece(0, np.array([2, 0]))
    assert half.blocks.tolist() == [0, 2]
    assert half.bits == pytest.approx(problem.asked_bits[[0, 2]].sum() + 6.0 * 300.0 * 4 / 6)
    assert many.piece(0, np.arange(4)).bits == 400.0


def test_a_policy_that_overfills_a_chip_is_caught() -> None:
    def all_on_one(problem: ShardingProblem, /, *, seed: int) -> tuple[IntArray, str, dict[str, int]]:
        return np.zeros(problem.table.size, np.int64), "", {}

    with SHARDINGS.restored():
        SHARDINGS.register("all_on_one", all_on_one)
        with pytest.raises(PassError) as caught:
            plan_shards(drawn(0, [3, 3]), "all_on_one")
    assert caught.value.code == "mapping.invalid-solution"


@pytest.mark.parametrize(
    "change",
    [
        {"table": np.array([1, 0])}, {"per_unit": np.array([0])}, {"tiles": 0},
        {"link_bits_per_ns": np.array([1.0, 0.0, 1.0])}, {"seen": np.zeros(3)},
    ],
)  # fmt: skip
def test_bad_problems_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(PassError) as caught:
        replace(drawn(0, [1, 1]), **change)  # type: ignore[arg-type]
    assert caught.value.code == "mapping.bad-problem"


@pytest.mark.parametrize(
    ("policy", "option"),
    [
        ("torchrec", {"memory_bins": 0}), ("torchrec", {"proposals": 0}), ("recshard", {"steps": 0}),
        ("recshard", {"deterministic_time": -1.0}), ("neuroshard", {"beam": 0}),
        ("neuroshard", {"steps": -1}),
    ],
)  # fmt: skip
def test_bad_options_are_refused(policy: str, option: dict[str, float]) -> None:
    with pytest.raises(PassError) as caught:
        plan_shards(drawn(0, [1]), policy, **option)
    assert caught.value.code == "mapping.bad-option"
