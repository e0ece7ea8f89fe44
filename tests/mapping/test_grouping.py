import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.errors import PassError
from cimc.mapping.dtypes import IntArray
from cimc.mapping.grouping import (
    GROUPINGS,
    GroupingProblem,
    evaluate_grouping,
    group,
    groupings,
    register_grouping,
    touched_bound,
)
from cimc.support.row_bags import RowBags

BUILT_IN = ("co_occurrence", "frequency", "in_order", "shp")


def statistics(rows: int, requests: list[list[int]]) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Ids, requests per id, pairs and requests per pair, counted the plain way."""
    counts: dict[int, int] = {}
    pairs: dict[tuple[int, int], int] = {}
    for request in requests:
        for row in set(request):
            counts[row] = counts.get(row, 0) + 1
        for pair in itertools.combinations(sorted(set(request)), 2):
            pairs[pair] = pairs.get(pair, 0) + 1
    return (
        np.array(list(counts), dtype=np.int64),
        np.array(list(counts.values()), dtype=np.int64),
        np.array(list(pairs), dtype=np.int64).reshape(-1, 2),
        np.array(list(pairs.values()), dtype=np.int64),
    )


def bags_of(requests: list[list[int]]) -> RowBags:
    bags = [sorted(set(request)) for request in requests]
    rows = np.array([row for bag in bags for row in bag], dtype=np.int64)
    return RowBags.of_lengths(rows, np.array([len(bag) for bag in bags], dtype=np.int64))


def flat(requests: list[list[int]]) -> tuple[IntArray, IntArray]:
    owner = [q for q, request in enumerate(requests) for _ in request]
    return np.array(owner, dtype=np.int64), np.array([r for q in requests for r in q], dtype=np.int64)


cases = st.integers(1, 12).flatmap(
    lambda rows: st.tuples(
        st.just(rows),
        st.lists(st.lists(st.integers(0, rows - 1), max_size=6), min_size=1, max_size=12),
        st.integers(1, 5),
    )
)


@pytest.mark.parametrize("policy", BUILT_IN)
@settings(max_examples=60, deadline=None)
@given(case=cases)
def test_slots_are_a_permutation_and_bounds_hold(policy: str, case: tuple[int, list[list[int]], int]) -> None:
    rows, requests, block = case
    ids, counts, pairs, pair_counts = statistics(rows, requests)
    slots = group(policy, rows, (ids, counts), bags_of(requests), block_rows=block)
    assert slots.dtype == np.int32
    assert sorted(slots.tolist()) == list(range(rows))
    found = evaluate_grouping(slots, block, *flat(requests), len(requests))
    touched = [len({int(slots[r]) // block for r in request}) for request in requests]
    assert found.touched == pytest.approx(np.mean(touched))
    assert found.bound <= found.touched + 1e-12
    problem = GroupingProblem(rows, ids, counts, bags_of(requests), block)
    assert touched_bound(problem, pairs, pair_counts) <= sum(touched) * (1 + 1e-12)
    # Leaving pairs out weakens the bound, if it is told what they may count.
    most = int(pair_counts.max(initial=0))
    weaker = touched_bound(problem, pairs[:0], pair_counts[:0], unlisted=most)
    assert weaker <= sum(touched) * (1 + 1e-12)


def test_no_grouping_touches_less_than_the_bounds() -> None:
    random = np.random.default_rng(3)
    for _ in range(20):
        requests = [random.integers(0, 6, 3).tolist() for _ in range(5)]
        ids, counts, pairs, pair_counts = statistics(6, requests)
        least = min(
            sum(len({order[r] // 2 for r in request}) for request in requests)
            for order in itertools.permutations(range(6))
        )
        problem = GroupingProblem(6, ids, counts, RowBags.none(), 2)
        assert touched_bound(problem, pairs, pair_counts) <= least * (1 + 1e-12)


def test_rows_read_together_share_an_array() -> None:
    # Topics of eight rows, scattered over the table: a request reads one topic.
    random = np.random.default_rng(0)
    topics = random.permutation(256).reshape(32, 8)
    requests = [topics[t].tolist() for t in random.integers(0, 32, 400)]
    ids, counts, _, _ = statistics(256, requests)
    touched = {}
    for policy in BUILT_IN:
        slots = group(policy, 256, (ids, counts), bags_of(requests), block_rows=8)
        touched[policy] = evaluate_grouping(slots, 8, *flat(requests), 400)
    assert touched["co_occurrence"].touched == 1.0
    assert touched["shp"].touched < 1.1
    assert touched["co_occurrence"].gap == 0.0
    assert touched["frequency"].touched > 1.5
    assert touched["in_order"].touched > 5.0


def test_co_occurrence_sees_every_pair() -> None:
    """Bags as they are, and all pairs of them as bags of two, give the same order."""
    random = np.random.default_rng(5)
    requests = [random.integers(0, 40, 5).tolist() for _ in range(60)]
    ids, counts, pairs, pair_counts = statistics(40, requests)
    whole = group("co_occurrence", 40, (ids, counts), bags_of(requests), block_rows=4)
    paired = group("co_occurrence", 40, (ids, counts), RowBags.of_pairs(pairs, pair_counts), block_rows=4)
    assert whole.tolist() == paired.tolist()
    assert whole.tolist() == grown(40, requests, 4)


def grown(rows: int, requests: list[list[int]], block: int) -> list[int]:
    """Slots of the greedy growth, counted the plain way."""
    bags = [set(request) for request in requests]
    count = [sum(row in bag for bag in bags) for row in range(rows)]
    order: list[int] = []
    while len(order) < sum(c > 0 for c in count):
        free = [row for row in range(rows) if count[row] and row not in order]
        mine = order[len(order) // block * block :]
        pull = {row: sum(row in bag and other in bag for bag in bags for other in mine) for row in free}
        order.append(min(free, key=lambda row: (-pull[row], -count[row], row)))
    order += [row for row in range(rows) if row not in order]
    return [order.index(row) for row in range(rows)]


def test_frequency_sorts_by_count_then_row_and_keeps_the_unread_in_order() -> None:
    slots = group("frequency", 6, (np.array([5, 1, 3]), np.array([2, 7, 2])), block_rows=2)
    assert slots.tolist() == [3, 0, 4, 1, 5, 2]


def test_bad_input_is_refused() -> None:
    one = np.array([1])
    for arguments in (
        (2, (np.array([2]), one)),
        (2, (np.array([0, 0]), np.array([1, 1]))),
        (2, (np.array([0]), np.array([-1]))),
        (2, (np.array([0.5]), one)),
        (2, (one, np.array([1, 2]))),
        (2, (one, one), RowBags.of_pairs(np.array([[0, 5]]), one)),
        (2, (one, one), RowBags.of_pairs(np.array([[0, 1]]), np.array([0]))),
        (2, (one, one), RowBags(np.array([0, 1]), np.array([0, 3]), one)),
        (2, (one, one), RowBags(np.array([0.5, 1]), np.array([0, 2]), one)),
    ):
        with pytest.raises(PassError) as caught:
            group("frequency", *arguments, block_rows=2)  # type: ignore[arg-type]
        assert caught.value.code == "mapping.bad-problem"
    with pytest.raises(PassError) as caught:
        group("alphabetical", 2, (one, one), block_rows=2)
    assert caught.value.code == "mapping.unknown-strategy"
    assert set(BUILT_IN) <= set(groupings())


def test_a_policy_that_loses_a_row_is_caught() -> None:
    def broken(problem: GroupingProblem, /, *, seed: int) -> IntArray:
        return np.zeros(problem.rows, dtype=np.int64)

    with GROUPINGS.restored():
        register_grouping("broken_for_test")(broken)
        with pytest.raises(PassError) as caught:
            group("broken_for_test", 3, (np.array([0]), np.array([1])), block_rows=2)
    assert caught.value.code == "mapping.invalid-solution"
