"""Bisection of bags: exact halves, never worse than where it began, and close to the best of few rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cimc.errors import PassError
from cimc.mapping.dtypes import BoolArray
from cimc.mapping.grouping import evaluate_grouping, group
from cimc.mapping.kernels.social_hash_loops import bisect
from cimc.support.row_bags import RowBags


def bags_of(lists: list[list[int]]) -> RowBags:
    return RowBags.of_lengths(
        np.array([row for bag in lists for row in bag], np.int64), np.array([len(b) for b in lists], np.int64)
    )


def cost(bags: RowBags, right: BoolArray, left_parts: int, right_parts: int, p: float) -> float:
    there = np.bincount(bags.bag_of, right[bags.rows], len(bags))
    here = bags.lengths - there
    each = left_parts * (1 - (1 - p / left_parts) ** here) + right_parts * (
        1 - (1 - p / right_parts) ** there
    )
    return float((bags.weights * each).sum())


def random_bags(seed: int, rows: int, bags: int, length: int) -> RowBags:
    random = np.random.default_rng(seed)
    return bags_of([sorted(random.choice(rows, length, replace=False).tolist()) for _ in range(bags)])


def cut(bags: RowBags, right: BoolArray, parts: tuple[int, int], rounds: int = 20) -> tuple[float, BoolArray]:
    sides = right.copy()
    state = np.array([7], np.uint64)
    found = bisect(bags.starts, bags.rows, bags.weights, sides, *parts, 0.5, rounds, 0.8, state)
    return found, sides


@pytest.mark.parametrize("parts", [(1, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("seed", range(6))
def test_a_bisection_keeps_its_sizes_and_is_never_worse_than_its_start(
    seed: int, parts: tuple[int, int]
) -> None:
    bags = random_bags(seed, 60, 90, 5)
    start = np.random.default_rng(seed).permutation(60) >= 60 * parts[0] // sum(parts)
    found, sides = cut(bags, start, parts)
    assert sides.sum() == start.sum()
    assert found == pytest.approx(cost(bags, sides, *parts, 0.5))
    assert found <= cost(bags, start, *parts, 0.5) + 1e-9
    unmoved, same = cut(bags, start, parts, rounds=0)
    assert same.tolist() == start.tolist()
    assert found < unmoved  # random bags leave something to win


def test_the_best_of_a_few_seeds_is_the_optimum_of_few_rows() -> None:
    for seed in range(5):
        bags = random_bags(seed, 8, 12, 3)
        least = min(
            cost(bags, np.isin(np.arange(8), chosen), 1, 1, 0.5)
            for chosen in itertools.combinations(range(8), 4)
        )
        starts = [np.random.default_rng(s).permutation(8) >= 4 for s in range(8)]
        assert min(cut(bags, start, (1, 1))[0] for start in starts) == pytest.approx(least)


def test_rows_that_are_read_together_meet_and_seeds_decide() -> None:
    random = np.random.default_rng(0)
    topics = random.permutation(512).reshape(32, 16)
    lists = [sorted(random.choice(topics[t], 6, replace=False).tolist()) for t in random.integers(0, 32, 900)]
    bags = bags_of(lists)
    counts = np.arange(512), np.bincount(bags.rows, minlength=512)
    first, again, other = (group("shp", 512, counts, bags, block_rows=16, seed=s) for s in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
    found = evaluate_grouping(first, 16, bags.bag_of, bags.rows, len(bags))
    hot = group("frequency", 512, counts, block_rows=16)
    assert found.touched < 0.4 * evaluate_grouping(hot, 16, bags.bag_of, bags.rows, len(bags)).touched


def test_arrays_stand_by_their_reads_and_what_is_not_read_comes_last() -> None:
    lists = [[0, 1]] * 3 + [[2, 3]] * 9 + [[4, 5]] * 6
    bags = bags_of(lists)
    ids = np.arange(6)
    slots = group("shp", 8, (ids, np.bincount(bags.rows)), bags, block_rows=2)
    assert [sorted(np.flatnonzero(slots // 2 == array).tolist()) for array in range(4)] == [
        [2, 3], [4, 5], [0, 1], [6, 7],
    ]  # fmt: skip


@pytest.mark.parametrize("option", [{"rounds": -1}, {"p": 0.0}, {"p": 1.0}, {"chance": 0.0}, {"chance": 1.5}])
def test_bad_options_are_refused(option: dict[str, float]) -> None:
    bags = bags_of([[0, 1]])
    with pytest.raises(PassError) as caught:
        group("shp", 2, (np.arange(2), np.ones(2, np.int64)), bags, block_rows=1, **option)
    assert caught.value.code == "mapping.bad-option"
