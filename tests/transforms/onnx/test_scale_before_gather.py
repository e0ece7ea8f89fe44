"""Scales behind a gather, put before it: the same numbers, a scaled table."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.analysis.constants import ConstantReader
from cimc.analysis.shapes.cached import refined
from cimc.host.runtime import run_onnx
from cimc.interpreter.evaluate import evaluate, main_function
from cimc.ir.onnx.dialect import NodeOp
from cimc.transforms.onnx.scale_before_gather import gathers_integers, to_scaled_tables
from tests.transforms.recognise.fusing import Arrays, floats, imported, model

IDS = np.array([3, 9, 0, 3])
WEIGHTS: Arrays = {
    "q": np.arange(40, dtype=np.uint8).reshape(10, 4), "s": np.abs(floats(10, 1)) + 1,
    "o": floats(10, 1, seed=2),
    "s1": np.abs(floats(10)) + 1, "z1": np.arange(10, dtype=np.uint8), "k1": np.array([1]),
    "wide": np.arange(40).reshape(10, 4), "blocks": np.abs(floats(10, 2)) + 1, "one": np.float32(2),
    "zb": np.zeros((10, 2), np.uint8),
}  # fmt: skip


def lifted(body: str, opset: int = 18) -> str:
    """The operator that gives ``y`` afterwards; its numbers are those of before."""
    proto = model(f"m (int64[B] ids) => (float[] y) {{ {body} }}", WEIGHTS, opset=opset)
    module, ctx = imported(proto)
    function = main_function(module)
    expected = run_onnx(proto, {"ids": IDS})["y"]
    refined(function, ctx)
    if gathers_integers(function, ConstantReader(ctx.store)):
        to_scaled_tables(function, ctx)
    refined(function, ctx)
    module.verify()
    found = evaluate(module, ctx, {"ids": IDS})["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    end = function.body.block.last_op
    assert end is not None
    assert isinstance(end.operands[0].owner, NodeOp)
    return end.operands[0].owner.kind


ROWS = "r = Gather(q, ids)\n c = Cast<to = 1>(r)\n f = Gather(s, ids)\n"


@pytest.mark.parametrize(
    "body",
    [
        ROWS + "y = Mul(c, f)",
        ROWS + "y = Mul(f, c)",
        ROWS + "m = Mul(c, f)\n a = Gather(o, ids)\n y = Add(m, a)",
        ROWS + "a = Gather(o, ids)\n m = Mul(c, f)\n y = Sub(m, a)",
        "r = Gather(q, ids)\n c = Cast<to = 1>(r)\n g = Gather(s1, ids)\n"
        "f = Unsqueeze(g, k1)\n y = Mul(c, f)",
        "r = Gather(q, ids)\n g = Gather(s1, ids)\n z = Gather(z1, ids)\n"
        "y = DequantizeLinear<axis = 0>(r, g, z)",
    ],
)
def test_the_table_is_scaled_first(body: str) -> None:
    assert lifted(body) == "Gather"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("w = DequantizeLinear<axis = 1, block_size = 2>(q, blocks, zb)\n y = Gather(w, ids)", "Concat"),
        ("r = Gather(wide, ids)\n c = Cast<to = 1>(r)\n f = Gather(s, ids)\n y = Mul(c, f)", "Mul"),
        ("r = Gather(q, ids)\n c = Cast<to = 1>(r)\n y = Tanh(c)", "Tanh"),
    ],
)
def test_blocks_become_tables_and_other_things_stay(body: str, kind: str) -> None:
    assert lifted(body, 21) == kind


def test_two_scales_of_other_rows_are_not_put_together() -> None:
    text = (
        "m (int64[B] ids, int64[B] other) => (float[] y) "
        "{ r = Gather(q, ids)\n c = Cast<to = 1>(r)\n f = Gather(s, other)\n y = Mul(c, f) }"
    )
    module, ctx = imported(model(text, WEIGHTS))
    to_scaled_tables(main_function(module), ctx)
    end = main_function(module).body.block.last_op
    assert end is not None
    assert end.operands[0].owner.kind == "Mul"  # type: ignore[union-attr]


def test_a_table_looked_up_twice_is_scaled_once() -> None:
    text = (
        "m (int64[B] a, int64[B] b) => (float[] y, float[] z) "
        "{ p = Gather(q, a)\n c = Cast<to = 1>(p)\n f = Gather(s, a)\n y = Mul(c, f)\n"
        "r = Gather(q, b)\n d = Cast<to = 1>(r)\n g = Gather(s, b)\n z = Mul(d, g) }"
    )
    module, ctx = imported(model(text, WEIGHTS))
    to_scaled_tables(main_function(module), ctx)
    end = main_function(module).body.block.last_op
    assert end is not None
    tables = {v.owner.inputs[0] for v in end.operands}  # type: ignore[union-attr]
    assert len(tables) == 1
