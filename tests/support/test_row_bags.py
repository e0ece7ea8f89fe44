"""Ragged lists of rows against lists of Python."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cimc.support.row_bags import RowBags

BAGS = st.lists(st.sets(st.integers(0, 7), min_size=2), max_size=8)


def made(bags: list[set[int]]) -> RowBags:
    rows = np.array([row for bag in bags for row in sorted(bag)], np.int64)
    lengths = np.array([len(bag) for bag in bags], np.int64)
    return RowBags.of_lengths(rows, lengths, np.arange(1, len(bags) + 1))


def listed(bags: RowBags) -> list[list[int]]:
    return [bags.rows[i:j].tolist() for i, j in itertools.pairwise(bags.starts.tolist())]


@given(BAGS)
def test_bags_by_row(bags: list[set[int]]) -> None:
    found = made(bags)
    assert listed(found) == [sorted(bag) for bag in bags]
    start, bag = found.by_row(8)
    for row in range(8):
        assert bag[start[row] : start[row + 1]].tolist() == [b for b, rows in enumerate(bags) if row in rows]


@given(BAGS, st.permutations(range(-3, 5)))
def test_renamed_rows_keep_their_bags_and_weights(bags: list[set[int]], names: list[int]) -> None:
    found = made(bags).renamed(np.array(names, np.int64))
    kept = [([names[r] for r in sorted(bag) if names[r] >= 0], w) for w, bag in enumerate(bags, 1)]
    kept = [(rows, weight) for rows, weight in kept if len(rows) >= 2]
    assert listed(found) == [rows for rows, _ in kept]
    assert found.weights.tolist() == [weight for _, weight in kept]


def test_pairs_are_bags_of_two() -> None:
    found = RowBags.of_pairs(np.array([[3, 5], [0, 1]]), np.array([7, 2]))
    assert (listed(found), found.weights.tolist()) == ([[3, 5], [0, 1]], [7, 2])
    assert len(RowBags.none()) == 0
    assert listed(RowBags.none()) == []
