"""The compiled loops of the vector unit, against numpy: odd lengths, odd numbers, offsets."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.interpreter import numerics
from cimc.sim.kernels import vector_loops

ODD = np.array([np.nan, np.inf, -np.inf, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 127.5, 1e30, -1e-40], np.float32)


def numbers(requests: int, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(requests, n)) * 90).astype(np.float32)
    x[0, : min(n, len(ODD))] = ODD[:n]
    return x


@given(
    st.integers(1, 3),
    st.integers(1, 140),
    st.integers(0, 5),
    st.booleans(),
    st.integers(1, 8),
    st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_quantisation(requests: int, n: int, at: int, signed: bool, bits: int, seed: int) -> None:
    x = np.zeros((requests, at + n), np.float32)
    x[:, at:] = numbers(requests, n, seed)
    high = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
    low = -high if signed else 0
    out = np.full((requests, n + 7), 99, np.uint8)
    vector_loops.quant(x, at, np.float32(0.37), np.float32(low), np.float32(high), out, 3, n)
    expected = numerics.quantize(x[:, at:], 0.37, bits, signed).view(np.uint8)
    np.testing.assert_array_equal(out[:, 3 : 3 + n], expected)
    assert (out[:, :3] == 99).all()
    assert (out[:, 3 + n :] == 99).all()


@given(st.integers(1, 3), st.integers(1, 40), st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_dequantisation(requests: int, n: int, at: int) -> None:
    rng = np.random.default_rng(n)
    acc = rng.integers(-(2**31), 2**31 - 1, (requests, at + n)).astype(np.int32)
    factors, bias = rng.normal(size=(2, n)).astype(np.float32)
    out = np.zeros((requests, n + 2), np.float32)
    vector_loops.dequant(acc, at, factors, bias, out, 1)
    expected = acc[:, at:].astype(np.float32) * factors + bias
    np.testing.assert_allclose(out[:, 1 : 1 + n], expected, rtol=1e-6)


def test_relu_keeps_nan_and_makes_no_negative_zero() -> None:
    x = ODD[np.newaxis].copy()
    out = np.ones_like(x)
    vector_loops.relu(x, 0, out, 0, x.shape[1])
    np.testing.assert_array_equal(out, np.where(x <= 0, np.float32(0), x))
    assert not np.signbit(out[0, 3])
