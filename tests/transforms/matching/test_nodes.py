"""Looking at the nodes around a match, and saying why one fails."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.interpreter.evaluate import main_function
from cimc.ir import rec
from cimc.ir.context import CompilerContext
from cimc.ir.onnx.dialect import NodeOp
from cimc.ir.types import f32, i1, i64
from cimc.transforms.matching.batch_norm import batch_norm
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, NotMine, need
from cimc.transforms.matching.graph import Graph
from cimc.transforms.matching.nodes import absent, axis_of, is_integer, node_of, show
from tests.transforms.recognise.fusing import Arrays, imported, model

W = np.float32([[1, 2], [3, 4]])


def graph(text: str, weights: Arrays | None = None, opset: int = 18) -> tuple[Graph, dict[str, NodeOp]]:
    """A function before recognition, and its nodes by operator."""
    made, ctx = imported(model(f"g {text}", weights, opset=opset))
    function = main_function(made)
    found = Graph(function, ctx, analysis=ShapeAnalysis(function, ctx), opsets={"": opset})
    return found, {op.kind: op for op in function.walk() if isinstance(op, NodeOp)}


def test_need_ends_a_match_with_its_reason() -> None:
    need([1], "unused")
    with pytest.raises(NoMatch, match="there is none"):
        need([], "there is none")
    assert issubclass(NotMine, NoMatch)


def test_nodes_are_found_behind_identities() -> None:
    _, nodes = graph(
        "(float[n, 2] x) => (float[n, 2] y) { a = Relu(x) b = Identity(a) c = Identity(b) y = Neg(c) }"
    )
    source = nodes["Neg"].inputs[0]
    assert node_of(source, "Relu", "Exp") is nodes["Relu"]
    assert node_of(source, "Exp") is None
    assert node_of(source, "Identity") is not None
    assert node_of(nodes["Relu"].inputs[0], "Relu") is None  # an input of the graph
    assert node_of(None, "Relu") is None


def test_values_as_messages_name_them() -> None:
    _, nodes = graph("(float[n, 2] x) => (float[n, 2] y) { a = Add(x, w) y = Neg(a) }", {"w": W[0]})
    assert show(nodes["Add"].inputs[0]) == "input x"
    assert show(nodes["Add"].inputs[1]) == "constant w"
    assert show(nodes["Neg"].inputs[0]).startswith("the result of ")


@pytest.mark.parametrize(("axis", "found"), [(0, 0), (-1, 2), (2, 2), (-3, 0)])
def test_axes_count_from_the_front(axis: int, found: int) -> None:
    _, nodes = graph(f"(float[n, 2, 2] x) => (float[n, 2, 2] y) {{ y = Softmax<axis={axis}>(x) }}")
    assert axis_of(nodes["Softmax"], 3, 1) == found
    if axis in (2, -3):
        with pytest.raises(NoMatch, match=f"axis {axis} does not exist"):
            axis_of(nodes["Softmax"], 2, 1)


def test_inputs_that_are_left_out() -> None:
    _, nodes = graph("(float[n] x) => (float[n] y) { y = Clip(x, , m) }", {"m": np.float32(1)})
    assert [absent(v) for v in nodes["Clip"].inputs] == [False, True, False]
    assert [is_integer(e) for e in (i64, i1, f32, None)] == [True, False, False, False]


NORM = "(float[n, 2] x) => (float[n, 2] y) {{ y = BatchNormalization<epsilon=0.5{more}>(x, g, b, m, v) }}"
PARTS = {
    "g": np.float32([2, 3]),
    "b": np.float32([1, 0]),
    "m": np.float32([4, 5]),
    "v": np.float32([0.5, 3.5]),
}


def test_batch_normalisation_is_scale_and_shift() -> None:
    found, nodes = graph(NORM.format(more=""), PARTS)
    affine = batch_norm(nodes["BatchNormalization"], found)
    np.testing.assert_allclose(affine.scale, [2 / 1.0, 3 / 2.0])
    np.testing.assert_allclose(affine.shift, [1 - 4 * 2.0, 0 - 5 * 1.5])


@pytest.mark.parametrize(
    ("text", "weights", "why"),
    [
        (
            "(float[n, 2] x) => (float[n, 2] y) "
            "{ y, a, c = BatchNormalization<training_mode=1>(x, g, b, m, v) }",
            PARTS,
            "the batch's own statistics",
        ),
        (
            "(float[n, 2] x, float[2] g) => (float[n, 2] y) { y = BatchNormalization(x, g, b, m, v) }",
            {k: v for k, v in PARTS.items() if k != "g"},
            "not constant",
        ),
    ],
)
def test_batch_normalisation_that_is_none(text: str, weights: Arrays, why: str) -> None:
    found, nodes = graph(text, weights)
    with pytest.raises(NoMatch, match=why):
        batch_norm(nodes["BatchNormalization"], found)


def relu() -> tuple[Emitter, NodeOp, ModuleOp, CompilerContext]:
    found, nodes = graph("(float[n, 2] x) => (float[n, 2] y) { a = Relu(x) y = Add(a, w) }", {"w": W[0]})
    return Emitter(found, nodes["Relu"]), nodes["Relu"], found.function, found.ctx  # type: ignore[return-value]


def test_nothing_enters_the_ir_before_a_match_is_complete() -> None:
    emit, node, function, _ = relu()
    before = str(function)
    x = node.inputs[0]
    uses = len(list(x.uses))
    result = emit.add(rec.UnaryOp("relu", x))
    assert result.type == x.type
    assert emit.ops[0].location == node.location
    assert str(function) == before
    assert len(list(x.uses)) == uses + 1
    emit.forget()
    assert emit.ops == []
    assert len(list(x.uses)) == uses


def test_an_operation_that_does_not_verify_is_no_match() -> None:
    emit, node, _, _ = relu()
    x = node.inputs[0]
    uses = len(list(x.uses))
    with pytest.raises(NoMatch):
        emit.add(rec.ReshapeOp(x, (-1, 5)))
    assert len(list(x.uses)) == uses
    assert emit.ops == []


def test_shared_constants_are_stored_once() -> None:
    emit, _, _, ctx = relu()
    one = emit.shared(W[0], "w", 3)
    two = emit.shared(W[0].copy(), "w", 3)
    other = emit.shared(W[1], "w", 3)
    names = [str(op.properties["symbol"]) for op in emit.ops]
    assert names[0] == names[1] != names[2]
    assert rec.shape(one) == rec.shape(two) == rec.shape(other) == (1, 1, 2)
    with pytest.raises(NoMatch, match="2 rows of its own"):
        emit.shared(W, "w", 2)
    assert ctx.store is emit.graph.ctx.store
