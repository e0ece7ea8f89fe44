"""Nodes that onnxruntime refuses only when it gets to them get no meaning."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.interpreter.evaluate import main_function
from cimc.ir.onnx import dialect as onnx
from cimc.transforms.matching.failure import NoMatch
from cimc.transforms.matching.graph import Graph
from cimc.transforms.recognise.soundness import need_sound
from tests.transforms.recognise.fusing import Arrays, imported, model

WEIGHTS: Arrays = {
    "s1": np.array(1), "k1": np.array([1]), "k5": np.array([5]), "km3": np.array([-3]), "km2": np.array([-2]),
    "both": np.array([0, 1]), "two": np.array([[2]]),
}  # fmt: skip


def judged(body: str, more: str = "") -> str:
    """Why the node that gives ``y`` is refused; empty if it is not."""
    module, ctx = imported(model(f"m (float[B, 4] x{more}) => (float[] y) {{ {body} }}", WEIGHTS))
    function = main_function(module)
    graph = Graph(function, ctx, analysis=ShapeAnalysis(function, ctx), opsets={"": 18})
    end = function.body.block.last_op
    assert end is not None
    node = end.operands[0].owner
    assert isinstance(node, onnx.NodeOp)
    try:
        need_sound(node, graph)
    except NoMatch as miss:
        return str(miss)
    return ""


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("y = Slice(x, k1, k5, k1)", ""),
        ("y = Slice(x, s1, k5)", "operand 1 of Slice:y is no vector"),
        ("y = Slice(x, k1, k5, k5)", "an axis of Slice:y does not exist"),
        ("y = Slice(x, k1, both)", "the bounds of Slice:y differ in number"),
        ("y = Unsqueeze(x, s1)", "operand 1 of Unsqueeze:y is no vector"),
        ("y = Reshape(x, two)", "operand 1 of Reshape:y is no vector"),
        ("y = ReduceSum(x, km2)", ""),
        ("y = ReduceSum(x, km3)", "an axis of ReduceSum:y does not exist"),
        ("y = ReduceMean(x, s1)", "operand 1 of ReduceMean:y is no vector"),
        ("y = ReduceSum(x)", ""),
        ("y = Relu(x)", ""),
    ],
)
def test_operands_that_an_operator_does_not_take(body: str, why: str) -> None:
    assert judged(body) == why


def test_what_is_not_known_counts_as_right() -> None:
    assert judged("y = ReduceSum(x, a)", ", int64[1] a") == ""
    assert judged("y = Slice(x, k1, a)", ", int64[N] a") == ""


def test_nodes_in_bodies_count_too() -> None:
    body = (
        "y = If<then_branch = t () => (float[] p) { p = ReduceSum(x, km3) },"
        "else_branch = e () => (float[] q) { q = Neg(x) }>(c)"
    )
    assert judged(body, ", bool c") == "an axis of ReduceSum:p does not exist"
