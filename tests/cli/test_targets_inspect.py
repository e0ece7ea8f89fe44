"""``cimc targets`` and ``cimc inspect``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from cimc.target.load_target import preset_names
from tests.cli.tiny_files import Tiny, call


def test_targets_lists_every_preset() -> None:
    found = call("targets", "--json").json["targets"]
    assert [t["name"] for t in found] == list(preset_names())
    text = call("targets").out
    assert all(name in text for name in preset_names())


def test_a_target_shows_every_figure_with_unit_and_source() -> None:
    found = call("targets", "isaac32", "--json").json["target"]
    assert {"name", "digest", "area_mm2", "fields"} <= set(found)
    rows = {row["path"]: row for row in found["fields"]}
    assert rows["array.step_ns"]["unit"] == "ns"
    assert all(row["source"] and row["basis"] for row in found["fields"])
    text = call("targets", "isaac32").out
    assert all(path in text for path in rows)


def test_inspect_json(tiny: Tiny) -> None:
    found = call("inspect", tiny.model, "--json").json
    assert set(found) == {
        "model", "model_digest", "opset", "inputs", "outputs", "parameters", "parameter_bytes", "nodes",
        "nested_nodes", "places", "kinds", "tables", "layers", "macs", "on_chip", "host_segments", "misses",
        "target", "notes",
    }  # fmt: skip
    assert [v["name"] for v in found["inputs"]] == list(tiny.arrays)
    assert found["inputs"][0]["shape"] == ["batch", 5]
    assert [(t["rows"], t["dim"]) for t in found["tables"]] == [(37, 7), (11, 7), (64, 7)]
    linear = [layer for layer in found["layers"] if layer["kind"] == "linear"]
    assert [(e["rows"], e["cols"]) for e in linear] == [(5, 12), (12, 7), (13, 12), (12, 1)]
    assert found["macs"] == sum(e["macs"] for e in found["layers"])
    counts = found["on_chip"]["counts"]["macs"]
    assert (counts["arrays"] + counts["vector"], counts["host"]) == (found["macs"], 0)
    model = onnx.load(tiny.model)
    operators = [n.op_type for n in model.graph.node if n.op_type != "Constant"]
    assert [n["op"] for n in found["nodes"]] == operators
    assert sum(found["places"].values()) == len(operators)
    assert found["places"]["host"] == 0
    weights = [t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT]
    assert found["parameters"] == sum(int(np.prod(t.dims)) for t in weights)


def test_what_stays_on_the_host_is_shown_with_its_reason(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Acosh", ["x"], ["e"], name="odd"),
            helper.make_node("Gemm", ["e", "w"], ["y"], name="fc"),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor("w", TensorProto.FLOAT, [4, 3], np.ones(12, np.float32))],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        tmp_path / "m.onnx",
    )
    found = call("inspect", tmp_path / "m.onnx", "--json").json
    (odd, fc) = found["nodes"]
    assert (odd["place"], fc["place"]) == ("host", "arrays")
    assert odd["reason"]
    text = call("inspect", tmp_path / "m.onnx", "--nodes").out
    assert odd["reason"] in text
    assert "Every node" in text


def test_inspect_for_a_target_that_is_too_small(tiny: Tiny) -> None:
    text = call("inspect", tiny.model, "--target", "neurram130").out
    assert "neurram130" in text
    assert "may fit" in text


def test_an_annotated_model_says_where_each_node_goes(tiny: Tiny, tmp_path: Path) -> None:
    out = tmp_path / "places.onnx"
    found = call("inspect", tiny.model, "--annotate", out, "--json").json
    marked = onnx.load(out)
    onnx.checker.check_model(marked)
    nodes = [n for n in marked.graph.node if n.op_type != "Constant"]
    places = [p.value for n in nodes for p in n.metadata_props if p.key == "cimc.place"]
    assert len(places) == len(found["nodes"]) == len(nodes)
    assert "arrays" in places
    original = onnx.load(tiny.model)
    assert [n.op_type for n in marked.graph.node] == [n.op_type for n in original.graph.node]
    assert marked.graph.initializer == original.graph.initializer
