"""Tiles issue what could begin first, whatever the order of the model."""

from __future__ import annotations

import numpy as np

from cimc.interpreter.evaluate import main_function
from cimc.ir import cim, rec
from cimc.ir.types import f32, tensor
from cimc.target.overrides import with_overrides
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.schedule.issue_order import order_by_start
from cimc.transforms.schedule.schedule import assign_stages
from tests.build import dlrm, module


def two_branches() -> tuple[object, object]:
    """Two layers one after the other, then another one that only waits for the input."""

    def body(b, args):  # type: ignore[no-untyped-def]
        (x,) = args
        first = b.linear(b.linear(x, 16, "a"), 16, "b")
        return [b.add(rec.ConcatOp([first, b.linear(x, 16, "c")], 1))]

    return module({"x": tensor((-1, 16), f32)}, body)


def products(made: object) -> list[str]:
    return [op.matrix.root_reference.data for op in main_function(made).walk() if isinstance(op, cim.MvmOp)]  # type: ignore[arg-type]


def test_a_branch_does_not_wait_for_another() -> None:
    made, ctx = two_branches()
    ctx.calibration = {"x": np.random.default_rng(0).normal(0, 1, (8, 16)).astype(np.float32)}  # type: ignore[attr-defined]
    Pipeline.parse("quantize,shard,choose-adc-steps,copy{instances=2},place").run(made, ctx)  # type: ignore[arg-type]
    function = main_function(made)  # type: ignore[arg-type]
    before = products(made)
    assert order_by_start(function, assign_stages(function), 1, ctx.store, ctx.target)  # type: ignore[attr-defined]
    after = products(made)
    assert [name[0] for name in before] == ["a", "b", "c"]
    assert [name[0] for name in after] == ["a", "c", "b"]
    made.verify()  # type: ignore[attr-defined]


def test_the_order_of_the_model_stays_where_memory_is_short() -> None:
    made, ctx = dlrm()
    Pipeline.parse("quantize,shard,choose-adc-steps,copy{instances=2},place").run(made, ctx)
    function = main_function(made)
    before = list(function.body.block.ops)
    assert ctx.target is not None
    small = with_overrides(ctx.target, {"tile.scratchpad_bytes": 64})
    assert not order_by_start(function, assign_stages(function), 1, ctx.store, small)
    assert list(function.body.block.ops) == before


def test_lookups_begin_before_all_that_waits() -> None:
    made, ctx = dlrm()
    Pipeline.parse("quantize,shard,choose-adc-steps,copy{instances=2},place,schedule").run(made, ctx)
    names = [op.name for op in main_function(made).body.block.ops if op.name.startswith("cim.")]
    assert names.index("cim.lookup") < names.index("cim.mvm")
