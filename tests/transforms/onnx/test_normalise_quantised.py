"""Quantised operators become float operators between roundings, with the same results."""

from __future__ import annotations

import numpy as np

from cimc.host.runtime import run_onnx
from cimc.interpreter.evaluate import evaluate, main_function
from cimc.ir.onnx.dialect import NodeOp
from cimc.transforms.onnx.normalise_quantised import NormaliseQuantised
from cimc.transforms.onnx.onnx_functions import Planned, planned, set_planned
from models.tiny import mlp
from tests.transforms.recognise.fusing import floats, imported, model

QUANTISED = model(
    """m (float[B, 4] x) => (float[B, 3] y) {
        q = QuantizeLinear(x, s, z)
        p = QLinearMatMul(q, s, z, w, t, v, u, z)
        y = DequantizeLinear(p, u, z)
    }""",
    {
        "s": np.float32(0.02), "z": np.uint8(128), "w": np.arange(12, dtype=np.int8).reshape(4, 3) - 6,
        "t": np.float32(0.1), "v": np.int8(0), "u": np.float32(0.05),
    },
)  # fmt: skip


def operators(plan: Planned) -> tuple[list[str], np.ndarray, Planned | None]:
    module, ctx = imported(QUANTISED)
    function = main_function(module)
    set_planned(function, plan)
    NormaliseQuantised().apply(ctx, module)
    nodes = [op for op in module.walk() if isinstance(op, NodeOp)]
    found = [op.operator for op in nodes if any(r.first_use for r in op.results)]
    return found, evaluate(module, ctx, {"x": floats(5, 4)})["y"], planned(function)


def test_a_quantised_product_becomes_one_of_floats_with_the_same_results() -> None:
    found, y, plan = operators(Planned.PLAIN)
    assert "QLinearMatMul" not in found
    assert "MatMul" in found
    assert plan is Planned.CHANGED
    np.testing.assert_allclose(y, run_onnx(QUANTISED, {"x": floats(5, 4)})["y"], atol=0.051)


def test_the_host_keeps_it() -> None:
    found, _, plan = operators(Planned.HOST)
    assert found == ["QuantizeLinear", "QLinearMatMul", "DequantizeLinear"]
    assert plan is Planned.HOST


def test_a_model_of_floats_is_left_alone() -> None:
    module, ctx = imported(mlp((4, 2))[0])
    before = list(module.walk())
    NormaliseQuantised().apply(ctx, module)
    assert list(module.walk()) == before
