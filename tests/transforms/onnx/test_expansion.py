"""What rules that take an operator apart are written with."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.interpreter.evaluate import evaluate, main_function
from cimc.ir.onnx import dialect as onnx
from cimc.transforms.onnx.expansion import Expansion, Unknown
from tests.transforms.recognise.fusing import floats, imported, model

X = floats(2, 6)


def expansion(opset: int = 18, body: str = "y = Clip(x, , top)") -> Expansion:
    """Of the node that gives ``y``."""
    text = f"m (float[B, 6] x, float[N] u) => (float[] y) {{ {body} }}"
    module, ctx = imported(model(text, {"top": np.float32(1), "k": np.arange(3)}, opset=opset))
    function = main_function(module)
    end = function.body.block.last_op
    assert end is not None
    op = end.operands[0].owner
    assert isinstance(op, onnx.NodeOp)
    return Expansion(op, ShapeAnalysis(function, ctx), ctx, opset)


def numbers(w: Expansion, value: object) -> np.ndarray:
    """What ``value``, in place of the node, gives for :data:`X`."""
    w.insert()
    w.op.results[0].replace_all_uses_with(value)  # type: ignore[arg-type]
    function = w.analysis.function
    return evaluate(function.get_toplevel_object(), w.ctx, {"x": X, "u": np.zeros(1, np.float32)})["y"]


def test_operands_may_be_absent() -> None:
    w = expansion()
    assert w.given(0) is w.op.inputs[0]
    assert w.given(1) is None
    assert w.given(9) is None
    assert w.input(2) is w.op.inputs[2]
    with pytest.raises(Unknown):
        w.input(1)
    w.none(1, 7)
    with pytest.raises(Unknown, match="input 2 is given"):
        w.none(1, 2)


def test_constants_are_read_and_others_named() -> None:
    w = expansion()
    assert w.array(1, "bounds") is None
    found = w.array(2, "bounds")
    assert found is not None
    assert float(found) == 1
    with pytest.raises(Unknown, match="its bounds are not constant"):
        w.array(0, "bounds")


def test_extents_are_numbers_or_open() -> None:
    w = expansion()
    assert w.dims(w.op.inputs[0]) == [-1, 6]


def test_results_must_be_unused() -> None:
    w = expansion(body="a, b = Split<axis = 1, num_outputs = 2>(x)\n y = Add(a, b)")
    split = w.op.inputs[0].owner
    assert isinstance(split, onnx.NodeOp)
    other = Expansion(split, w.analysis, w.ctx, 18)
    with pytest.raises(Unknown, match="output 1 is used"):
        other.unused(1)
    other.unused(5)


def test_small_constants_are_made_once_large_ones_stored() -> None:
    w = expansion()
    assert w.number(2.0) is w.number(2.0)
    assert w.number(2.0) is not w.number(3.0)
    large = w.constant(np.zeros(onnx.INLINE_LIMIT + 1, np.float32), "R")
    assert isinstance(large.owner, onnx.InitializerOp)
    assert w.ctx.store[large.owner.symbol.string_value()].size == onnx.INLINE_LIMIT + 1


@pytest.mark.parametrize("opset", [9, 11, 13, 18])
def test_nodes_are_those_of_the_operator_set(opset: int) -> None:
    body = "y = Relu(x)"
    x = X
    w = expansion(opset, body)
    np.testing.assert_allclose(numbers(w, w.slice(w.op.inputs[0], 1, 2, 5)), x[:, 2:5])
    w = expansion(opset, body)
    np.testing.assert_allclose(numbers(w, w.unsqueeze(w.op.inputs[0], 1)), x[:, np.newaxis])
    w = expansion(opset, body)
    np.testing.assert_allclose(
        numbers(w, w.mean_of_last(w.op.inputs[0])), x.mean(1, keepdims=True), rtol=1e-5
    )


def test_forms() -> None:
    w = expansion(body="y = Relu(x)")
    x = w.op.inputs[0]
    assert w.concat([x], 1) is x
    assert w.scaled(x, 1.0) is x
    made = w.concat([w.transpose(w.reshape(x, -1, 3, 2), 0, 2, 1)] * 2, 2)
    part = X.reshape(-1, 3, 2).transpose(0, 2, 1)
    np.testing.assert_allclose(numbers(w, made), np.concatenate([part, part], 2))
    assert [n.kind for n in w.nodes] == ["Reshape", "Transpose", "Concat"]


def test_what_was_begun_can_be_forgotten() -> None:
    w = expansion(body="y = Relu(x)")
    uses = len(list(w.op.inputs[0].uses))
    w.make("Neg", w.op.inputs[0])
    w.forget()
    assert len(list(w.op.inputs[0].uses)) == uses
