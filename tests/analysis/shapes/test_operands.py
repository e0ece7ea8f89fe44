"""Broadcast extents against numpy's, contents, axes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.analysis.shapes import operands
from cimc.analysis.shapes.dims import symbol
from cimc.ir.onnx import dialect as onnx
from tests.analysis.shapes.rules.onnxruntime_oracle import analysed
from tests.transforms.recognise.fusing import Arrays, model

SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@given(st.lists(SHAPES, min_size=1, max_size=3))
def test_broadcasting_of_numbers_is_numpys(shapes: list[tuple[int, ...]]) -> None:
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        assert len(shapes) > 2 or None in (operands.broadcast(shapes) or ())
        assert operands.joint_shape([np.empty(s, object) for s in shapes]) is None
        return
    assert operands.broadcast(shapes) == expected
    assert operands.joint_shape([np.empty(s, object) for s in shapes]) == expected


def test_broadcasting_of_symbols() -> None:
    b, n = symbol("B"), symbol("N")
    assert operands.broadcast([(b, 1), (4,)]) == (b, 4)
    assert operands.broadcast([(b,), (4,)]) == (4,)  # B is 1 or 4, the result has 4 either way
    assert operands.broadcast([(b,), (n,)]) == (None,)
    assert operands.broadcast([(b,), (b,)]) == (b,)
    assert operands.broadcast([(b,), None]) is None
    assert operands.broadcast([]) == ()


def test_a_joint_shape_needs_all_contents() -> None:
    assert operands.joint_shape([np.empty(2, object), None]) is None
    assert operands.joint_shape([operands.scalar_content(3)]) == ()


def test_contents() -> None:
    assert operands.scalar_content(None).shape == ()
    assert operands.vector_content([1, symbol("B")]).tolist() == [1, symbol("B")]
    assert operands.known_content(operands.vector_content([1, 2]))
    assert not operands.known_content(operands.vector_content([1, symbol("B")]))
    assert not operands.known_content(None)


@pytest.mark.parametrize(
    ("axes", "rank", "normal"), [((-1, 0), 3, [2, 0]), ((3,), 3, None), ((-4,), 3, None), ((), 0, [])]
)
def test_normal_axes(axes: tuple[int, ...], rank: int, normal: list[int] | None) -> None:
    assert operands.normal_axes(axes, rank) == normal


def node(
    text: str, weights: Arrays | None = None, opset: int = 18
) -> tuple[onnx.NodeOp, operands.ShapeFacts]:
    proto = model(f"m (float[B, 3] x, int64[1] i) => (float[] y) {{ y = {text} }}", weights, opset=opset)
    analysis, (y,) = analysed(proto)
    assert isinstance(y.owner, onnx.NodeOp)
    return y.owner, analysis


def test_axes_are_an_attribute_or_an_input() -> None:
    one = {"a": np.array([-1])}
    assert operands.axes_of(*node("ReduceSum<axes = [1]>(x)", opset=11)) == [1]
    assert operands.axes_of(*node("ReduceSum(x, a)", one)) == [-1]
    assert operands.axes_of(*node("ReduceSum(x)")) == []
    assert operands.axes_of(*node("ReduceSum(x, i)")) is None


@pytest.mark.parametrize(("text", "kept"), [("", True), ("<keepdims = 1>", True), ("<keepdims = 0>", False)])
def test_a_reduction_keeps_its_axes_if_it_says_one(text: str, kept: bool) -> None:
    op, _ = node(f"ReduceSum{text}(x)")
    assert operands.keeps_dims(op) is kept


def test_operands_may_be_left_out() -> None:
    op, _ = node("Clip(x, , top)", {"top": np.float32(1)})
    assert operands.operand(op, 0) is op.inputs[0]
    assert operands.operand(op, 1) is None
    assert operands.operand(op, 2) is op.inputs[2]
    assert operands.operand(op, 3) is None


def test_moved_elements_keep_their_order_if_they_fit() -> None:
    op, analysis = node("Cast<to = 1>(t)", {"t": np.arange(6)})
    moved = operands.moved(op, analysis, (2, 3))
    assert moved.content is not None
    assert moved.content.tolist() == [[0, 1, 2], [3, 4, 5]]
    for shape in ((2, 2), (symbol("B"), 3), (-2, -3), None):
        assert operands.moved(op, analysis, shape).content is None
