"""Quality of retrieval: the best ``k`` items of every query, and the share of the right ones among them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ids = NDArray[np.integer[Any]]

_SCORES_AT_A_TIME = 1 << 24


def top_k(scores: Floats, ids: Ids, k: int) -> NDArray[np.int64]:
    """Ids of the ``k`` best items of every query, best first, int64 ``[Q, k]``.

    ``scores [Q, N]``: larger is better; ``ids [N]``: of the items, all different.  Equal scores go by the
    smaller id, so the result does not depend on the order of the items.  Raises ``ValueError`` for scores
    that are not finite, ids that repeat, or ``k`` outside ``1..N``.
    """
    _check(scores, ids, k)
    order = np.argsort(ids, kind="stable")
    return ids.astype(np.int64)[order][_best(scores[:, order], k)]


def top_k_by_product(queries: Floats, items: Floats, ids: Ids, k: int) -> NDArray[np.int64]:
    """:func:`top_k` of the inner products, added in float64, of ``queries [Q, D]`` and ``items [N, D]``."""
    if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
        raise ValueError(f"vectors of shapes {list(queries.shape)} and {list(items.shape)} have no products")
    step = max(1, _SCORES_AT_A_TIME // max(len(items), 1))
    right = items.astype(np.float64).T
    parts = [
        top_k(queries[at : at + step].astype(np.float64) @ right, ids, k)
        for at in range(0, len(queries), step)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, k), np.int64)


def recall(found: NDArray[np.int64], relevant: Ids) -> NDArray[np.float64]:
    """Share of its relevant items that each query found, float64 ``[Q]``.

    ``found [Q, k]``; ``relevant [Q]``, one item each, or ``[Q, R]`` where entries below 0 mean nothing.  A
    query with nothing relevant has no recall: NaN.
    """
    right = relevant.reshape(len(found), -1)
    hit = (right[:, :, np.newaxis] == found[:, np.newaxis, :]).any(axis=2) & (right >= 0)
    wanted = (right >= 0).sum(axis=1)
    return np.where(wanted > 0, hit.sum(axis=1) / np.maximum(wanted, 1), np.nan)


def _best(scores: Floats, k: int) -> NDArray[np.int64]:
    """Positions of the ``k`` largest of each row, largest first, the earlier of equal ones first."""
    rows, items = scores.shape
    found = np.empty((rows, k), dtype=np.int64)
    for q in range(rows):
        row = scores[q]
        least = np.partition(row, items - k)[items - k]
        better = np.flatnonzero(row > least)
        chosen = np.concatenate([better, np.flatnonzero(row == least)[: k - len(better)]])
        found[q] = chosen[np.lexsort((chosen, -row[chosen]))]
    return found


def _check(scores: Floats, ids: Ids, k: int) -> None:
    if scores.ndim != 2 or scores.shape[1] != len(ids):
        raise ValueError(f"scores of shape {list(scores.shape)} for {len(ids)} items")
    if len(np.unique(ids)) != len(ids):
        raise ValueError("two items have the same id")
    if not 1 <= k <= len(ids):
        raise ValueError(f"the best {k} of {len(ids)} items")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
