"""Rows of integers that are scaled behind the lookup become rows of a scaled table."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.host.runtime import run_onnx
from cimc.interpreter.evaluate import evaluate, main_function
from cimc.ir.onnx.dialect import NodeOp
from cimc.transforms.onnx.onnx_functions import Planned, planned, set_planned
from cimc.transforms.onnx.scale_tables import ScaleTables
from tests.transforms.recognise.fusing import floats, imported, model

ROWS = model(
    """m (int64[B] ids) => (float[B, 4] y) {
        r = Gather(q, ids)
        c = Cast<to = 1>(r)
        f = Gather(s, ids)
        y = Mul(c, f)
    }""",
    {"q": np.arange(40, dtype=np.uint8).reshape(10, 4), "s": np.abs(floats(10, 1)) + 1},
)


@pytest.mark.parametrize("plan", [Planned.PLAIN, Planned.HOST])
def test_the_table_is_scaled_before_the_lookup_unless_the_host_keeps_it(plan: Planned) -> None:
    module, ctx = imported(ROWS)
    function = main_function(module)
    set_planned(function, plan)
    ScaleTables().apply(ctx, module)
    end = function.body.block.last_op
    assert end is not None
    last = end.operands[0].owner
    assert isinstance(last, NodeOp)
    assert last.operator == ("Mul" if plan is Planned.HOST else "Gather")
    assert planned(function) is (Planned.HOST if plan is Planned.HOST else Planned.CHANGED)
    ids = np.array([3, 9, 0])
    np.testing.assert_array_equal(evaluate(module, ctx, {"ids": ids})["y"], run_onnx(ROWS, {"ids": ids})["y"])
