"""Retrieval: against sorting everything, ties by id, recall by counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.metrics.ranking import recall, top_k, top_k_by_product


@given(st.integers(1, 4), st.integers(1, 12), st.integers(0, 1 << 30), st.data())
def test_top_k_equals_a_full_sort_with_ties_by_id(
    rows: int, items: int, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    k = data.draw(st.integers(1, items))
    scores = rng.integers(-2, 3, (rows, items)).astype(np.float64)
    ids = rng.permutation(100)[:items]
    expected = [
        [i for _, i in sorted((-s, i) for s, i in zip(row, ids.tolist(), strict=True))][:k]
        for row in scores.tolist()
    ]
    np.testing.assert_array_equal(top_k(scores, ids, k), expected)
    order = rng.permutation(items)  # the order of the items means nothing
    np.testing.assert_array_equal(top_k(scores[:, order], ids[order], k), expected)


def test_products_in_parts_equal_products_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    queries, items = rng.integers(-3, 4, (20, 5)), rng.integers(-3, 4, (30, 5))
    expected = top_k((queries @ items.T).astype(np.float64), np.arange(30), 7)
    monkeypatch.setattr("cimc.metrics.ranking._SCORES_AT_A_TIME", 70)
    found = top_k_by_product(queries.astype(np.float32), items.astype(np.float32), np.arange(30), 7)
    np.testing.assert_array_equal(found, expected)


def test_recall_counts() -> None:
    found = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 2, 3]])
    np.testing.assert_array_equal(recall(found, np.array([3, 1, 7, 2])), [1.0, 0.0, 1.0, 1.0])
    several = np.array([[1, 9], [4, 5], [-1, -1], [2, -1]])
    np.testing.assert_array_equal(recall(found, several), [0.5, 1.0, np.nan, 1.0])


@pytest.mark.parametrize(
    ("scores", "ids", "k", "why"),
    [
        (np.zeros((2, 3)), np.arange(2), 1, "shape"),
        (np.zeros((2, 3)), np.array([1, 2, 1]), 1, "same id"),
        (np.zeros((2, 3)), np.arange(3), 4, "best 4 of 3"),
        (np.array([[0.0, np.nan]]), np.arange(2), 1, "finite"),
    ],
)
def test_refusals(scores: np.ndarray, ids: np.ndarray, k: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        top_k(scores, ids, k)


def test_vectors_of_different_length() -> None:
    with pytest.raises(ValueError, match="no products"):
        top_k_by_product(np.zeros((2, 3)), np.zeros((4, 2)), np.arange(4), 1)
