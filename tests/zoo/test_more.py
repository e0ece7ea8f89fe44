"""Further published models: tables on the arrays, no node on the host, the numbers of onnxruntime."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.frontend.import_graph import import_model
from cimc.frontend.read.load_model import load_model
from cimc.host.runtime import run_onnx
from cimc.ir.context import CompilerContext
from cimc.ir.text import new_context
from cimc.isa.program import HostSegment
from cimc.report.model_content import inspect_json, read_imported
from cimc.target.load_target import load_target
from cimc.transforms.passes import FRONTEND
from cimc.transforms.pipeline import Pipeline
from tests.quality import CheckQuality, of_program
from tests.zoo.models_more import MORE


@pytest.mark.parametrize("name", MORE)
def test_models_are_on_the_chip(name: str, tmp_path: Path, golden_quality: CheckQuality) -> None:
    build, opset = MORE[name]
    model = build()
    path = tmp_path / "m.onnx"
    proto = model.proto(opset)
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    onnx.save(proto, path)

    loaded, ctx = load_model(path), new_context()
    ctx.target = load_target("tsinghua28")
    module = import_model(loaded, ctx)
    imported = read_imported(module, loaded)
    Pipeline.parse(FRONTEND).run(module, ctx)
    seen = inspect_json(imported, module, ctx, ctx.target)
    assert [n for n in seen["nodes"] if n["place"] == "host"] == []
    assert seen["macs"] > 0
    bags = sum(len(t["bags"]) for t in seen["tables"])
    assert bags == sum(n.op_type == "Gather" for n in proto.graph.node)

    passes: list[str] = []

    def after(done: ModulePass, module: ModuleOp, ctx: CompilerContext, seconds: float) -> None:
        passes.append(done.name)

    program = cimc.compile(path, calib=model.requests, after=after)
    assert passes[-1] == "lower"
    assert not [s for s in program.data.segments if isinstance(s, HostSegment)]
    result = program.run(model.requests, mode="exact")
    check = check_outputs(run_onnx(path, model.requests), result.outputs, Bound())
    assert check.passed, [o.failures for o in check.outputs]
    golden_quality("more", name, of_program(program, result.cost))
