"""Asking onnxruntime whether it would run a model, without its large weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from cimc.errors import ModelError
from cimc.frontend.preflight import judge, may_lack_kernels, try_model
from cimc.frontend.read.load_model import LoadedModel, load_model
from tests.transforms.recognise.fusing import Arrays, model


def loaded(folder: Path, text: str, weights: Arrays | None = None, *, apart: bool = False) -> LoadedModel:
    onnx.save(
        model(text, weights),
        folder / "m.onnx",
        save_as_external_data=apart,
        location="w.bin",
        size_threshold=0,
    )
    return load_model(folder / "m.onnx")


def refused(given: LoadedModel) -> ModelError:
    with pytest.raises(ModelError) as caught:
        try_model(given)
    return caught.value


def test_a_model_that_runs_is_left_alone(tmp_path: Path) -> None:
    given = loaded(
        tmp_path, "m (float[B, 4] x) => (float[B, 3] y) { y = MatMul(x, w) }", {"w": np.ones((4, 3), "f")}
    )
    before = given.proto.SerializeToString()
    try_model(given)
    assert judge(given) == []
    assert given.proto.SerializeToString() == before


def test_large_weights_are_not_opened(tmp_path: Path) -> None:
    text = "m (float[B, 64] x) => (float[B, 64] y) { y = MatMul(x, w) }"
    given = loaded(tmp_path, text, {"w": np.ones((64, 64), np.float32)}, apart=True)
    (tmp_path / "w.bin").unlink()
    try_model(given)


def test_shapes_that_contradict_each_other(tmp_path: Path) -> None:
    text = "m (float[B, 4] x) => (float[B, 3] y) { y = MatMul(x, w) }"
    error = refused(loaded(tmp_path, text, {"w": np.ones((5, 3), np.float32)}))
    assert error.code == "frontend.runtime-refuses"
    assert not error.message.startswith("onnxruntime refuses the model: onnxruntime")


def test_operators_that_want_their_weights_as_constants_get_them(tmp_path: Path) -> None:
    """The shape that a Reshape takes, here among the large weights."""
    given = loaded(
        tmp_path,
        "m (float[B, 4] x) => (float[B, 2, 2] y) { y = Reshape(x, s) }",
        {"s": np.array([0, 2, 2])},
        apart=True,
    )
    try_model(given)


def test_a_model_without_outputs(tmp_path: Path) -> None:
    given = loaded(tmp_path, "m (float[B] x) => (float[B] y) { y = Relu(x) }")
    del given.proto.graph.output[:]
    assert refused(given).code == "frontend.no-outputs"


def test_bounds_of_a_slice_are_vectors(tmp_path: Path) -> None:
    weights = {"s0": np.array(0), "k1": np.array([1])}
    error = refused(loaded(tmp_path, "m (float[B] x) => (float[] y) { y = Slice(x, s0, k1) }", weights))
    assert error.code == "frontend.invalid-model"
    assert "'s0'" in error.message


def test_a_model_of_bfloat16_is_made_float32(tmp_path: Path) -> None:
    text = "m (bfloat16[B, 4] x) => (bfloat16[B, 4] y) { h = Sigmoid(x)\n y = Erf(h) }"
    given = loaded(tmp_path, text)
    assert may_lack_kernels(given.proto)
    (note,) = judge(given)
    assert "bfloat16" in note
    assert any(n.op_type == "Cast" for n in given.proto.graph.node)
    assert given.proto.graph.input[0].type.tensor_type.elem_type == TensorProto.BFLOAT16


def test_a_recurrent_layer_with_the_batch_in_front_is_turned(tmp_path: Path) -> None:
    weights = {"w": np.zeros((1, 5, 3), np.float32), "r": np.zeros((1, 5, 5), np.float32)}
    text = "m (float[B, 7, 3] x) => (float[] y) { y = RNN<hidden_size = 5, layout = 1>(x, w, r) }"
    given = loaded(tmp_path, text, weights)
    assert may_lack_kernels(given.proto)
    assert len(judge(given)) == 1
    try_model(given)
