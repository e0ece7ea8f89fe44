"""Lists of hits: the best items of a request, and how two lists become one.

A list is ``int32 [B, 2 k]``, ``k`` scores (the bits of their float32) and ``k`` ids, best first: scores fall,
and of equal ones the lower id comes first.  Places without an item hold -inf and -1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]

NONE = -1
"""Id of a place that no item fills."""
_AT_A_TIME = 1 << 22  # scores that exist at once


def empty(requests: int, k: int) -> Ints:
    """Lists without items, ``[requests, 2 k]``."""
    return joined(np.full((requests, k), -np.inf, np.float32), np.full((requests, k), NONE, np.int32))


def joined(scores: Floats, ids: NDArray[np.integer]) -> Ints:
    """Lists of ``scores`` and ``ids``, each ``[B, k]``."""
    bits = np.ascontiguousarray(scores, np.float32).view(np.int32)
    return np.concatenate([bits, ids.astype(np.int32)], axis=1)


def scores_of(hits: Ints) -> Floats:
    """Scores of lists, float32 ``[B, k]``."""
    return np.ascontiguousarray(hits[:, : hits.shape[1] // 2]).view(np.float32)


def ids_of(hits: Ints) -> Ints:
    """Ids of lists, ``[B, k]``."""
    return hits[:, hits.shape[1] // 2 :]


def best(scores: Floats, first: int, k: int) -> Ints:
    """The lists of the best of items ``first ..`` with ``scores [B, n]``, which hold no NaN."""
    n = scores.shape[1]
    found = empty(len(scores), k)
    taken = min(n, k)
    out, ids = found[:, :k].view(np.float32), found[:, k:]
    for row, mine in enumerate(scores):
        last = np.partition(mine, n - taken)[n - taken] if taken < n else -np.inf
        items = np.flatnonzero(mine >= last)
        order = items[np.argsort(-mine[items], kind="stable")[:taken]]
        out[row, :taken], ids[row, :taken] = mine[order], first + order
    return found


def merged(one: Ints, other: Ints) -> Ints:
    """The best of two lists of different items, as a list of as many."""
    k = one.shape[1] // 2
    scores = np.concatenate([scores_of(one), scores_of(other)], axis=1)
    ids = np.concatenate([ids_of(one), ids_of(other)], axis=1)
    order = np.lexsort((ids.view(np.uint32), -scores), axis=1)[:, :k]
    return joined(np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1))


def searched(requests: int, items: range, k: int, score: Callable[[slice], Floats]) -> Ints:
    """The best of many items; ``score`` gives those of a range of them, of which a block exists at a time."""
    found = empty(requests, k)
    for part in parts(items, max(_AT_A_TIME // max(requests, 1), k)):
        found = merged(found, best(score(part), part.start, k))
    return found


def parts(items: range, size: int) -> Iterator[slice]:
    """Ranges of ``size`` items, the last one shorter."""
    return (slice(a, min(a + size, items.stop)) for a in range(items.start, items.stop, size))


def as_sums(sums: NDArray[np.integer], width: int, shift: int) -> NDArray[np.int64]:
    """Sums as they cross a bus: ``shift`` bits rounded off, halves up, the rest clipped to ``width`` bits."""
    rounded = (sums.astype(np.int64) + ((1 << shift) >> 1)) >> shift
    kept: NDArray[np.int64] = np.clip(rounded, -(1 << (width - 1)), (1 << (width - 1)) - 1) << shift
    return kept


def as_scores(sums: NDArray[np.integer], factors: Floats | None, biases: Floats | None) -> Floats:
    """Scores of sums ``[B, n]``: times factors ``[n]``, plus biases ``[n]``, each rounded to float32."""
    scores = sums.astype(np.float32)
    if factors is not None:
        with np.errstate(over="ignore"):
            scores *= factors
    if biases is not None:
        scores += biases
    return scores
