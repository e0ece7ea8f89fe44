"""Shape rules of what reshapes, joins and splits: what they claim holds in onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.analysis.shapes.rules.reshaping import split_sizes, states_its_parts
from cimc.ir.onnx import dialect as onnx
from tests.analysis.shapes.rules.onnxruntime_oracle import analysed, elements, said
from tests.transforms.recognise.fusing import Arrays, model

WEIGHTS: Arrays = {
    "k0": np.array([0]), "k1": np.array([1]), "km1": np.array([-1]), "ends": np.array([0, -1]),
    "s0": np.array(0), "s1": np.array(1), "s2": np.array(2), "s3": np.array(3), "s7": np.array(7),
    "same": np.array([0, -1, 2]), "both": np.array([-1, 6]), "parts": np.array([1, 2, 1]),
    "none": np.zeros(0, np.int64), "twice": np.array([2, 1]), "grid": np.array([2, 1, 4]),
    "one": np.ones((1, 4), np.float32),
}  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "body", "shape"),
    [
        ("float[B, 4] x", "y = Reshape(x, same)", "B, 2, 2"),
        ("float[B, 2, 3] x", "y = Reshape(x, both)", "B, 6"),
        ("float[B, 4] x", "y = Reshape(x, km1)", "4*B"),
        ("float[B, 4] x, int64[2] t", "y = Reshape(x, t)", None),
        ("float[B, 2, 3] x", "y = Flatten(x)", "B, 6"),
        ("float[B, 2, 3] x", "y = Flatten<axis = 0>(x)", "1, 6*B"),
        ("float[B, 2, 3] x", "y = Flatten<axis = -1>(x)", "2*B, 3"),
        ("float[B, 1, 3, 1] x", "y = Squeeze(x, k1)", "B, 3, 1"),
        ("float[1, 4, 1] x", "y = Squeeze(x)", "4"),
        ("float[B, 4] x", "y = Unsqueeze(x, ends)", "1, B, 4, 1"),
        ("float[B, 2, 3] x", "y = Transpose<perm = [2, 0, 1]>(x)", "3, B, 2"),
        ("float[B, 4] x", "y = Expand(x, grid)", "2, B, 4"),
        ("float[B, 4] x", "y = Tile(x, twice)", "2*B, 4"),
        ("float[B, 4] x", "y = Concat<axis = -1>(x, x, x)", "B, 12"),
        ("float[B, 4] x", "y = Concat<axis = 0>(x, one)", "B + 1, 4"),
        ("float[B, 4] x", "a, y, c = Split<axis = 1>(x, parts)", "B, 2"),
        ("float[B, 4] x", "a, y = Split<axis = -1, num_outputs = 2>(x)", "B, 2"),
        ("float[B, 7] x", "a, b, y = Split<axis = 1, num_outputs = 3>(x)", "B, 1"),
        ("float[B, 4] x", "s = Shape<start = 1>(x)\n y = ConstantOfShape(s)", "4"),
        ("float[B, 4] x", "s = Shape<end = -1>(x)\n y = ConstantOfShape(s)", "B"),
        ("float[B, 4] x", "s = Shape<start = -9, end = 9>(x)\n y = ConstantOfShape(s)", "B, 4"),
        ("float[B, 4] x", "n = Size(x)\n r = Range(s0, n, s1)\n y = Cast<to = 1>(r)", "4*B"),
        ("float[B] x", "n = Size(x)\n r = Range(s1, n, s1)\n y = Cast<to = 1>(r)", "B - 1"),
        ("float[B] x", "n = Size(x)\n r = Range(s2, n, s1)\n y = Cast<to = 1>(r)", "?"),
        ("float[B] x", "r = Range(s7, s0, s2)\n y = Cast<to = 1>(r)", "0"),
    ],
)  # fmt: skip
def test_shapes(inputs: str, body: str, shape: str | None) -> None:
    """``None``: of onnxruntime's refusals, where only what is claimed before matters."""
    text = f"m ({inputs}) => (float[] y) {{ {body} }}"
    if shape is None:
        analysis, (y,) = analysed(model(text, WEIGHTS))
        assert all("?" in str(e) or e in (2, 4) for e in analysis.shape(y) or ())
    else:
        assert said(text, WEIGHTS) == [shape]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("y = Size(x)", ["4*B"]),
        ("y = Concat<axis = 0>(s, k1)", ["B", "4", "1"]),
        ("y = Transpose(s)", ["B", "4"]),
        ("u = Unsqueeze(s, k0)\n y = Squeeze(u, k0)", ["B", "4"]),
        ("y = Reshape(s, twice)", ["B", "4"]),
        ("y = Range(s1, s7, s2)", ["1", "3", "5"]),
        ("y = ConstantOfShape<value = int64[1] {5}>(k1)", ["5"]),
    ],
)
def test_elements(body: str, found: list[str]) -> None:
    (values,) = elements(f"m (float[B, 4] x) => (int64[] y) {{ s = Shape(x)\n {body} }}", WEIGHTS)
    assert values == found


@pytest.mark.parametrize(
    "body",
    [
        "y = Reshape(six, two)",
        "y = Squeeze(six, k0)",
        "t = Unsqueeze(six, k0)\n y = Concat<axis = 0>(t, u)",
        "y = Add(six, two)",
        "y = Transpose<perm = [1, 0]>(six)",
    ],
)
def test_models_that_contradict_themselves_are_left_to_others(body: str) -> None:
    """onnxruntime refuses these; the analysis must get to the end."""
    weights = {"six": np.arange(6), "two": np.array([4, 1]), "k0": np.array([0]), "u": np.zeros((1, 3), int)}
    analysis, (y,) = analysed(model(f"m () => (int64[] y) {{ {body} }}", weights))
    assert analysis.integers(y) is None


def split(sizes: str, extent: int, opset: int) -> onnx.NodeOp:
    text = f"m (float[B, {extent}] x) => (float[] a, float[] b) {{ a, b = Split<axis = 1{sizes}>(x) }}"
    _, (a, _) = analysed(model(text, opset=opset))
    assert isinstance(a.owner, onnx.NodeOp)
    return a.owner


def test_a_split_says_how_it_divides() -> None:
    old, new, stated = split("", 4, 13), split("", 4, 18), split(", num_outputs = 2", 5, 18)
    assert states_its_parts(old, 13)
    assert not states_its_parts(new, 18)
    assert states_its_parts(stated, 18)
    analysis, _ = analysed(model("m (float[B, 4] x) => (float[] y) { y = Identity(x) }"))
    assert split_sizes(old, analysis, 4) == [2, 2]
    assert split_sizes(old, analysis, 5) == [None, None]  # parts that differ need num_outputs
    assert split_sizes(stated, analysis, 5) == [3, 2]
    listed = split(", split = [1, 3]", 4, 11)
    assert split_sizes(listed, analysis, 4) == [1, 3]
    assert split_sizes(listed, analysis, 5) == [None, None]
