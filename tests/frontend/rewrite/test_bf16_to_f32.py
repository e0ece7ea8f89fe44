"""Graphs in bfloat16 as the same in float32: types, names, numbers."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from cimc.frontend.rewrite.bf16_to_f32 import has_bfloat16, widen
from cimc.host.runtime import run_onnx
from tests.transforms.recognise.fusing import floats, model


def narrow(text: str, **weights: np.ndarray) -> onnx.ModelProto:
    proto = model(text)
    for name, array in weights.items():
        proto.graph.initializer.append(numpy_helper.from_array(array.astype(ml_dtypes.bfloat16), name))
    return proto


def test_what_is_of_bfloat16() -> None:
    assert not has_bfloat16(model("m (float[B] x) => (float[B] y) { y = Relu(x) }"))
    assert has_bfloat16(model("m (bfloat16[B] x) => (float[B] y) { y = Cast<to = 1>(x) }"))
    assert has_bfloat16(
        model("m (float[B] x) => (float[B] y) { h = Cast<to = 16>(x)\n y = Cast<to = 1>(h) }")
    )
    assert has_bfloat16(narrow("m (float[B] x) => (float[B] y) { y = Relu(x) }", w=np.ones(2)))


def test_weights_keep_their_bytes_and_inputs_their_types() -> None:
    w = floats(4, 3)
    proto = narrow("m (bfloat16[B, 4] x) => (bfloat16[B, 3] y) { h = MatMul(x, w)\n y = Relu(h) }", w=w)
    before = proto.graph.initializer[0].SerializeToString()
    widen(proto)
    assert proto.graph.initializer[0].SerializeToString() == before
    assert proto.graph.input[0].type.tensor_type.elem_type == TensorProto.BFLOAT16
    assert proto.graph.output[0].type.tensor_type.elem_type == TensorProto.BFLOAT16
    x = floats(2, 4).astype(ml_dtypes.bfloat16)
    exact = np.maximum(x.astype(np.float32) @ w.astype(ml_dtypes.bfloat16).astype(np.float32), 0)
    proto.graph.output[0].name = proto.graph.node.pop().input[0]  # the last cast: numpy has no bfloat16
    for part in (proto.graph.input[0], proto.graph.output[0]):
        part.type.tensor_type.elem_type = TensorProto.FLOAT
    found = run_onnx(proto, {"x": x.astype(np.float32)})
    (numbers,) = found.values()
    np.testing.assert_allclose(numbers, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("branch", [True, False])
def test_bodies_compute_in_float32_too(branch: bool) -> None:
    text = (
        "m (float[B] x, bool c) => (float[B] y) { h = Cast<to = 16>(x)\n r = If<"
        "then_branch = t () => (bfloat16[B] p) { k = Cast<to = 16>(x)\n p = Add(h, k) },"
        "else_branch = e () => (bfloat16[B] q) { q = Neg(h) }>(c)\n y = Cast<to = 1>(r) }"
    )
    proto = model(text)
    widen(proto)
    assert not has_bfloat16(proto)
    x = floats(3)
    found = run_onnx(proto, {"x": x, "c": np.array(branch)})["y"]
    np.testing.assert_allclose(found, 2 * x if branch else -x, rtol=1e-6)


def test_new_names_are_new() -> None:
    made = narrow("m (bfloat16[B] x) => (bfloat16[B] y) { h = Relu(x)\n y = Neg(h) }")
    made.graph.node[0].output[0] = made.graph.node[1].input[0] = "h/float32"
    widen(made)
    names = [name for node in made.graph.node for name in node.output]
    assert len(names) == len(set(names))
    assert "x/float32_" in names


def test_an_output_that_is_an_input_stays_one() -> None:
    proto = model("m (bfloat16[B] x) => (bfloat16[B] y, bfloat16[B] x) { y = Neg(x) }")
    widen(proto)
    assert [v.name for v in proto.graph.output] == ["y", "x"]
    assert "x" not in [name for node in proto.graph.node for name in node.output]
