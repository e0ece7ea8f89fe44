"""Models of f16, f64 and bf16: on the chip they are f32, outside they keep their types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, numpy_helper

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.host.runtime import run_onnx
from models.tiny import tiny_dlrm
from tests.transforms.recognise.fusing import Arrays, floats, fuse, fused

KINDS = {"f16": (np.float16, TensorProto.FLOAT16), "f64": (np.float64, TensorProto.DOUBLE)}


def converted(model: ModelProto, dtype: Any, code: int) -> ModelProto:
    """The model with every float of another type."""
    model = ModelProto.FromString(model.SerializeToString())
    _convert(model.graph, dtype, code)
    return model


def _tensor(tensor: TensorProto, dtype: Any) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(dtype), tensor.name))


def _convert(graph: GraphProto, dtype: Any, code: int) -> None:
    for tensor in graph.initializer:
        _tensor(tensor, dtype)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = code
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = code
            if attribute.type == AttributeProto.TENSOR:
                _tensor(attribute.t, dtype)
            if attribute.type == AttributeProto.GRAPH:
                _convert(attribute.g, dtype, code)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_another_type(kind: str, tmp_path: Path) -> None:
    dtype, code = KINDS[kind]
    model, inputs = tiny_dlrm()
    model = converted(model, dtype, code)
    inputs = {k: v.astype(dtype) if v.dtype == np.float32 else v for k, v in inputs.items()}
    found = fuse(model)
    assert found.reasons() == {}
    assert (found.counts()["embedding_bag"], found.counts()["linear"]) == (3, 4)
    assert found.ctx.store["emb_l.0.weight"].dtype == dtype  # tables are not copied
    found.check(inputs, 2e-3 if kind == "f16" else 1e-6)
    onnx.save(model, tmp_path / "m.onnx")
    program = cimc.compile(tmp_path / "m.onnx", calib=inputs)
    outputs = program.run(inputs).outputs
    expected = run_onnx(model, inputs)
    assert {k: v.dtype for k, v in outputs.items()} == {k: v.dtype for k, v in expected.items()}
    assert check_outputs(expected, outputs, Bound()).passed


def test_bf16_weights_under_casts() -> None:
    weights: Arrays = {
        "t": floats(9, 4).astype(ml_dtypes.bfloat16),
        "w": floats(4, 3).astype(ml_dtypes.bfloat16),
    }
    found = fused(
        """m (int64[B] ids) => (float[B, 3] y) {
            table = Cast<to = 1>(t) weight = Cast<to = 1>(w)
            rows = Gather(table, ids) y = MatMul(rows, weight)
        }""",
        weights,
    )
    assert found.counts() == {"embedding_bag": 1, "linear": 1}
    found.check({"ids": np.array([0, 8, 3])})


def test_floats_that_become_ids_stay_what_they_are() -> None:
    found = fused(
        """m (double[B, 2] x) => (double[B, 4] y) {
            c = Slice(x, zero, one, one) scaled = Mul(c, big) ids = Cast<to = 7>(scaled) low = Mod(ids, size)
            flat = Squeeze(low, one) y = Gather(t, flat)
        }""",
        {
            "t": floats(9, 4).astype(np.float64), "zero": np.array([0]), "one": np.array([1]),
            "big": np.array(2.0**33 + 1.5), "size": np.array(9),
        },
    )  # fmt: skip
    assert found.counts()["embedding_bag"] == 1
    found.check({"x": np.array([[0.1, 1], [0.7, 2], [0.3, 3]])})


def test_a_model_that_stays_on_the_host_stays_exact() -> None:
    found = fused("m (double[B, 3] x) => (double[B, 3] y) { y = Exp(x) }", {})
    assert found.counts() == {"host": 1}
    inputs = {"x": np.random.default_rng(0).standard_normal((4, 3))}
    found.check(inputs, 1e-15)
