"""Published models: all of each on the chip, and the numbers of onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.host.runtime import run_onnx
from cimc.interpreter.evaluate import evaluate
from cimc.ir.context import CompilerContext, Requests
from cimc.isa.program import HostSegment
from cimc.transforms.onnx.canonicalize import Canonicalize
from tests.quality import CheckQuality, of_program
from tests.transforms.recognise.fusing import Fused, imported, recognise
from tests.zoo.models_zoo import ZOO, Model


def fuse(proto: onnx.ModelProto) -> Fused:
    """As the default pipeline does."""
    module, ctx = imported(proto)
    Canonicalize().apply(ctx, module)
    recognise(module, ctx)
    return Fused(proto, module, ctx)


@pytest.mark.parametrize("name", ZOO)
def test_everything_is_on_the_chip(name: str, tmp_path: Path, golden_quality: CheckQuality) -> None:
    model = ZOO[name]()
    proto = model.proto()
    fused = fuse(proto)
    assert fused.ctx.remarks.recognition.host == ()
    fused.check(model.requests, 1e-4)
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    program = cimc.compile(path, calib=model.requests)
    assert not [s for s in program.data.segments if isinstance(s, HostSegment)]
    result = program.run(model.requests, mode="exact")
    check = check_outputs(run_onnx(path, model.requests), result.outputs, Bound())
    assert check.passed, [o.failures for o in check.outputs]
    golden_quality("zoo", name, of_program(program, result.cost))


def test_equal_weights_are_placed_once() -> None:
    model = ZOO["two towers, cosine"]()
    fused = fuse(model.proto())
    names = [str(op.properties["weight"]) for op in fused.ops("rec.linear")]
    assert len(names) == 4
    assert len(set(names)) == 3


def test_normalisation_behind_a_layer_is_part_of_it() -> None:
    fused = fuse(ZOO["DeepFM"]().proto())
    assert "batch-normalization" not in fused.ctx.remarks.recognition.recognised
    assert sum("folded" in str(op.properties["weight"]) for op in fused.ops("rec.linear")) == 1


def test_every_vector_function_runs_as_a_program(tmp_path: Path) -> None:
    m = Model()
    x = m.layer(m.floats("x", 4), 4, 6)
    unary = [m.op(k, x) for k in ("Erf", "Softplus", "Elu", "Sign", "Floor", "Ceil", "Mish", "HardSwish")]
    half = m.scalar(0.5)
    truth = [m.op(k, x, half) for k in ("Less", "Greater", "LessOrEqual", "Equal")]
    both = m.op("And", m.op("Not", truth[0]), m.op("Or", truth[1], truth[3]))
    chosen = m.op("Where", both, x, m.scalar(-2.0))
    numbers = [m.op("Cast", t, to=onnx.TensorProto.FLOAT) for t in (*truth, m.op("Xor", both, truth[0]))]
    m.outputs.append(m.op("Concat", *unary, chosen, *numbers, axis=1))
    module, ctx = imported(m.proto(18))
    recognise(module, ctx)
    assert Fused(m.proto(18), module, ctx).counts()["host"] == 0
    path = tmp_path / "m.onnx"
    onnx.save(m.proto(18), path)
    seen: dict[str, Requests] = {}

    def after(done: ModulePass, module: ModuleOp, ctx: CompilerContext, seconds: float) -> None:
        if done.name == "quantize":
            seen["quantised"] = evaluate(module, ctx, m.requests)

    program = cimc.compile(path, calib=m.requests, after=after)
    outputs = program.run(m.requests, mode="exact").outputs
    for name, expected in seen["quantised"].items():
        np.testing.assert_array_equal(outputs[name], expected)
