"""The graph that stands for a described model: ONNX takes it, and it has the model's extents."""

from __future__ import annotations

import itertools
from pathlib import Path

import onnx
import pytest

from cimc.study.planning.stand_in import write_stand_in
from tests.study.planning.small_model import small


@pytest.mark.parametrize("interaction", ["dot", "cross", "concat"])
def test_its_extents_are_the_models(tmp_path: Path, interaction: str) -> None:
    model = small(interaction=interaction)
    path, tables = write_stand_in(model, tmp_path)
    proto = onnx.load(path, load_external_data=False)
    weights = {t.name: tuple(t.dims) for t in proto.graph.initializer}
    assert [t.name for t in tables] == ["a.0", "a.1", "b.0", "c.0"]
    assert {t.name: weights[t.name] for t in tables} == {t.name: (t.of.rows, t.of.dim) for t in tables}
    assert weights["top.0.weight"] == (16, model.width)
    (out,) = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph.output
    assert [d.dim_param or d.dim_value for d in out.type.tensor_type.shape.dim] == ["batch", 1]


def test_weights_lie_apart_in_a_file_that_does_not_exist(tmp_path: Path) -> None:
    path, _ = write_stand_in(small(), tmp_path)
    ends = []
    for tensor in onnx.load(path, load_external_data=False).graph.initializer:
        where = {e.key: e.value for e in tensor.external_data}
        if where:
            assert not (tmp_path / where["location"]).exists()
            ends.append((int(where["offset"]), int(where["offset"]) + int(where["length"])))
    ends.sort()
    assert ends
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(ends))
