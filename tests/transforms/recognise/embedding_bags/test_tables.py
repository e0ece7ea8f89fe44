"""What may be a table, and what a bag of it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cimc.ir import rec
from cimc.ir.types import symbol
from tests.transforms.recognise.fusing import Arrays, Fused, floats, fused

INTEGERS = np.arange(-12, 12).reshape(6, 4).astype(np.int8)


def looked_up(body: str, weights: Arrays, ids: str = "int64[B] i") -> Fused:
    return fused(f"m ({ids}) => (float[] y) {{ {body} }}", weights)


def the_bag(found: Fused) -> rec.EmbeddingBagOp:
    (op,) = found.ops("rec.embedding_bag")
    assert isinstance(op, rec.EmbeddingBagOp)
    return op


def test_a_table_of_floats_is_kept_as_it_is_stored() -> None:
    found = looked_up("y = Gather(t, i)", {"t": floats(6, 4)})
    found.check({"i": np.array([5, 0, 3])})
    assert symbol(the_bag(found).table) == "t"


@pytest.mark.parametrize("signed", [True, False])
def test_a_table_of_integers_keeps_its_scale(signed: bool) -> None:
    data: np.ndarray[Any, Any] = INTEGERS if signed else (INTEGERS.astype(int) + 128).astype(np.uint8)
    weights = {"t": data, "s": np.float32(0.5), "z": data.dtype.type(0 if signed else 128)}
    found = looked_up("w = DequantizeLinear(t, s, z)\n y = Gather(w, i)", weights)
    found.check({"i": np.array([5, 0, 3])})
    bag = the_bag(found)
    assert bag.scale is not None
    np.testing.assert_array_equal(found.ctx.store[symbol(bag.table)], INTEGERS)


def test_a_scale_per_row_stays_per_row() -> None:
    weights = {"t": INTEGERS, "s": np.arange(1, 7, dtype=np.float32), "z": np.zeros(6, np.int8)}
    found = looked_up("w = DequantizeLinear<axis = 0>(t, s, z)\n y = Gather(w, i)", weights)
    found.check({"i": np.array([5, 0, 3])})
    bag = the_bag(found)
    assert bag.row_scales is not None
    np.testing.assert_array_equal(found.ctx.store[symbol(bag.row_scales)], weights["s"])


@pytest.mark.parametrize("row", [(), (2, 3)], ids=str)
def test_rows_of_any_extents_lie_flat(row: tuple[int, ...]) -> None:
    table = floats(6, *row)
    found = looked_up("y = Gather(t, i)", {"t": table})
    found.check({"i": np.array([5, 0, 3])})
    bag = the_bag(found)
    np.testing.assert_array_equal(found.ctx.store[symbol(bag.table)], table.reshape(6, -1))


def test_rows_of_a_computed_tensor_are_no_lookup() -> None:
    found = fused("m (float[6, 4] t, int64[B] i) => (float[] y) { y = Gather(t, i) }")
    assert not found.ops("rec.embedding_bag")


def test_ids_that_are_constant_are_handed_to_the_chip() -> None:
    body = "r = Gather(t, k)\n e = Expand(r, s)\n y = Add(e, x)"
    weights = {"t": floats(6, 4), "k": np.array([[1]]), "s": np.array([1, 1, 4])}
    found = fused(f"m (float[B, 1, 4] x) => (float[] y) {{ {body} }}", weights)
    found.check({"x": floats(3, 1, 4)})


def test_weights_per_sample_have_the_shape_of_the_ids() -> None:
    body = "r = Gather(t, i)\n u = Unsqueeze(w, k2)\n m = Mul(r, u)\n y = ReduceSum<keepdims = 0>(m, k1)"
    weights = {"t": floats(6, 4), "k1": np.array([1]), "k2": np.array([2])}
    inputs = {"i": np.array([[1, 5], [0, 2]]), "w": floats(2, 2)}
    found = fused(f"m (int64[B, 2] i, float[B, 2] w) => (float[] y) {{ {body} }}", weights)
    found.check(inputs)
    assert the_bag(found).weights is not None
    found = fused(f"m (int64[B, 2] i, float[1, 2] w) => (float[] y) {{ {body} }}", weights)
    found.check({**inputs, "w": inputs["w"][:1]})
    assert all(op.weights is None for op in found.ops("rec.embedding_bag"))  # type: ignore[attr-defined]
