"""Shapes of feature pipelines and trees: what the rules claim is what onnxruntime makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from xdsl.dialects.builtin import f32

from cimc.host.runtime import run_onnx
from tests.analysis.shapes.rules.onnxruntime_oracle import BATCHES, analysed

ML, MS = "ai.onnx.ml", "com.microsoft"
LEAVES: dict[str, Any] = {
    "nodes_treeids": [0, 0, 0], "nodes_nodeids": [0, 1, 2], "nodes_featureids": [1, 0, 0],
    "nodes_values": [0.5, 0.0, 0.0], "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [2, 0, 0],
}  # fmt: skip
TARGETS = {"target_treeids": [0, 0], "target_nodeids": [1, 2], "target_ids": [0, 1]}
CLASSES = {"class_treeids": [0, 0], "class_nodeids": [1, 2], "class_ids": [0, 2], "class_weights": [1.0, 2.0]}
WEIGHTS = {
    "packed": np.zeros((5, 1, 8), np.uint8), "scales": np.ones((5, 1), np.float32),
    "filter": np.ones((4, 2, 3), np.float32),
}  # fmt: skip


def model(kind: str, extents: list[int], dtype: int, results: int, **attrs: Any) -> onnx.ModelProto:
    """One node on ``x [B, *extents]``, results without stated shapes; weights by name behind ``x``."""
    names = {"MatMulNBits": ["packed", "scales"], "FusedConv": ["filter"]}.get(kind, [])
    outputs = [f"y{n}" for n in range(results)]
    domain = MS if names else ML
    node = helper.make_node(kind, ["x", *names], outputs, domain=domain, **attrs)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", dtype, ["B", *extents])],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs[-1:]],
        [numpy_helper.from_array(WEIGHTS[n], n) for n in names],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 3), helper.make_opsetid(MS, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize(
    ("kind", "extents", "dtype", "results", "attrs", "shape"),
    [
        ("Scaler", [4], TensorProto.FLOAT, 1, {"offset": [1.0], "scale": [2.0]}, "B, 4"),
        ("Scaler", [4], TensorProto.INT64, 1, {"offset": [1.0], "scale": [2.0]}, "B, 4"),
        ("Normalizer", [4], TensorProto.FLOAT, 1, {"norm": "L1"}, "B, 4"),
        ("Imputer", [4], TensorProto.FLOAT, 1, {"imputed_value_floats": [0.0]}, "B, 4"),
        ("Binarizer", [4], TensorProto.FLOAT, 1, {"threshold": 0.5}, "B, 4"),
        ("OneHotEncoder", [2], TensorProto.INT64, 1, {"cats_int64s": [0, 1, 2]}, "B, 2, 3"),
        ("OneHotEncoder", [], TensorProto.INT64, 1, {"cats_int64s": [0, 1, 2, 3]}, "B, 4"),
        (
            "TreeEnsembleRegressor", [3], TensorProto.FLOAT, 1,
            {**LEAVES, **TARGETS, "target_weights": [1.0, 2.0], "n_targets": 2}, "B, 2",
        ),
        (
            "TreeEnsembleClassifier", [3], TensorProto.FLOAT, 2,
            {**LEAVES, **CLASSES, "classlabels_int64s": [0, 1, 2]}, "B, 3",
        ),
        ("LinearRegressor", [3], TensorProto.FLOAT, 1, {"coefficients": [1.0] * 6, "targets": 2}, "B, 2"),
        (
            "LinearClassifier", [3], TensorProto.FLOAT, 2,
            {"coefficients": [1.0] * 9, "intercepts": [0.0] * 3, "classlabels_ints": [0, 1, 2]}, "B, 3",
        ),
        ("FeatureVectorizer", [3], TensorProto.FLOAT, 1, {"inputdimensions": [3]}, "B, 3"),
        ("MatMulNBits", [16], TensorProto.FLOAT, 1, {"K": 16, "N": 5, "bits": 4, "block_size": 16}, "B, 5"),
        ("MatMulNBits", [2, 16], TensorProto.FLOAT, 1, {"K": 16, "N": 5, "block_size": 16}, "B, 2, 5"),
        ("FusedConv", [2, 7], TensorProto.FLOAT, 1, {"activation": "Relu"}, "B, 4, 5"),
    ],
)  # fmt: skip
def test_shapes(
    kind: str, extents: list[int], dtype: int, results: int, attrs: dict[str, Any], shape: str
) -> None:
    proto = model(kind, extents, dtype, results, **attrs)
    analysis, (value,) = analysed(proto)
    found = analysis.shape(value)
    assert found is not None
    assert ", ".join(map(str, found)) == shape
    assert analysis.element(value) == f32
    kinds = helper.tensor_dtype_to_np_dtype(dtype)
    for batch in BATCHES:
        x = np.resize(np.arange(3), (batch, *extents)).astype(kinds)
        (made,) = run_onnx(proto, {"x": x}).values()
        assert made.shape == tuple(batch if str(e) == "B" else e for e in found)
