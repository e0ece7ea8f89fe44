"""Tiles issue what could begin first, whatever the order of the model."""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from cimc.interpreter.evaluate import main_function
from cimc.ir import cim, rec
from cimc.ir.types import f32, i64, tensor
from cimc.target.overrides import with_overrides
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.schedule.issue_order import order_by_start
from cimc.transforms.schedule.schedule import assign_stages
from tests.build import Body, Builder, dlrm, module


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
    assert order_by_start(function, assign_stages(function), 1, ctx, ctx.target)  # type: ignore[attr-defined]
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
    assert not order_by_start(function, assign_stages(function), 1, ctx, small)
    assert list(function.body.block.ops) == before


def test_lookups_begin_before_all_that_waits() -> None:
    made, ctx = dlrm()
    Pipeline.parse("quantize,shard,choose-adc-steps,copy{instances=2},place,schedule").run(made, ctx)
    names = [op.name for op in main_function(made).body.block.ops if op.name.startswith("cim.")]
    assert names.index("cim.lookup") < names.index("cim.mvm")


def issued(body: Body, inputs: dict[str, np.ndarray]) -> list[str]:
    """Names of what one of two instances executes, in order."""
    types = {n: tensor((-1, *v.shape[1:]), i64 if v.dtype == np.int64 else f32) for n, v in inputs.items()}
    made, ctx = module(types, body)
    ctx.calibration = inputs
    Pipeline.parse("quantize,shard,choose-adc-steps,copy{instances=2},place,schedule").run(made, ctx)
    return [op.name for op in main_function(made).body.block.ops]


def rows_of(b: Builder, ids: SSAValue, name: str, count: int) -> SSAValue:
    """Rows of a table, one after the other, of ``count`` ids a request."""
    bag = rec.EmbeddingBagOp(b.table(name, 20, 4), 20, 4, ids, mode="none")
    return b.add(rec.ReshapeOp(b.add(bag), (-1, 4 * count)))


def test_loads_of_a_stage_are_asked_for_at_once() -> None:
    """Each would else wait for the one before, and for all that comes between them: the host link's time."""

    def body(b: Builder, args: list[SSAValue]) -> list[SSAValue]:
        rows = [rows_of(b, x, f"t{n}", 3) for n, x in enumerate(args)]
        return [b.linear(b.add(rec.ConcatOp(rows, 1)), 4, "a")]

    rng = np.random.default_rng(0)
    names = issued(body, {f"i{n}": rng.integers(0, 20, (8, 3)) for n in range(3)})
    assert names.count("cim.load") == 3
    assert max(n for n, name in enumerate(names) if name == "cim.load") < names.index("cim.lookup")


def test_a_layer_does_not_wait_for_rows_that_are_read_one_by_one() -> None:
    def body(b: Builder, args: list[SSAValue]) -> list[SSAValue]:
        many = b.add(rec.UnaryOp("relu", rows_of(b, args[0], "many", 40)))
        return [b.linear(rows_of(b, args[1], "one", 1), 4, "a"), many]

    rng = np.random.default_rng(0)
    names = issued(body, {"many": rng.integers(0, 20, (8, 40)), "one": rng.integers(0, 20, (8, 1))})
    assert names.index("cim.mvm") < names.index("rec.unary")
