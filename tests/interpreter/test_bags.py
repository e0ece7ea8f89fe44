"""Bags of a batch: layouts, padding, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.ir import Block
from xdsl.utils.exceptions import VerifyException

from cimc.errors import RequestError
from cimc.interpreter.bags import bags_of, check_ids, pooled_rows
from cimc.ir import rec
from cimc.ir.types import i64, tensor

TABLE = np.arange(40, dtype=np.float32).reshape(10, 4)


@given(
    lists=st.lists(st.lists(st.integers(-1, 9), max_size=5), min_size=1, max_size=6),
    padding=st.integers(-1, 9),
    mode=st.sampled_from(["sum", "mean", "max"]),
    closed=st.booleans(),
)
def test_padding_is_left_out(lists: list[list[int]], padding: int, mode: str, closed: bool) -> None:
    kept = [[i for i in ids if i != padding] for ids in lists]
    ends = np.cumsum([0, *map(len, lists)])
    flat = np.array([i for ids in lists for i in ids], np.int64)
    weights = flat.astype(np.float32) + 2
    given_weights = weights if mode == "sum" else None
    layout = "offsets_end" if closed else "offsets"
    bags = bags_of(flat, ends if closed else ends[:-1], given_weights, layout, mode, "t", padding)
    assert [len(k) for k in kept] == np.diff(bags.starts).tolist()
    assert bags.ids.tolist() == [i for ids in kept for i in ids]
    if bags.weights is not None:
        np.testing.assert_array_equal(bags.weights, bags.ids + 2)
    if all(i >= 0 for ids in kept for i in ids) and mode == "mean":
        check_ids(bags, 10, "t")
        expected = [TABLE[k].mean(0) if k else np.zeros(4) for k in kept]
        np.testing.assert_allclose(pooled_rows(TABLE, None, bags, mode), expected, rtol=1e-6)


def test_padding_need_not_be_a_row_but_other_ids_must() -> None:
    ids = np.array([[1, -1], [-1, -1]])
    check_ids(bags_of(ids, None, None, "fixed", "sum", "t", -1), 10, "t")
    with pytest.raises(RequestError, match="request 1"):
        check_ids(bags_of(np.array([[1, -1], [-2, -1]]), None, None, "fixed", "sum", "t", -1), 10, "t")


def test_rows_that_are_all_kept_have_no_padding() -> None:
    ids = Block(arg_types=[tensor((-1, 3), i64)]).args[0]
    with pytest.raises(VerifyException, match="mode none keeps every row"):
        rec.EmbeddingBagOp("t", 10, 4, ids, mode="none", padding=0)


@pytest.mark.parametrize("layout", ["offsets", "offsets_end"])
def test_offsets_whose_difference_leaves_int64_are_refused(layout: str) -> None:
    starts = np.array([0, 2, np.iinfo(np.int64).min])
    with pytest.raises(RequestError, match="offsets must grow"):
        bags_of(np.arange(3), starts, None, layout, "sum", "t")
