"""One weight in two roles that change it differently: each role has its own matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.e2e.test_shared_ids import close, compiled

SIZE, BATCH = 24, 16
DEQUANTIZE = helper.make_node("DequantizeLinear", ["W", "scale", "zero"], ["F"])
ROLES = {
    "product": helper.make_node("MatMul", ["x", "F"], ["product"]),
    "turned": helper.make_node("Gemm", ["x", "F"], ["turned"], transB=1),
    "rows": helper.make_node("Gather", ["F", "ids"], ["rows"]),
}


def _model(nodes: list[onnx.NodeProto], outputs: list[str], **constants: np.ndarray) -> onnx.ModelProto:
    used = {n for node in nodes for n in node.input}
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", SIZE]),
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["B"]),
    ]
    graph = helper.make_graph(
        nodes,
        "shared",
        [v for v in inputs if v.name in used],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _requests(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    found = {"x": rng.normal(0, 1, (BATCH, SIZE)).astype(np.float32), "ids": rng.integers(0, SIZE, BATCH)}
    return {v.name: found[v.name] for v in model.graph.input}


@pytest.mark.parametrize("roles", [("product", "turned"), ("turned", "product"), ("turned", "rows")])
def test_one_integer_matrix_turned_and_not(roles: tuple[str, str], tmp_path: Path) -> None:
    weights = np.random.default_rng(1).integers(60, 200, (SIZE, SIZE)).astype(np.uint8)
    model = _model(
        [DEQUANTIZE, *(ROLES[r] for r in roles)],
        list(roles),
        W=weights,
        scale=np.array(0.01, np.float32),
        zero=np.array(128, np.uint8),  # stored as int8, so as a copy
    )
    requests = _requests(model)
    program, expected = compiled(model, tmp_path, requests)
    got = program.run(requests, mode="exact").outputs
    for name, wanted in expected.items():
        assert close(got[name], wanted), name


def test_factors_that_differ_late_are_two(tmp_path: Path) -> None:
    weights = np.random.default_rng(1).normal(0, 1, (SIZE, 5)).astype(np.float32)
    factors = (0.1234561, 0.1234564)  # alike in six digits
    nodes = [
        helper.make_node("Gemm", ["x", "W"], [f"y{n}"], alpha=factor) for n, factor in enumerate(factors)
    ]
    model = _model([*nodes, helper.make_node("Sub", ["y1", "y0"], ["out"])], ["out"], W=weights)
    requests = _requests(model)
    program, expected = compiled(model, tmp_path, requests)
    assert close(program.run(requests, mode="exact").outputs["out"], expected["out"])
