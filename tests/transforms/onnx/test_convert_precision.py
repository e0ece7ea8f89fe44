"""Every float is f32, inputs and outputs keep their types, and it is said that a function changed."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import Float16Type, Float32Type

from cimc.interpreter.evaluate import evaluate, main_function
from cimc.ir.onnx.dialect import NodeOp
from cimc.ir.text import print_ir
from cimc.ir.types import element_of
from cimc.transforms.onnx.convert_precision import ConvertPrecision
from cimc.transforms.onnx.onnx_functions import Planned, planned, set_planned
from models.tiny import mlp
from tests.transforms.recognise.fusing import floats, imported, model

W = floats(4, 4).astype(np.float16)
HALF = model("m (float16[B, 4] x) => (float16[B, 4] y) { h = MatMul(x, w)\n y = Relu(h) }", {"w": W})


@pytest.mark.parametrize("plan", [None, Planned.PLAIN, Planned.HOST])
def test_halves_become_f32_unless_the_host_keeps_them(plan: Planned | None) -> None:
    module, ctx = imported(HALF)
    function = main_function(module)
    if plan is not None:
        set_planned(function, plan)
    ConvertPrecision().apply(ctx, module)
    relu = next(op for op in module.walk() if isinstance(op, NodeOp) and op.operator == "Relu")
    kept = plan is Planned.HOST
    assert isinstance(element_of(relu.results[0].type), Float16Type if kept else Float32Type)
    assert isinstance(element_of(function.body.block.args[0].type), Float16Type)
    assert planned(function) is {Planned.PLAIN: Planned.CHANGED}.get(plan, plan)  # type: ignore[arg-type]
    x = floats(3, 4).astype(np.float16)
    found = evaluate(module, ctx, {"x": x})["y"]
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, np.maximum(x @ W, 0), rtol=1e-2, atol=1e-2)


def test_a_model_of_f32_is_left_alone() -> None:
    module, ctx = imported(mlp((4, 2))[0])
    ConvertPrecision().apply(ctx, module)
    text = print_ir(module)
    ConvertPrecision().apply(ctx, module)
    assert print_ir(module) == text
    assert planned(main_function(module)) is None
