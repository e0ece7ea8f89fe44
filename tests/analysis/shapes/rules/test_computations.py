"""Shape rules of computations: what they claim holds in onnxruntime, and they claim what can be known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analysis.shapes.rules.onnxruntime_oracle import elements, said
from tests.transforms.recognise.fusing import Arrays

WEIGHTS: Arrays = {
    "row": np.ones((1, 4), np.float32), "w": np.ones((4, 3), np.float32), "v": np.ones(4, np.float32),
    "two": np.array(2), "four": np.array(4), "k1": np.array([1]), "k0": np.array([0]),
    "both": np.array([0, 1]), "none": np.zeros(0, np.int64), "offon": np.array([0.0, 1.0], np.float32),
    "filter": np.ones((2, 3, 2), np.float32), "scale": np.float32(0.5), "z": np.uint8(0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "body", "shape"),
    [
        ("float[B, 4] x", "y = Add(x, row)", "B, 4"),
        ("float[B, 1] x", "y = Mul(row, x)", "B, 4"),
        ("float[4] x", "y = Sub(x, row)", "1, 4"),
        ("float[B, 4] x", "c = Less(x, row)\n y = Where(c, x, scale)", "B, 4"),
        ("float[B, 4] x", "c = Greater(x, row)\n n = Not(c)\n y = Cast<to = 1>(n)", "B, 4"),
        ("float[B, 4] x", "y = MatMul(x, w)", "B, 3"),
        ("float[B, 2, 4] x", "y = MatMul(x, w)", "B, 2, 3"),
        ("float[B, 4] x", "y = MatMul(x, v)", "B"),
        ("float[2, 4] x", "y = Gemm<transA = 1, transB = 0>(x, x)", "4, 4"),
        ("float[B, 3] x", "y = Gemm<transB = 1>(x, w)", "B, 4"),
        ("float[B, 4] x", 'y = Einsum<equation = "bi,ij->jb">(x, w)', "3, B"),
        ("float[B, 4] x", 'y = Einsum<equation = "bi , ij -> b">(x, w)', "B"),
        ("float[B, 3, 7] x", "y = Conv(x, filter)", "B, 2, 6"),
        ("float[B, 3, 7] x", "y = Conv<strides = [2], pads = [1, 1], dilations = [3]>(x, filter)", "B, 2, 3"),
        ("float[B, 3, 7] x", 'y = Conv<strides = [2], auto_pad = "SAME_UPPER">(x, filter)', "B, 2, 4"),
        ("float[B, 3, 7] x", 'y = Conv<auto_pad = "VALID", strides = [2]>(x, filter)', "B, 2, 3"),
        ("float[B, 3, 7] x", "y = GlobalMaxPool(x)", "B, 3, 1"),
        ("float[B, 3, 7] x", "y = ReduceSum<keepdims = 0>(x, k1)", "B, 7"),
        ("float[B, 3, 7] x", "y = ReduceSum(x)", "1, 1, 1"),
        ("float[B, 3, 7] x", "y = ReduceSum<keepdims = 0>(x)", ""),
        ("float[B, 3, 7] x", "y = ReduceSum<noop_with_empty_axes = 1>(x, none)", "B, 3, 7"),
        ("float[B, 3] x", "y = ReduceMean<keepdims = 0>(x, both)", ""),
        ("float[B, 3, 7] x", "a = ArgMax<axis = -1, keepdims = 0>(x)\n y = Cast<to = 1>(a)", "B, 3"),
        ("float[B, 3, 7] x", "a = ArgMin<axis = 1>(x)\n y = Cast<to = 1>(a)", "B, 1, 7"),
        ("int64[B, 2] x", "y = OneHot(x, four, offon)", "B, 2, 4"),
        ("int64[B, 2] x", "y = OneHot<axis = 0>(x, four, offon)", "4, B, 2"),
        ("int64[B, 2] x", "y = OneHot<axis = -2>(x, four, offon)", "B, 4, 2"),
        ("float[B, 3] x", "q = QuantizeLinear(x, scale, z)\n y = DequantizeLinear(q, scale, z)", "B, 3"),
        ("float[B, 2] x", "n = NonZero(x)\n y = Cast<to = 1>(n)", "2, ?"),
        ("float[B, 2] x", "d, m = Dropout(x)\n y = CumSum(d, k1)", "B, 2"),
    ],
)  # fmt: skip
def test_shapes(inputs: str, body: str, shape: str) -> None:
    assert said(f"m ({inputs}) => (float[] y) {{ {body} }}", WEIGHTS) == [shape]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("y = Add(s, s)", ["2*B", "8"]),
        ("y = Sub(s, k1)", ["B - 1", "3"]),
        ("y = Mul(s, both)", ["0", "4"]),
        ("y = Div(s, s)", ["1", "1"]),
        ("y = Div(s, two)", ["?", "2"]),
        ("y = Mod(s, s)", ["0", "0"]),
        ("y = Mod(s, two)", ["?", "0"]),
        ("y = Max(s, s)", ["B", "4"]),
        ("y = Min(s, two)", ["?", "2"]),
        ("y = Neg(s)", ["-1*B", "-4"]),
        ("e = Equal(s, four)\n y = Cast<to = 7>(e)", ["?", "1"]),
        ("e = Cast<to = 9>(both)\n y = Cast<to = 7>(e)", ["0", "1"]),
        ("e = Cast<to = 6>(s)\n y = Cast<to = 7>(e)", ["B", "4"]),
        ("y = ReduceProd<keepdims = 0>(s)", ["4*B"]),
        ("y = ReduceProd(s)", ["4*B"]),
        ("y = Identity(s)", ["B", "4"]),
    ],
)
def test_elements(body: str, found: list[str]) -> None:
    (values,) = elements(f"m (float[B, 4] x) => (int64[] y) {{ s = Shape(x)\n {body} }}", WEIGHTS)
    assert values == found


def test_elements_stay_unknown_where_a_cast_might_change_them() -> None:
    body = "f = Cast<to = 1>(s)\n y = Cast<to = 7>(f)\n z = Cast<to = 6>(huge)"
    weights = {"huge": np.array([1 << 40])}
    text = f"m (float[B, 4] x) => (int64[] y, int32[] z) {{ s = Shape(x)\n {body} }}"
    assert elements(text, weights) == [None, ["?"]]
