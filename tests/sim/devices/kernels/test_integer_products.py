"""Sums of noisy products on the integer units: exact, where they are used and where not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")
from cimc.sim.devices.kernels import integer_products
from cimc.sim.devices.kernels.integer_products import IntegerPlane


@given(
    rows=st.integers(1, 40), cols=st.integers(1, 40), batch=st.integers(1, 9), drive=st.integers(1, 255),
    bits=st.integers(0, 15), signed=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_sums_are_exact(
    rows: int, cols: int, batch: int, drive: int, bits: int, signed: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bits = min(bits, 23 - (rows * drive).bit_length())  # what float32 adds up exactly, as in a column tile
    plane = rng.integers(-(1 << bits) if signed else 0, 1 << bits, (rows, cols))
    x = rng.integers(0, drive + 1, (batch, rows)).astype(np.uint8)
    found = IntegerPlane.of(plane.astype(np.float32), drive)
    reach = max(int(plane.max()), -1 - int(plane.min())).bit_length()
    assert (found is None) == (reach > integer_products._BITS * integer_products._DIGITS)
    if found is not None:
        sums = found(x)
        assert sums.dtype == np.float32
        np.testing.assert_array_equal(sums, x.astype(np.int64) @ plane)


def test_other_planes_stay_with_the_float_product() -> None:
    plane = np.ones((8, 4), np.float32)
    assert IntegerPlane.of(plane, 255) is not None
    assert IntegerPlane.of(plane, 256) is None  # inputs are bytes
    assert IntegerPlane.of(plane.astype(np.float64), 15) is None
    assert IntegerPlane.of(plane[:, :0], 15) is None
    assert IntegerPlane.of(plane * 2.0**15, 15) is None
    assert IntegerPlane.of(np.ones((1 << 17, 1), np.float32), 255) is None  # sums beyond 32 bits
