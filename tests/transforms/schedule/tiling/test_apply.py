"""Operations cut into parts give the numbers of the whole, on a scratchpad that holds them no longer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from xdsl.dialects.builtin import ArrayAttr, StringAttr
from xdsl.ir import SSAValue

from cimc.errors import InfeasibleError
from cimc.interpreter.evaluate import evaluate, main_function
from cimc.ir import rec
from cimc.ir.types import tensor
from cimc.target import load_target
from cimc.transforms.schedule.schedule import assign_stages
from cimc.transforms.schedule.tiling.apply import split_large, too_large
from tests.build import Body, Builder, module

Values = Sequence[SSAValue]


def softmax(b: Builder, x: SSAValue) -> SSAValue:
    peak = b.add(rec.ReduceOp("max", x, [2], True))
    e = b.add(rec.UnaryOp("exp", b.add(rec.BinaryOp("sub", x, peak))))
    return b.add(rec.BinaryOp("div", e, b.add(rec.ReduceOp("sum", e, [2], True))))


def attention(b: Builder, args: Values) -> Values:
    x = b.add(rec.UnaryOp("tanh", args[0]))
    turned = b.add(rec.TransposeOp(x, [0, 2, 1]))
    return [b.add(rec.MatmulOp(softmax(b, b.add(rec.MatmulOp(x, turned))), x))]


def wide(b: Builder, args: Values) -> Values:
    y = b.add(rec.BinaryOp("add", args[0], b.add(rec.UnaryOp("tanh", args[0]))))
    return [y, b.add(rec.ReduceOp("sum", y, [1, 2], False))]


def total(kind: str) -> Body:
    return lambda b, args: [b.add(rec.ReduceOp(kind, b.add(rec.UnaryOp("tanh", args[0])), [1], False))]


CASES: dict[str, tuple[Body, tuple[int, ...], int]] = {
    "attention": (attention, (48, 4), 4096),
    "wide": (wide, (40, 40), 6000),
    "sum": (total("sum"), (600, 2), 2048),
    "mean": (total("mean"), (600, 2), 2048),
    "max": (total("max"), (600, 2), 2048),
}


@pytest.mark.parametrize("name", CASES)
def test_parts_give_what_the_whole_gives(name: str) -> None:
    body, dims, size = CASES[name]
    made, ctx = module({"x": tensor((-1, *dims))}, body)
    made.attributes["onnx.opset"] = ArrayAttr([StringAttr(":17")])  # of what is cut on the host
    x = {"x": np.random.default_rng(0).normal(size=(3, *dims)).astype(np.float32)}
    expected = evaluate(made, ctx, x)
    target = load_target(f"tsinghua28{{tile.scratchpad_bytes={size}}}")
    cut = split_large(made, main_function(made), ctx, target, assign_stages)
    made.verify()
    assert cut
    assert all(each.pieces > 1 for each in cut)
    found = evaluate(made, ctx, x)
    assert list(found) == list(expected)
    for key, array in expected.items():
        np.testing.assert_allclose(found[key], array, rtol=1e-5, atol=1e-5)


def test_what_fits_is_left_alone() -> None:
    made, ctx = module({"x": tensor((-1, 8, 4))}, attention)
    before = str(made)
    assert split_large(made, main_function(made), ctx, load_target("tsinghua28"), assign_stages) == []
    assert str(made) == before


def test_what_no_cut_brings_in_is_refused_with_its_size() -> None:
    made, ctx = module({"x": tensor((-1, 48, 4))}, attention)
    target = load_target("tsinghua28{tile.scratchpad_bytes=16}")
    with pytest.raises(InfeasibleError) as caught:
        split_large(made, main_function(made), ctx, target, assign_stages)
    assert caught.value.shortage.resource == "scratchpad"
    assert caught.value.shortage.bound == 16


def test_an_operand_read_twice_is_counted_once() -> None:
    x = rec.UnaryOp("relu", rec.ConstantOp("c", tensor((1, 10))).result).results[0]
    error = too_large(rec.BinaryOp("mul", x, x), load_target("tsinghua28"))
    assert error.shortage.demand == 2 * 40
