"""A model whose nodes say where they go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from cimc.report.annotate import PLACE, REASON, annotated
from tests.transforms.recognise.fusing import model


def annotate(folder: Path, *nodes: dict[str, object]) -> onnx.ModelProto:
    proto = model("m (float[B, 4] x) => (float[] y) { h = Relu(x)\n y = Neg(h) }")
    onnx.save(proto, folder / "m.onnx")
    return onnx.ModelProto.FromString(annotated(folder / "m.onnx", list(nodes)))


def entry(node: str, place: str, reason: str = "", becomes: str = "") -> dict[str, object]:
    return {"node": node, "place": place, "reason": reason, "becomes": becomes}


def test_nodes_say_where_they_go_and_why(tmp_path: Path) -> None:
    made = annotate(
        tmp_path, entry("Relu:h", "chip", becomes="rec.unary"), entry("Neg:y", "host", "no operator")
    )
    relu, neg = made.graph.node
    assert relu.doc_string == "chip: rec.unary"
    assert {p.key: p.value for p in relu.metadata_props} == {PLACE: "chip"}
    assert neg.doc_string == "host: no operator"
    assert {p.key: p.value for p in neg.metadata_props} == {PLACE: "host", REASON: "no operator"}


def test_nodes_that_nobody_speaks_of_stay_as_they_are(tmp_path: Path) -> None:
    made = annotate(tmp_path, entry("Exp:z", "chip"))
    assert all(not n.doc_string and not n.metadata_props for n in made.graph.node)


def test_reasons_are_printable_and_short(tmp_path: Path) -> None:
    made = annotate(tmp_path, entry("Relu:h", "host", "\x1b[31m" + "long " * 1000))
    (reason,) = (p.value for p in made.graph.node[0].metadata_props if p.key == REASON)
    assert len(reason) <= 520
    assert "\x1b" not in reason


def test_weights_beside_the_model_stay_there(tmp_path: Path) -> None:
    proto = model("m (float[B, 4] x) => (float[] y) { y = MatMul(x, w) }")
    weight = onnx.numpy_helper.from_array(np.ones((4, 3), np.float32), "w")
    proto.graph.initializer.append(weight)
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    made = onnx.ModelProto.FromString(annotated(tmp_path / "m.onnx", []))
    assert made.graph.initializer[0].data_location == onnx.TensorProto.EXTERNAL
    assert not made.graph.initializer[0].raw_data
