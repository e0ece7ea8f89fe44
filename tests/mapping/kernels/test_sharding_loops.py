"""Dealing pieces against the rule said in Python."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.mapping.kernels.sharding_loops import deal


@pytest.mark.parametrize("seed", range(5))
def test_each_piece_goes_where_the_time_is_then_least(seed: int) -> None:
    random = np.random.default_rng(seed)
    busy, bits, size = random.random(12), random.random(12) * 8, random.integers(1, 4, 12)
    link, order = np.array([1e12, 4.0, 2.0]), random.permutation(12)
    free, time = np.array([9, 7, 8]), np.zeros(3)
    found = deal(order, busy, bits, size, link, free, time)
    left, then, expected = [9, 7, 8], [0.0] * 3, np.full(12, -1)
    for piece in order.tolist():
        costs = [
            (then[c] + busy[piece] + bits[piece] / link[c], c) for c in range(3) if left[c] >= size[piece]
        ]
        if not costs:
            break
        then_best, chip = min(costs)
        expected[piece] = chip
        then[chip] = then_best
        left[chip] -= int(size[piece])
    assert found.tolist() == expected.tolist()
    assert free.tolist() == left
    assert time.tolist() == pytest.approx(then)


def test_what_finds_no_room_ends_the_dealing() -> None:
    one, order = np.ones(3), np.array([0, 2, 1])
    found = deal(order, one, one, np.array([2, 1, 5]), np.ones(1), np.array([3]), np.zeros(1))
    assert found.tolist() == [0, -1, -1]
