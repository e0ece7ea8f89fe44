"""A region of a result, computed from the regions of the operands, is that region of the whole result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.ir import Operation, SSAValue

from cimc.interpreter.evaluate import _HANDLERS
from cimc.ir import rec
from cimc.ir.types import tensor
from cimc.transforms.schedule.tiling.regions import Region, computed, needed, volume, whole, widened


def value(*dims: int) -> SSAValue:
    return rec.ConstantOp("x", tensor((1, *dims))).result


Make = Callable[[], Operation]
OPS: dict[str, Make] = {
    "unary": lambda: rec.UnaryOp("tanh", value(3, 4)),
    "binary": lambda: rec.BinaryOp("add", value(3, 1, 4), value(1, 5, 4)),
    "reduce": lambda: rec.ReduceOp("sum", value(3, 4, 5), [2], False),
    "reduce, axis kept": lambda: rec.ReduceOp("max", value(3, 4, 5), [1, 2], True),
    "matmul": lambda: rec.MatmulOp(value(2, 3, 4), value(2, 4, 5)),
    "transpose": lambda: rec.TransposeOp(value(2, 3, 4), [0, 3, 1, 2]),
    "slice": lambda: rec.SliceOp(value(6, 4), 1, 1, 5),
    "take": lambda: rec.TakeOp(value(3, 6), 2, [5, 0, 0, 3, 2]),
    "concat": lambda: rec.ConcatOp([value(2, 3), value(1, 3), value(3, 3)], 1),
    "expand": lambda: rec.ExpandOp(value(1, 4), (1, 5, 4)),
    "pad": lambda: rec.PadOp(value(3, 4), 2, 2, 3, 0.5),
    "dots": lambda: rec.DotInteractionOp(value(4, 3), [1, 2, 3, 0, 1], [0, 0, 1, 3, 2]),
    "split heads": lambda: rec.ReshapeOp(value(6, 8), (1, 6, 2, 4)),
    "join heads": lambda: rec.ReshapeOp(value(6, 2, 4), (1, 6, 8)),
    "flatten": lambda: rec.ReshapeOp(value(3, 2, 2), (1, 12)),
    "other factors": lambda: rec.ReshapeOp(value(4, 6, 2), (1, 3, 8, 2)),
    "ones": lambda: rec.ReshapeOp(value(4, 1, 6), (1, 1, 4, 6, 1)),
}


def inside(array: np.ndarray, region: Region) -> np.ndarray:
    return array[(slice(None), *(slice(*r) for r in region))]


@pytest.mark.parametrize("name", OPS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_region_of_the_result(name: str, data: st.DataObject) -> None:
    op = OPS[name]()
    full = whole(op.results[0])
    starts = [data.draw(st.integers(0, end - 1)) for _, end in full]
    region = tuple((a, data.draw(st.integers(a + 1, end))) for a, (_, end) in zip(starts, full, strict=True))
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=rec.shape(v)).astype(np.float32) for v in op.operands]
    expected = _HANDLERS[type(op)](None, op, arrays)

    wide = widened(op, region)
    assert all(a <= c and d <= b for (a, b), (c, d) in zip(wide, region, strict=True))
    regions = needed(op, wide)
    parts = [inside(x, b) for x, b in zip(arrays, regions, strict=True) if b is not None]
    new = computed(op, wide, [value(*p.shape[1:]) for p in parts])
    new.verify()
    np.testing.assert_array_equal(_HANDLERS[type(new)](None, new, parts), inside(expected, wide))


def test_a_reshape_that_keeps_rows_is_cut_by_rows() -> None:
    heads = OPS["split heads"]()
    assert widened(heads, ((1, 3), (0, 2), (0, 4))) == ((1, 3), (0, 2), (0, 4))
    assert needed(heads, ((1, 3), (1, 2), (0, 4))) == [((1, 3), (4, 8))]


def test_layers_and_rows_are_computed_whole() -> None:
    layer = rec.LinearOp(value(6, 4), "w", 8)
    assert widened(layer, ((1, 3), (2, 5))) == ((1, 3), (0, 8))
    assert needed(layer, ((1, 3), (0, 8))) == [((1, 3), (0, 4))]
    pooled = rec.EmbeddingBagOp("t", 9, 8, value(6))
    assert widened(pooled, ((2, 5),)) == ((0, 8),)
    rows = rec.EmbeddingBagOp("t", 9, 8, value(6), mode="none")
    assert widened(rows, ((2, 5), (1, 2))) == ((2, 5), (0, 8))


def test_volume() -> None:
    assert volume(((0, 2), (1, 4))) == 6
    assert volume(()) == 1
