"""A small model with an operator that stays on the host unless a plug-in brings its recogniser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_model(folder: Path, model_file: str, requests_file: str) -> None:
    """``Cosh`` between two layers, and requests."""
    random = np.random.default_rng(0)
    weights = [random.normal(size=shape).astype(np.float32) / 8 for shape in ((16, 32), (32, 4))]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w0"], ["a"]),
            helper.make_node("Cosh", ["a"], ["b"]),
            helper.make_node("MatMul", ["b", "w1"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(w, f"w{k}") for k, w in enumerate(weights)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / model_file)
    np.savez(folder / requests_file, x=random.normal(size=(64, 16)).astype(np.float32))
