"""Shape rules of selections, against onnxruntime; the positions of a Slice, against its numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.analysis.shapes.dims import symbol
from cimc.analysis.shapes.rules.selections import OPEN_END, pads_of, slice_extent, slice_positions, slices_of
from cimc.host.runtime import run_onnx
from cimc.ir.onnx import dialect as onnx
from tests.analysis.shapes.rules.onnxruntime_oracle import analysed, elements, said
from tests.transforms.recognise.fusing import Arrays, model

BIG = int(np.iinfo(np.int64).max)
WEIGHTS: Arrays = {
    "s0": np.array(0), "sm1": np.array(-1), "k0": np.array([0]), "k1": np.array([1]), "km1": np.array([-1]),
    "k2": np.array([2]), "k9": np.array([9]), "big": np.array([BIG]), "low": np.array([-BIG]),
    "both": np.array([0, 1]), "ids": np.array([[2, 0, 1]]), "pair": np.array([[0, 1], [0, 2]]),
    "pads": np.array([1, 0, 2, 3]), "crop": np.array([-1, 2]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "body", "shape"),
    [
        ("float[B, 4] x", "y = Gather<axis = 1>(x, ids)", "B, 1, 3"),
        ("float[B, 4] x", "y = Gather<axis = -1>(x, sm1)", "B"),
        ("float[2, 4] x", "y = GatherND(x, pair)", "2"),
        ("float[2, 4, 3] x", "y = GatherND<batch_dims = 1>(x, pair)", None),
        ("float[2, 4] x, int64[2, 3] i", "y = GatherElements<axis = 1>(x, i)", "2, 3"),
        ("float[B, 4] x", "y = Slice(x, k0, km1, k0)", "B - 1, 4"),
        ("float[B, 4] x", "y = Slice(x, km1, big, k0)", "1, 4"),
        ("float[B, 4] x", "y = Slice(x, k1, big, k0)", "B - 1, 4"),
        ("float[B, 4] x", "y = Slice(x, k2, big, k0)", "?, 4"),
        ("float[B, 4] x", "y = Slice(x, k0, k9, k1)", "B, 4"),
        ("float[B, 4] x", "y = Slice(x, km1, low, k0, km1)", "B, 4"),
        ("float[B, 4] x", "y = Slice(x, km1, big, k1, km1)", "B, 4"),
        ("float[B, 4] x", "y = Slice(x, k9, k0, k1, km1)", "B, 3"),
        ("float[B, 4] x", "y = Slice(x, both, both)", None),
        ("float[B, 4] x", "y = Pad(x, pads)", "B + 3, 7"),
        ("float[B, 4] x", "y = Pad(x, crop, , k1)", "B, 5"),
        ("float[B, 4] x", "y, i = TopK(x, k2)", "B, 2"),
        ("float[4, B] x", "y, i = TopK<axis = 0>(x, k2)", "2, B"),
    ],
)  # fmt: skip
def test_shapes(inputs: str, body: str, shape: str | None) -> None:
    text = f"m ({inputs}) => (float[] y) {{ {body} }}"
    found = said(text, WEIGHTS)
    if shape is not None:
        assert found == [shape]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("y = Gather(s, s0)", ["B"]),
        ("y = Gather(s, ids1)", ["4", "B"]),
        ("y = Gather(s, sm1)", ["4"]),
        ("y = Slice(s, k1, big)", ["4"]),
        ("y = Slice(s, km1, low, k0, km1)", ["4", "B"]),
        ("y = Slice(s, k0, k0)", []),
    ],
)
def test_elements(body: str, found: list[str]) -> None:
    weights = {**WEIGHTS, "ids1": np.array([1, 0])}
    (values,) = elements(f"m (float[B, 4] x) => (int64[] y) {{ s = Shape(x)\n {body} }}", weights)
    assert values == found


BOUNDS = st.integers(-9, 9) | st.sampled_from([OPEN_END, BIG, -OPEN_END, -BIG])


@given(st.integers(1, 6), BOUNDS, BOUNDS, st.sampled_from([-3, -2, -1, 1, 2, 3]))
@settings(max_examples=60, deadline=None)
def test_positions_are_those_of_onnxruntime(extent: int, start: int, end: int, step: int) -> None:
    weights = {"s": np.array([start]), "e": np.array([end]), "a": np.array([0]), "t": np.array([step])}
    proto = model(f"m (int64[{extent}] x) => (int64[] y) {{ y = Slice(x, s, e, a, t) }}", weights)
    found = list(slice_positions(extent, start, end, step))
    assert found == run_onnx(proto, {"x": np.arange(extent)})["y"].tolist()
    claim = slice_extent(symbol("n"), start, end, step)
    assert claim is None or slice_extent(extent, start, end, step) == (
        claim if isinstance(claim, int) else extent + (0 if claim == symbol("n") else -1)
    )


def test_no_step_at_all_is_no_slice() -> None:
    assert slice_extent(5, 0, 3, 0) is None
    assert slice_extent(5, 0, 3, None) is None


def node(text: str, opset: int = 18) -> tuple[onnx.NodeOp, object]:
    analysis, (y,) = analysed(model(f"m (float[B, 4] x) => (float[] y) {{ {text} }}", WEIGHTS, opset=opset))
    assert isinstance(y.owner, onnx.NodeOp)
    return y.owner, analysis


def test_slices_and_pads_of_old_opsets_stand_in_attributes() -> None:
    op, analysis = node("y = Slice<axes = [1], starts = [1], ends = [-1]>(x)", 9)
    assert slices_of(op, analysis) == [(1, 1, -1, 1)]
    op, analysis = node("y = Pad<pads = [0, 1, 2, 3]>(x)", 10)
    assert pads_of(op, analysis) == [(0, 2), (1, 3)]


@pytest.mark.parametrize("text", ["y = Slice(x, both, both, axes)", "y = Pad(x, pads, , axes)"])
def test_an_axis_named_twice_is_refused(text: str) -> None:
    proto = model(f"m (float[B, 4] x) => (float[] y) {{ {text} }}", {**WEIGHTS, "axes": np.array([1, -1])})
    analysis, (y,) = analysed(proto)
    assert isinstance(y.owner, onnx.NodeOp)
    assert (slices_of if y.owner.kind == "Slice" else pads_of)(y.owner, analysis) is None
