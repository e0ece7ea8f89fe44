"""A Scan that onnxruntime runs for what its file states of shapes runs on the host as well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import cimc
from cimc.host.runtime import run_onnx

RNG = np.random.default_rng(1)
DIM = 4
FLOAT = TensorProto.FLOAT


def _body(dims: list[int] | None, *, reshaped: bool) -> onnx.GraphProto:
    """A running sum; with ``reshaped`` its own nodes do not tell the shape of what it gives."""
    nodes = [helper.make_node("Add", ["before", "row"], ["sum"])]
    if reshaped:
        nodes += [helper.make_node("Reshape", ["sum", "size"], [name]) for name in ("after", "out")]
    else:
        nodes += [helper.make_node("Identity", ["sum"], [name]) for name in ("after", "out")]
    infos = [helper.make_tensor_value_info(n, FLOAT, dims) for n in ("before", "row", "after", "out")]
    return helper.make_graph(nodes, "body", infos[:2], infos[2:])


@pytest.mark.parametrize("where", ["value before", "input", "body", "body of an input without a shape"])
def test_stated_shapes_reach_the_host(where: str, tmp_path: Path) -> None:
    in_body = where.startswith("body")
    unknown = where == "value before"
    reshaped = where == "body"
    source = "rows" if unknown else "product"
    body = _body([DIM] if in_body else None, reshaped=reshaped)
    nodes = [helper.make_node("MatMul", ["x", "W"], ["product"])]
    if unknown:
        nodes.append(helper.make_node("Reshape", ["product", "size"], ["rows"]))
    nodes.append(helper.make_node("Scan", ["start", source], ["end", "y"], num_scan_inputs=1, body=body))
    inputs = [
        helper.make_tensor_value_info("x", FLOAT, None if where.endswith("without a shape") else ["B", DIM])
    ]
    if unknown or reshaped:
        inputs.append(helper.make_tensor_value_info("size", TensorProto.INT64, ["K"]))
    constants = {
        "W": RNG.normal(0, 1, (DIM, DIM)).astype(np.float32),
        "start": np.zeros(DIM, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "scan",
        inputs,
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
        value_info=[helper.make_tensor_value_info("rows", FLOAT, ["B", DIM])] if unknown else [],
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    x = RNG.normal(0, 1, (8, DIM)).astype(np.float32)
    requests = {"x": x, "size": np.array([8, DIM] if unknown else [DIM])}
    requests = {v.name: requests[v.name] for v in inputs}
    expected = run_onnx(onnx.load(path), requests)["y"]
    got = cimc.compile(path, calib=requests).run(requests, mode="exact").outputs["y"]
    np.testing.assert_allclose(got, expected, atol=0.2)
