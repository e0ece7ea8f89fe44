"""``cimc inspect``: a model of one layer, listed and annotated."""

from __future__ import annotations

from pathlib import Path

import onnx

from tests.cli.commands.small_files import refused, write_model
from tests.cli.tiny_files import call


def test_every_node_is_listed_on_demand(tmp_path: Path) -> None:
    model = write_model(tmp_path)
    assert "MatMul" in call("inspect", model, "--nodes").out
    (node,) = call("inspect", model, "--json").json["nodes"]
    assert node["node"] == "MatMul:y"


def test_the_annotated_model_says_where_nodes_go(tmp_path: Path) -> None:
    made = tmp_path / "a.onnx"
    assert call("inspect", write_model(tmp_path), "--annotate", made).code == 0
    (node,) = onnx.load(made).graph.node
    assert {p.key for p in node.metadata_props} == {"cimc.place"}


def test_what_is_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path)
    assert refused("inspect", model, "--annotate", model) == "io.same-file"
    assert refused("inspect", model, "--target", "nosuch") == "target.unknown"
    assert refused("inspect", tmp_path / "none.onnx") == "frontend.not-found"
    (tmp_path / "x.onnx").write_bytes(b"\xff" * 100)
    assert refused("inspect", tmp_path / "x.onnx").startswith("frontend.")
