"""Rows with scales of their own, against the rounding of every value by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.transforms.quantise.scale_rows import SMALLEST, fitted_rows, narrowest, quantize_rows

ROWS = st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3), min_size=1, max_size=6)


@settings(max_examples=60)
@given(ROWS, st.sampled_from([1, 7, 127]))
def test_the_largest_of_a_row_is_the_largest_integer(rows: list[list[float]], largest: int) -> None:
    table = np.array(rows, np.float32)
    integers, scales = quantize_rows(table, largest)
    assert (integers.dtype, scales.dtype) == (np.int8, np.float32)
    for row, found, scale in zip(rows, integers.tolist(), scales.tolist(), strict=True):
        peak = max(map(abs, row))
        if peak < largest * SMALLEST:
            assert (found, scale) == ([0, 0, 0], 1.0)
            continue
        assert scale == pytest.approx(peak / largest, rel=1e-6)
        assert max(map(abs, found)) == largest
        for value, q in zip(row, found, strict=True):
            assert abs(q * scale - value) <= scale * (0.5 + 1e-4)


@settings(max_examples=60)
@given(st.lists(st.lists(st.integers(-128, 127), min_size=2, max_size=2), min_size=1, max_size=5))
def test_rows_that_fit_stay_and_others_shrink(rows: list[list[int]]) -> None:
    scales = np.arange(1, len(rows) + 1, dtype=np.float32)
    fitted, factors = fitted_rows(np.array(rows, np.int8), scales, 100)
    assert int(np.abs(fitted.astype(int)).max()) <= 100
    for row, found, before, after in zip(
        rows, fitted.tolist(), scales.tolist(), factors.tolist(), strict=True
    ):
        if max(map(abs, row)) <= 100:
            assert (found, after) == (row, before)
        else:
            assert max(map(abs, found)) == 100
            for value, q in zip(row, found, strict=True):
                assert abs(q * after - value * before) <= 0.51 * after


@pytest.mark.parametrize(
    ("peak", "bits", "width"), [(1, 8, 2), (7, 8, 4), (8, 8, 5), (127, 8, 8), (999, 8, 8)]
)
def test_the_narrowest_cells(peak: int, bits: int, width: int) -> None:
    assert narrowest(peak, bits, lambda b: 2 ** (b - 1) - 1) == width
