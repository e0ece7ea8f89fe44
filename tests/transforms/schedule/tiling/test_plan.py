"""What is cut, and how: small chains on scratchpads of a few bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.ir import Operation, SSAValue

from cimc.ir import rec
from cimc.ir.types import tensor
from cimc.transforms.schedule.tiling.plan import TOGETHER, Cut, Plan, bytes_of, chunk, contiguous, parts
from cimc.transforms.schedule.tiling.regions import Region, whole


def given_value(*dims: int) -> SSAValue:
    """A value from outside of the segment."""
    op = rec.UnaryOp("relu", rec.ConstantOp("x", tensor((1, *dims))).result)
    return op.results[0]


def plan(ops: Sequence[Operation], capacity: int, kept: Sequence[SSAValue] = (), tiles: int = 1) -> Plan:
    last = ops[-1].results[0]
    return Plan(ops, lambda v: v is last or v in kept, capacity, tiles)


@given(st.integers(0, 50), st.integers(1, 12))
def test_parts_cover_an_axis_the_longest_first(extent: int, count: int) -> None:
    found = parts(extent, count)
    assert len(found) <= max(count, 1)
    assert [x for a, b in found for x in range(a, b)] == list(range(extent))
    lengths = [b - a for a, b in found]
    assert lengths == sorted(lengths, reverse=True)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=1, max_size=3))
def test_regions_of_a_cut_cover_a_value_once(axes: list[tuple[int, int]]) -> None:
    value = given_value(*(extent for extent, _ in axes))
    cut = Cut(tuple(min(n, extent) for extent, n in axes))
    hits = np.zeros([extent for extent, _ in axes], int)
    for region in cut.regions(value):
        hits[tuple(slice(*r) for r in region)] += 1
    assert (hits == 1).all()
    assert len(cut.regions(value)) <= cut.parts


@given(st.data())
def test_a_region_is_contiguous_only_if_numpy_says_so(data: st.DataObject) -> None:
    dims = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    region: Region = tuple(
        data.draw(st.integers(0, n - 1).flatmap(lambda a, n=n: st.tuples(st.just(a), st.integers(a + 1, n))))
        for n in dims
    )
    array = np.zeros(dims)[tuple(slice(*r) for r in region)]
    assert array.flags.c_contiguous or not contiguous(given_value(*dims), region)


def test_runs_along_the_first_axis_that_is_longer_than_one_are_contiguous() -> None:
    value = given_value(1, 4, 3)
    assert contiguous(value, whole(value))
    assert contiguous(value, ((0, 1), (1, 3), (0, 3)))
    assert not contiguous(value, ((0, 1), (0, 4), (0, 2)))


def test_bytes_are_of_one_request() -> None:
    assert bytes_of(given_value(3, 4)) == 48
    assert bytes_of(given_value(3, 4), ((0, 2), (1, 2))) == 8
    assert bytes_of(rec.ConstantOp("c", tensor((1, 100))).result) == 0
    assert bytes_of(rec.UnaryOp("relu", given_value(-1)).results[0]) == 0


def test_a_chunk_of_a_product_is_one_of_both_operands() -> None:
    op = rec.MatmulOp(given_value(3, 8), given_value(8, 5))
    regions = [whole(v) for v in op.operands]
    assert chunk(op, list(regions), (2, 4)) == [((0, 3), (2, 4)), ((2, 4), (0, 5))]
    total = rec.ReduceOp("sum", given_value(3, 8), [2], False)
    assert chunk(total, [whole(total.x)], (2, 4)) == [((0, 3), (2, 4))]


def test_what_fits_is_not_cut() -> None:
    x = given_value(4, 4)
    ops = [rec.UnaryOp("relu", x)]
    found = plan(ops, 1024)
    assert (found.roots, found.lazy, found.stuck, found.apart) == ({}, set(), [], set())


def test_an_operation_that_does_not_fit_is_cut_until_it_does() -> None:
    x = given_value(16, 16)  # 1024 bytes
    op = rec.BinaryOp("add", x, given_value(16, 16))
    found = plan([op], 1400)
    (cut,) = found.roots.values()
    assert cut.parts > 1
    assert cut.chunks == 1
    region = cut.regions(op.results[0])[0]
    assert 3 * bytes_of(op.results[0], region) <= TOGETHER * 1400
    assert found.stuck == []


def attention(length: int) -> tuple[list[Operation], SSAValue]:
    """Scores ``[length, length]`` between two products, through a softmax; the scores."""
    q, k, v = given_value(length, 4), given_value(4, length), given_value(length, 4)
    scores = rec.MatmulOp(q, k)
    peak = rec.ReduceOp("max", scores.results[0], [2], True)
    below = rec.BinaryOp("sub", scores.results[0], peak.results[0])
    e = rec.UnaryOp("exp", below.results[0])
    out = rec.MatmulOp(e.results[0], v)
    return [scores, peak, below, e, out], scores.results[0]


def test_a_score_matrix_lives_a_few_rows_at_a_time() -> None:
    ops, scores = attention(32)  # scores: 4096 bytes
    found = plan(ops, 4096)
    assert found.too_large(scores)
    assert scores in found.lazy
    assert ops[-1] in found.roots
    cut = found.roots[ops[-1]]
    assert cut.counts[0] > 1  # rows; the columns stay together, a softmax needs all
    assert found.stuck == []


def test_a_long_sum_is_added_up_in_chunks() -> None:
    op = rec.ReduceOp("sum", given_value(1, 4096), [2], False)
    found = plan([op], 4096)
    (cut,) = found.roots.values()
    assert cut.chunks > 1


def test_what_no_cut_brings_in_is_stuck() -> None:
    op = rec.MatmulOp(given_value(1, 4), given_value(4, 1))
    assert plan([op], 4).stuck == [op]


@pytest.mark.parametrize("tiles", [1, 64])
def test_a_value_needed_often_exists_in_parts_where_there_is_room(tiles: int) -> None:
    """Each row of the first product is needed by every row of the second."""
    left = rec.MatmulOp(given_value(64, 4), given_value(4, 64))
    out = rec.MatmulOp(left.results[0], left.results[0])
    found = plan([left, out], 8192, tiles=tiles)
    assert (left.results[0] in found.apart) == (tiles > 1)


def test_results_that_leave_are_roots_of_their_own() -> None:
    leaves: Callable[[SSAValue], bool] = lambda _: True  # noqa: E731
    x = given_value(16, 16)
    first = rec.BinaryOp("add", x, given_value(16, 16))
    second = rec.UnaryOp("relu", first.results[0])
    found = Plan([first, second], leaves, 1400, 1)
    assert first in found.roots
    assert second in found.roots
