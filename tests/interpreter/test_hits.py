"""Lists of hits against sorting all scores."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.interpreter import hits


def sorted_lists(scores: np.ndarray, ids: np.ndarray, k: int) -> list[tuple[list[float], list[int]]]:
    """The best ``k`` of each row of all ``scores``, ties by lower id, filled up with -inf and -1."""
    found = []
    for row in scores:
        best = sorted(zip((-row).tolist(), ids.tolist(), strict=True))[:k]
        values, names = [-score for score, _ in best], [item for _, item in best]
        short = k - len(best)
        found.append((values + [-np.inf] * short, names + [-1] * short))
    return found


def plain(lists: np.ndarray) -> list[tuple[list[float], list[int]]]:
    pairs = zip(hits.scores_of(lists).tolist(), hits.ids_of(lists).tolist(), strict=True)
    return list(pairs)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    items=st.integers(0, 60),
    k=st.integers(1, 40),
    levels=st.sampled_from([1, 3, 1000]),
    size=st.integers(1, 30),
)
def test_blocks_of_scores_become_the_list_of_all(
    seed: int, items: int, k: int, levels: int, size: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(-levels, levels + 1, (4, items)).astype(np.float32)
    scores[0, : items // 2] = -np.inf  # what overflowed, which is not the same as no item
    wanted = sorted_lists(scores, np.arange(items), k)
    found = hits.empty(4, k)
    for part in hits.parts(range(items), size):
        found = hits.merged(found, hits.best(scores[:, part], part.start, k))
    assert plain(found) == wanted
    assert plain(hits.searched(4, range(items), k, lambda part: scores[:, part])) == wanted


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 20), levels=st.sampled_from([1, 5]))
def test_merging_does_not_depend_on_the_tree(seed: int, k: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(-levels, levels + 1, (3, 40)).astype(np.float32)
    lists = [hits.best(scores[:, a : a + 10], a, k) for a in range(0, 40, 10)]
    pairs = hits.merged(hits.merged(lists[0], lists[1]), hits.merged(lists[2], lists[3]))
    chain = hits.merged(hits.merged(hits.merged(lists[3], lists[1]), lists[0]), lists[2])
    assert plain(pairs) == plain(chain) == sorted_lists(scores, np.arange(40), k)


def test_sums_are_rounded_and_clipped_on_the_bus() -> None:
    sums = np.array([[7, 8, -7, -8, -9, 2**20, -(2**20)]])
    assert hits.as_sums(sums, 32, 0).tolist() == sums.tolist()
    assert hits.as_sums(sums, 16, 4).tolist() == [[0, 16, 0, 0, -16, 32767 * 16, -(2**15) * 16]]


def test_scores_have_the_factors_and_biases_of_items() -> None:
    factors, biases = np.array([0.5, 2], np.float32), np.array([1, -1], np.float32)
    assert hits.as_scores(np.array([[3, 3]]), None, None).tolist() == [[3, 3]]
    assert hits.as_scores(np.array([[3, 3]]), factors, None).tolist() == [[1.5, 6]]
    assert hits.as_scores(np.array([[3, 3]]), factors, biases).tolist() == [[2.5, 5]]
