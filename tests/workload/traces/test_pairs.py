"""Rows that bags hold together, against counting them one by one."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.workload.traces.pairs import PairCounter, rows_that_fit

BAGS = st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=8)


@settings(max_examples=50)
@given(BAGS, st.sets(st.integers(0, 9), min_size=1), st.integers(1, 50))
def test_pairs_of_known_rows_are_counted_once_a_bag(
    bags: list[list[int]], known: set[int], keep: int
) -> None:
    counter = PairCounter(np.array(sorted(known)))
    half = len(bags) // 2
    for part in (bags[:half], bags[half:]):
        starts = np.cumsum([0, *map(len, part)])
        counter.add(np.array([i for ids in part for i in ids], np.int64), starts)
    expected = Counter(pair for ids in bags for pair in combinations(sorted(set(ids) & known), 2))
    pairs, counts = counter.result(keep)
    ranked = sorted(expected.items(), key=lambda item: (-item[1], item[0]))[:keep]
    assert list(zip(map(tuple, pairs.tolist()), counts.tolist(), strict=True)) == ranked


@pytest.mark.parametrize("room", [0, -5, 13, 14, 1000, 10**6])
def test_rows_that_fit(room: int) -> None:
    found = rows_that_fit(300, room)
    assert found * (found - 1) // 2 * 13 <= max(room, 0) or found <= 1
    if found < 300:
        assert (found + 1) * found // 2 * 13 > room
