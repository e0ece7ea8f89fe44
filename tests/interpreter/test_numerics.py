"""Integers of 64 bits, which the vector unit has not: IR evaluation divides and converts them exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.interpreter import numerics

LOW, HIGH = -(2**63), 2**63 - 1
INTEGERS = st.one_of(st.sampled_from([0, 1, -1, 3, 2**53 + 1, LOW, HIGH]), st.integers(LOW, HIGH))


@settings(max_examples=30)
@given(st.lists(st.tuples(INTEGERS, INTEGERS), min_size=1, max_size=20))
def test_integer_quotients_of_any_size(pairs: list[tuple[int, int]]) -> None:
    def quotient(a: int, b: int) -> int:
        sign = 1 if (a < 0) == (b < 0) else -1
        exact = 0 if b == 0 else sign * (abs(a) // abs(b))
        return (exact - LOW) % 2**64 + LOW

    a, b = np.array(pairs, np.int64).T
    assert numerics.binary("div", a, b).tolist() == [quotient(*pair) for pair in pairs]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@settings(max_examples=30)
@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_floats_that_do_not_fit_become_the_smallest_integer(dtype: type, values: list[float]) -> None:
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    expected = [int(v) if math.isfinite(v) and low <= int(v) <= high else low for v in values]
    found = numerics.cast(np.array(values, np.float32), np.dtype(dtype))
    assert found.dtype == dtype
    assert found.tolist() == expected
