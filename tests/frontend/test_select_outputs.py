"""A part of a model: its outputs, the inputs they need, and extents taken from those."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.errors import ModelError
from cimc.frontend.select_outputs import drop_unneeded_inputs, select_outputs
from cimc.host.runtime import run_onnx
from cimc.interpreter.evaluate import evaluate, main_function
from cimc.ir.context import CompilerContext
from tests.transforms.recognise.fusing import Arrays, floats, imported, model

TOWERS = """m (float[B, 4] user, float[B, 3] item) => (float[] u, float[] i, float[] score) {
    u = MatMul(user, w)
    s = Shape<end = 1>(%s)
    t = Concat<axis = 0>(s, two)
    z = Expand(row, t)
    k = MatMul(item, v)
    i = Add(k, z)
    score = Mul(u, i)
}"""
WEIGHTS: Arrays = {"w": floats(4, 2), "v": floats(3, 2), "row": floats(2), "two": np.array([2])}
INPUTS: Arrays = {"user": floats(3, 4), "item": floats(3, 3, seed=1)}


def chosen(names: list[str], source: str = "user") -> tuple[list[str], CompilerContext]:
    """The inputs that are left, after a comparison of the outputs with those of the whole."""
    proto = model(TOWERS % source, WEIGHTS)
    module, ctx = imported(proto)
    select_outputs(module, names, ctx)
    module.verify()
    function = main_function(module)
    inputs = [a.data for a in function.attributes["onnx.inputs"].data]  # type: ignore[attr-defined]
    assert len(inputs) == len(function.body.block.args) == len(function.attributes["onnx.dims"].data)  # type: ignore[attr-defined]
    whole, part = run_onnx(proto, INPUTS), evaluate(module, ctx, {name: INPUTS[name] for name in inputs})
    assert list(part) == [name for name in ("u", "i", "score") if name in names]
    for name, array in part.items():
        np.testing.assert_allclose(array, whole[name], rtol=1e-6)
    return inputs, ctx


def test_a_tower_needs_its_own_inputs() -> None:
    inputs, ctx = chosen(["u"])
    assert inputs == ["user"]
    assert ctx.notes == []


def test_the_batch_of_the_other_tower_is_taken_from_ones_own() -> None:
    inputs, ctx = chosen(["i"])
    assert inputs == ["item"]
    assert ctx.notes == [
        "the batch, and any other extent, of 'user' is taken from inputs that are needed",
    ]


def test_outputs_keep_the_models_order() -> None:
    inputs, _ = chosen(["score", "u"])
    assert inputs == ["user", "item"]


def test_all_of_a_model_stays_as_it_is() -> None:
    inputs, ctx = chosen(["u", "i", "score"])
    assert inputs == ["user", "item"]
    assert ctx.notes == []


def test_an_output_that_there_is_not() -> None:
    module, ctx = imported(model(TOWERS % "user", WEIGHTS))
    with pytest.raises(ModelError) as caught:
        select_outputs(module, ["u", "nosuch"], ctx)
    assert caught.value.code == "frontend.unknown-output"
    assert "u, i, score" in str(caught.value.hint)


def test_an_extent_that_no_other_input_has_keeps_its_input() -> None:
    text = "m (float[B, 4] x, float[N] y) => (float[] a, int64[] b) { a = Relu(x)\n b = Shape(y) }"
    module, ctx = imported(model(text))
    select_outputs(module, ["b"], ctx)
    function = main_function(module)
    assert [a.data for a in function.attributes["onnx.inputs"].data] == ["y"]  # type: ignore[attr-defined]


def test_inputs_that_no_output_depends_on() -> None:
    text = (
        "m (float[B, 4] x, float[B, 2] z, float[B] idle) => (float[] y) "
        "{ s = Shape<end = 1>(z)\n t = Concat<axis = 0>(s, four)\n r = Reshape(x, t)\n y = Relu(r) }"
    )
    module, ctx = imported(model(text, {"four": np.array([4])}))
    assert drop_unneeded_inputs(module, ctx) == ("z", "idle")
    module.verify()
    assert len(main_function(module).body.block.args) == 1
    x = floats(3, 4)
    np.testing.assert_array_equal(evaluate(module, ctx, {"x": x})["y"], np.maximum(x, 0))
    assert drop_unneeded_inputs(module, ctx) == ()
