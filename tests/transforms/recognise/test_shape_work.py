"""Multiplications and looked-up values per request, from shapes alone."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.analysis.shapes.dims import add, mul, symbol
from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.remarks import HostWork
from cimc.transforms.recognise.shape_work import chip_work, host_work, is_table, per_request
from tests.analysis.shapes.rules.onnxruntime_oracle import analysed
from tests.transforms.recognise.fusing import Arrays, Fused, floats, fused, model

B, N = symbol("B"), symbol("N")
WEIGHTS: Arrays = {
    "w": floats(4, 3),
    "t": floats(9, 5),
    "k": floats(2, 4),
    "ids": np.array([1, 2]),
    "i8": np.ones((3, 2), np.int8),
}


@pytest.mark.parametrize(
    ("total", "batch", "count", "why"),
    [
        (12, 3, 4.0, ""),
        (12, 0, 12.0, ""),
        (mul(B, 12), B, 12.0, ""),
        (add(mul(B, 12), 5), B, 17.0, ""),
        (mul(N, 2), B, None, "it depends on N"),
        (mul(symbol("?3"), 2), B, None, "an extent varies from request to request"),
        (None, B, None, "an extent is not known at compile time"),
        (7, None, 7.0, ""),
    ],
)
def test_counts_are_those_of_one_request(total: object, batch: object, count: float | None, why: str) -> None:
    assert per_request(total, batch) == (count, why)  # type: ignore[arg-type]


def test_the_chips_work() -> None:
    body = (
        "m = MatMul(x, w)\n e = Gather(t, i)\n s = ReduceSum<keepdims = 0>(e, k1)\ny = Concat<axis = 1>(m, s)"
    )
    weights = {**WEIGHTS, "k1": np.array([1])}
    found = fused(f"m (float[B, 4] x, int64[B, 2] i) => (float[] y) {{ {body} }}", weights)
    work = chip_work(found.function)
    assert (work.arrays, work.vector, work.tables) == (4 * 3, 0, 2 * 5)


def on_host(body: str, more: str = "") -> list[HostWork]:
    found: Fused = fused(f"m (float[B, 4] x{more}) => (float[] y) {{ {body} }}", WEIGHTS)
    return host_work(found.function, ShapeAnalysis(found.function, found.ctx))


def test_a_product_on_the_host_is_counted_by_its_extents() -> None:
    (work,) = on_host("p = MatMul(k, z)\n r = ReduceSum<keepdims = 0>(p)\n y = Add(x, r)", ", float[4, 6] z")
    assert (work.op, work.macs, work.why) == ("MatMul", 2 * 4 * 6, "")


def test_what_depends_on_the_request_is_not_guessed() -> None:
    body = "p = MatMul(k, z)\n r = ReduceSum<keepdims = 0>(p)\n y = Add(x, r)"
    (work,) = on_host(body, ", float[4, N] z")
    assert work.macs is None
    assert work.why


def test_a_table_is_a_constant_of_floats_or_narrow_integers() -> None:
    body = "a = Gather(t, i)\n b = Gather(ids, i)\n c = Gather(i8, i)\n d = Identity(t)\n e = Gather(d, i)"
    outputs = "float[] a, int64[] b, int8[] c, float[] e"
    _, values = analysed(model(f"m (int64[B] i) => ({outputs}) {{ {body} }}", WEIGHTS))
    assert [is_table(v.owner.inputs[0]) for v in values] == [True, False, True, True]  # type: ignore[union-attr]
    assert not is_table(values[0])
