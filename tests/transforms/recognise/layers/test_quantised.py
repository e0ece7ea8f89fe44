"""Layers of quantised models: integers, scales and grids as the model states them."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.interpreter.evaluate import evaluate
from cimc.ir import rec
from cimc.ir.types import symbol
from tests.transforms.recognise.fusing import Arrays, Fused, floats, fused

FOUR = np.array([0.5, 1, 2, 4], np.float32)
INTEGERS = np.arange(-6, 6).reshape(4, 3).astype(np.int8)


def layer(body: str, **weights: object) -> Fused:
    arrays: Arrays = {
        "i": INTEGERS, "u": (INTEGERS.astype(int) + 128).astype(np.uint8), "z": np.int8(0),
        "z128": np.uint8(128), "s": np.float32(0.5), "each": np.array([0.5, 0.25, 2], np.float32),
        "b": floats(3), "grid": np.float32(0.125), "zu": np.uint8(9), **weights,
    }  # fmt: skip
    return fused(f"m (float[B, 4] x) => (float[] y) {{ {body} }}", arrays)


def linear(found: Fused) -> rec.LinearOp:
    (op,) = found.ops("rec.linear")
    assert isinstance(op, rec.LinearOp)
    assert found.reasons() == {}
    return op


def numbers(found: Fused, weights: np.ndarray, bias: object = 0) -> None:
    """``x @ weights + bias``, and not what onnxruntime makes of it, which rounds activations on its own."""
    x = floats(3, 4)
    expected = x.astype(np.float64) @ weights.astype(np.float64) + bias
    np.testing.assert_allclose(evaluate(found.module, found.ctx, {"x": x})["y"], expected, atol=1e-5)


def stored(found: Fused, name: object) -> np.ndarray:
    return found.ctx.store[symbol(name)]  # type: ignore[arg-type]


def test_integers_and_their_scale_are_kept() -> None:
    found = layer("w = DequantizeLinear(i, s, z)\n y = MatMul(x, w)")
    numbers(found, INTEGERS * 0.5)
    op = linear(found)
    np.testing.assert_array_equal(stored(found, op.weight), INTEGERS)
    np.testing.assert_array_equal(stored(found, op.weight_scale), np.full(3, 0.5, np.float32))
    assert op.grid is None


def test_a_scale_per_unit_and_a_bias() -> None:
    found = layer(
        "w = DequantizeLinear(i, each, zeros)\n m = MatMul(x, w)\n y = Add(b, m)", zeros=np.zeros(3, np.int8)
    )
    numbers(found, INTEGERS * [0.5, 0.25, 2], floats(3))
    op = linear(found)
    np.testing.assert_array_equal(stored(found, op.weight_scale), [0.5, 0.25, 2])
    assert op.bias is not None


def test_a_turned_matrix_has_its_scales_in_the_other_direction() -> None:
    found = layer(
        "w = DequantizeLinear<axis = 0>(t, each, zeros)\n y = Gemm<transB = 1>(x, w, b)",
        t=np.ascontiguousarray(INTEGERS.T), zeros=np.zeros(3, np.int8),
    )  # fmt: skip
    numbers(found, INTEGERS * [0.5, 0.25, 2], floats(3))
    np.testing.assert_array_equal(stored(found, linear(found).weight), INTEGERS)


def test_unsigned_integers_about_128_are_signed_ones() -> None:
    found = layer("w = DequantizeLinear(u, s, z128)\n y = MatMul(x, w)")
    np.testing.assert_array_equal(stored(found, linear(found).weight), INTEGERS)


def test_a_zero_point_that_int8_cannot_absorb_makes_floats() -> None:
    found = layer("w = DequantizeLinear(u, s, z7)\n y = MatMul(x, w)", z7=np.uint8(7))
    numbers(found, (INTEGERS + 121.0) * 0.5)
    assert linear(found).weight_scale is None


def test_the_grid_of_the_input_stands_on_the_layer() -> None:
    found = layer(
        "q = QuantizeLinear(x, grid, zu)\n d = DequantizeLinear(q, grid, zu)\n"
        "w = DequantizeLinear(i, s, z)\n y = MatMul(d, w)"
    )
    assert linear(found).grid == rec.Grid(0.125, -9, 246)


@pytest.mark.parametrize("other", ["s, zu", "grid, z128"])
def test_roundings_of_two_grids_are_no_grid(other: str) -> None:
    found = layer(
        f"q = QuantizeLinear(x, grid, zu)\n d = DequantizeLinear(q, {other})\n"
        "w = DequantizeLinear(i, s, z)\n y = MatMul(d, w)"
    )
    assert all(op.grid is None for op in found.ops("rec.linear"))  # type: ignore[attr-defined]


def test_a_grid_that_no_layer_reads_clips() -> None:
    found = layer(
        "m = MatMul(x, w32)\n q = QuantizeLinear(m, grid, zu)\n y = DequantizeLinear(q, grid, zu)",
        w32=np.eye(4, dtype=np.float32),
    )
    (clip,) = found.ops("rec.unary")
    assert isinstance(clip, rec.UnaryOp)
    assert clip.kind.data == "clip"
    limits = [float(v.value.data) for v in (clip.alpha, clip.beta) if v is not None]
    assert limits == [-9 * 0.125, 246 * 0.125]


@pytest.mark.parametrize(
    ("body", "matrix", "bias"),
    [
        ("w = DequantizeLinear<axis = 0>(i, four, z4)\n y = MatMul(x, w)", FOUR[:, np.newaxis] * INTEGERS, 0),
        ("w = DequantizeLinear(i, neg, z)\n y = MatMul(x, w)", INTEGERS * -0.5, 0),
        ("w = DequantizeLinear(i, s, z)\n y = Gemm<alpha = 2.0>(x, w, b)", INTEGERS * 1.0, floats(3)),
    ],
)
def test_what_is_no_layer_of_integers_is_one_of_floats(body: str, matrix: np.ndarray, bias: object) -> None:
    found = layer(body, four=FOUR, z4=np.zeros(4, np.int8), neg=np.float32(-0.5))
    numbers(found, matrix, bias)
    assert all(op.weight_scale is None for op in found.ops("rec.linear"))  # type: ignore[attr-defined]
