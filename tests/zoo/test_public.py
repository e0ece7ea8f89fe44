"""Models in the style of public code: on the host is only what makes ids; the numbers of onnxruntime."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.host.runtime import run_onnx
from cimc.transforms.recognise.outline_host import INDEX_PREPARATION
from tests.quality import CheckQuality, of_program
from tests.zoo.models_public import PUBLIC, Model
from tests.zoo.test_zoo import fuse

PREPARED = {"Wide & Deep, crossed", "HSTU", "last state by length"}
"""Models that compute ids."""


def proto_of(model: Model, opset: int) -> onnx.ModelProto:
    proto = model.proto(opset)
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    return proto


@pytest.mark.parametrize("name", PUBLIC)
def test_models_are_on_the_chip(name: str, tmp_path: Path, golden_quality: CheckQuality) -> None:
    build, opset = PUBLIC[name]
    model = build()
    proto = proto_of(model, opset)
    fused = fuse(proto)
    frontend = fused.ctx.remarks.recognition
    assert {h.reason for h in frontend.host} == ({INDEX_PREPARATION} if name in PREPARED else set())
    assert frontend.tables
    fused.check(model.requests, 1e-4)

    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    program = cimc.compile(path, calib=model.requests)
    result = program.run(model.requests, mode="exact")
    check = check_outputs(run_onnx(path, model.requests), result.outputs, Bound())
    assert check.passed, [o.failures for o in check.outputs]
    golden_quality("public", name, of_program(program, result.cost))
