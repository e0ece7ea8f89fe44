"""Compiled loops of the mapping against all possibilities."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.mapping.kernels.annealing_loops import anneal
from cimc.mapping.kernels.chip_loops import branch
from cimc.mapping.kernels.grouping_loops import grow
from cimc.support.random.splitmix_jit import state_of


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 3)), min_size=1, max_size=5), st.integers(2, 3))
def test_branch_and_bound_finds_the_least_bottleneck(items: list[tuple[int, int]], bins: int) -> None:
    items = sorted(items, reverse=True)
    cost, size = (np.array(v) for v in zip(*items, strict=True))
    capacity = 6
    least = np.inf
    for places in itertools.product(range(bins), repeat=len(items)):
        if np.bincount(places, weights=size, minlength=bins).max() <= capacity:
            least = min(least, np.bincount(places, weights=cost, minlength=bins).max())
    best, found = np.array([1e9]), np.full(len(items), -1)
    nodes = branch(cost.astype(np.float64), size, bins, capacity, best, found, 1e-9, 100_000)
    assert nodes < 100_000
    if np.isinf(least):
        assert best[0] == 1e9
        assert (found == -1).all()
        return
    assert best[0] == least
    assert np.bincount(found, weights=cost, minlength=bins).max() == least
    assert np.bincount(found, weights=size, minlength=bins).max() <= capacity


Bags = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def bags_of_two(n: int, pairs: dict[tuple[int, int], int]) -> Bags:
    """Pairs as bags that are so heavy, and the bags of each row."""
    rows = np.array([row for pair in pairs for row in pair], np.int64)
    order = np.argsort(rows, kind="stable")
    start = np.searchsorted(rows[order], np.arange(n + 1)).astype(np.int64)
    weight = np.array(list(pairs.values()), np.int64)
    return np.arange(0, 2 * len(pairs) + 1, 2), rows, weight, start, order // 2


def test_groups_grow_along_the_heaviest_pairs() -> None:
    pairs = {(0, 4): 9, (4, 2): 5, (0, 1): 1, (1, 3): 7, (1, 5): 2}
    assert grow(*bags_of_two(6, pairs), 3).tolist() == [0, 4, 2, 1, 3, 5]
    assert grow(*bags_of_two(6, pairs), 2).tolist() == [0, 4, 1, 3, 2, 5]


@pytest.mark.parametrize("size", [1, 4, 9])
def test_nodes_without_pairs_keep_their_order(size: int) -> None:
    assert grow(*bags_of_two(7, {}), size).tolist() == list(range(7))


@pytest.mark.parametrize("strict", [True, False])
def test_annealing_keeps_its_sums(strict: bool) -> None:
    rng = np.random.default_rng(2)
    n, m = 30, 5
    load, traffic = rng.random(n), rng.random(n)
    size = np.sort(rng.integers(1, 3, n))
    at = np.arange(n) % m
    distance = np.arange(m, dtype=np.float64)
    carried = np.bincount(at, weights=load, minlength=m)
    room = np.full(m, 15) - np.bincount(at, weights=size, minlength=m).astype(np.int64)
    before = float((traffic * distance[at]).sum())
    price = -1.0 if strict else 1.0
    accepted = anneal(
        load, size, traffic, distance, at, carried, room, 9.0, 0.0, price, 0.0, 0, 3000, state_of(5)
    )
    assert accepted > 0
    np.testing.assert_allclose(carried, np.bincount(at, weights=load, minlength=m), atol=1e-12)
    np.testing.assert_array_equal(room, 15 - np.bincount(at, weights=size, minlength=m))
    assert float((traffic * distance[at]).sum()) < before
    if strict:
        assert (room >= 0).all()
