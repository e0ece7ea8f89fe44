"""What goes back to the host before anything is quantised."""

from __future__ import annotations

import pytest

from cimc.errors import PassError
from cimc.ir.onnx.marks import text
from cimc.target.load_target import load_target
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.recognise.demote import Demote
from models.tiny import mlp
from tests.transforms.recognise.fusing import imported, model


def test_it_needs_recognise() -> None:
    module, ctx = imported(mlp((4, 2))[0])
    with pytest.raises(PassError) as error:
        Demote().apply(ctx, module)
    assert error.value.code == "pass.needs-recognise"


def test_without_a_scratchpad_all_goes_back_and_says_why() -> None:
    module, ctx = imported(mlp((4, 2))[0])
    ctx.target = load_target("tsinghua28")
    Pipeline.parse("recognise").run(module, ctx)
    assert any(op.name == "rec.linear" for op in module.walk())
    Demote(scratchpad=0.0).apply(ctx, module)
    assert not any(op.name == "rec.linear" for op in module.walk())
    Pipeline.parse("outline-host").run(module, ctx)
    assert ctx.remarks.recognition is not None
    assert all("scratchpad" in h.reason for h in ctx.remarks.recognition.host)


@pytest.mark.parametrize("vector", [False, True])
def test_operations_alone_are_kept_on_demand(vector: bool) -> None:
    module, ctx = imported(model("m (float[B, 4] x) => (float[B, 4] y) { y = Relu(x) }"))
    Pipeline.parse("recognise").run(module, ctx)
    Demote(vector=vector).apply(ctx, module)
    assert any(op.name == "rec.unary" for op in module.walk()) == vector
    nodes = [op for op in module.walk() if op.name == "onnx.node"]
    assert [text(op, "by") for op in nodes] == (["unary"] if vector else [None])  # type: ignore[arg-type]
