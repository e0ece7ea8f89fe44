"""Lookups in tables whose rows have scales of their own: kernels and IR against plain loops, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.interpreter.bags import Bags, RowScales, averaged, pooled_rows
from cimc.sim.kernels.lookups.pooled_rows import scaled_max, scaled_sum
from cimc.sim.oracle import oracle_row_scaled
from cimc.target import load_target
from tests.sim.single_rows import through_adc


def case(seed: int, rows: int, dim: int, lengths: list[int], biased: bool) -> Any:
    """Table, scales, ids, starts and weights."""
    rng = np.random.default_rng(seed)
    table = rng.integers(-127, 128, (rows, dim)).astype(np.int8)
    scales = (10.0 ** rng.uniform(-4, 2, rows)).astype(np.float32)
    biases = rng.standard_normal(rows).astype(np.float32) if biased else None
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = rng.integers(0, rows, int(starts[-1]))
    weights = rng.standard_normal(len(ids)).astype(np.float32)
    return table, RowScales(scales, biases), ids, starts, weights


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    rows=st.integers(1, 9),
    dim=st.integers(1, 5),
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    mode=st.sampled_from(["sum", "mean", "max", "none", "weighted"]),
    biased=st.booleans(),
)
def test_lookups_equal_the_oracle(
    seed: int, rows: int, dim: int, lengths: list[int], mode: str, biased: bool
) -> None:
    table, own, ids, starts, weights = case(seed, rows, dim, lengths, biased)
    given_weights = weights if mode == "weighted" else None
    kind = "sum" if mode == "weighted" else mode
    expected = oracle_row_scaled(table, own.factors, own.addends, ids, given_weights, starts, kind)
    bags = Bags(ids, starts, given_weights, (len(lengths),))
    np.testing.assert_array_equal(pooled_rows(table, own, bags, kind), expected)
    if kind == "none":
        actual = own.of(table[ids], ids)
    elif kind == "max":
        actual = scaled_max(table, own, ids, starts)
    else:
        actual = scaled_sum(table, own, ids, given_weights, starts)
        actual = averaged(actual, np.diff(starts)) if kind == "mean" else actual
    np.testing.assert_array_equal(actual, expected)
    assert actual.dtype == np.float32


def test_rows_as_the_converter_shows_them_are_scaled() -> None:
    """A coarse converter alters digits; each row is scaled after its conversion."""
    array = load_target("tsinghua28").array
    table, own, ids, starts, _ = case(3, 7, 4, [3, 0, 2], True)
    table = np.clip(table, -100, 100).astype(np.int8)
    read = through_adc(table, array, 8, 4)
    assert (read != table).any()
    expected = oracle_row_scaled(read, own.factors, own.addends, ids, None, starts, "sum")
    np.testing.assert_array_equal(scaled_sum(read, own, ids, None, starts), expected)


def test_kernels_check_what_they_are_given() -> None:
    table, own, ids, starts, weights = case(1, 5, 3, [2, 2], False)
    with pytest.raises(IndexError, match=r"ids must lie in 0\.\.4"):
        scaled_sum(table, own, ids + 5, None, starts)
    with pytest.raises(IndexError):
        scaled_max(table, own, ids - 5, starts)
    with pytest.raises(ValueError, match="one float32 weight per id"):
        scaled_sum(table, own, ids, weights[1:], starts)
