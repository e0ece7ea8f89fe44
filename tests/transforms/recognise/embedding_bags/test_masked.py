"""Padded id lists under a mask: every spelling becomes a bag that leaves padding out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.host.runtime import run_onnx
from cimc.ir import rec
from tests.transforms.recognise.fusing import Arrays, Fused, floats, fused

CONSTANTS: Arrays = {
    "table": floats(20, 4),
    "a1": np.array([1]),
    "a2": np.array([2]),
    "last": np.array([-1]),
    "one": np.array(1, np.float32),
    "zero": np.array(0, np.float32),
    "eps": np.array(1e-9, np.float32),
    "big": np.array(1e9, np.float32),
    "low": np.array(-1e9, np.float32),
    "i0": np.array(0),
    "i1": np.array(1),
}

MASKS = {
    "not equal": "e = Equal(ids, pad) b = Not(e) m = Cast<to = 1>(b)",
    "where": "e = Equal(ids, pad) m = Where(e, zero, one)",
    "complement": "e = Equal(ids, pad) f = Cast<to = 1>(e) m = Sub(one, f)",
}
SUMS = {
    "matmul": "u = Unsqueeze(m, a1) w = MatMul(u, r) s = Squeeze(w, a1)",
    "transposed": """t = Transpose<perm = [0, 2, 1]>(r) u = Unsqueeze(m, a2)
        w = MatMul(t, u) s = Squeeze(w, a2)""",
    "product": "u = Unsqueeze(m, a2) w = Mul(u, r) s = ReduceSum<keepdims = 0>(w, a1)",
    "expanded": """u = Unsqueeze(m, a2) z = Shape(r) v = Expand(u, z) w = Mul(r, v)
        s = ReduceSum<keepdims = 0>(w, a1)""",
}
COUNTS = {
    "plain": "c = ReduceSum(m, a1)",
    "epsilon": "n = ReduceSum(m, a1) c = Add(n, eps)",
    "at least one": "n = ReduceSum(m, last) c = Max(n, one)",
    "clipped": "n = ReduceSum(m, last) c = Clip(n, one)",
}


def padded(padding: int, kind: str = "int64", empty: bool = False) -> Arrays:
    """Id lists of all lengths, padded at their end."""
    ids = np.random.default_rng(0).integers(1, 20, (6, 5)).astype(kind)
    for row, length in enumerate([5, 4, 3, 2, 1, 0 if empty else 1]):
        ids[row, length:] = padding
    return {"ids": ids}


def graph(body: str, kind: str = "int64", out: str = "B, 4") -> str:
    return f"m ({kind}[B, L] ids) => (float[{out}] y) {{ r = Gather(table, ids) {body} }}"


def pooled(found: Fused) -> rec.EmbeddingBagOp:
    """The only bag, beside which there may be a change of shape."""
    assert set(found.counts()) <= {"embedding_bag", "reshape"}
    (bag,) = found.ops("rec.embedding_bag")
    assert isinstance(bag, rec.EmbeddingBagOp)
    return bag


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("total", SUMS)
@pytest.mark.parametrize("padding", [0, -1])
def test_sums(mask: str, total: str, padding: int) -> None:
    found = fused(
        graph(f"{MASKS[mask]} {SUMS[total]} y = Identity(s)"), CONSTANTS | {"pad": np.array(padding)}
    )
    bag = pooled(found)
    assert bag.padding is not None
    assert (bag.mode.data, bag.padding.value.data) == ("sum", padding)
    found.check(padded(padding, empty=True))


@pytest.mark.parametrize("kind", ["int32", "int64"])
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("total", SUMS)
def test_means(kind: str, count: str, total: str) -> None:
    body = f"{MASKS['not equal']} {SUMS[total]} {COUNTS[count]} y = Div(s, c)"
    found = fused(graph(body, kind), CONSTANTS | {"pad": np.array(-1, kind)})
    assert pooled(found).mode.data == "mean"
    found.check(padded(-1, kind, empty=count != "plain"))
    assert bool(found.ctx.notes) == (count == "plain")


MAXIMA = {
    "subtracted": "u = Unsqueeze(m, a2) o = Sub(one, u) p = Mul(o, big) q = Sub(r, p)",
    "added": "u = Unsqueeze(m, a2) o = Sub(one, u) p = Mul(low, o) q = Add(r, p)",
    "chosen": "u = Unsqueeze(b, a2) q = Where(u, r, low)",
    "replaced": "u = Unsqueeze(e, a2) q = Where(u, low, r)",
}


@pytest.mark.parametrize("form", MAXIMA)
@pytest.mark.parametrize("keepdims", [0, 1])
def test_maxima(form: str, keepdims: int) -> None:
    body = f"{MASKS['not equal']} {MAXIMA[form]} y = ReduceMax<keepdims = {keepdims}>(q, a1)"
    found = fused(graph(body, out="B, 1, 4" if keepdims else "B, 4"), CONSTANTS | {"pad": np.array(0)})
    assert pooled(found).mode.data == "max"
    found.check(padded(0))
    assert "nothing but padding" in found.ctx.notes[0]


@pytest.mark.parametrize(
    ("test", "padding"),
    [
        ("Greater(ids, i0)", 0),
        ("GreaterOrEqual(ids, i1)", 0),
        ("Less(i0, ids)", 0),
        ("GreaterOrEqual(ids, i0)", -1),
    ],
)
def test_masks_by_order(test: str, padding: int) -> None:
    found = fused(graph(f"b = {test} m = Cast<to = 1>(b) {SUMS['product']} y = Identity(s)"), CONSTANTS)
    bag = pooled(found)
    assert bag.padding is not None
    assert bag.padding.value.data == padding
    found.check(padded(padding, empty=True))


def test_padding_that_is_replaced_before_the_lookup() -> None:
    found = fused(
        f"""m (int64[B, L] ids) => (float[B, 4] y) {{
            safe = Max(ids, i0) r = Gather(table, safe)
            {MASKS["not equal"]} {SUMS["matmul"]} y = Identity(s)
        }}""",
        CONSTANTS | {"pad": np.array(-1)},
    )
    assert pooled(found).padding is not None
    found.check(padded(-1, empty=True))


@pytest.mark.parametrize(
    "body",
    [
        # the mask is made from other numbers, which may lie below 0
        f"o = Sub(ids, nine) e = Greater(o, i0) m = Cast<to = 1>(e) {SUMS['product']} y = Sum(s)",
        # the mask keeps what it should drop
        f"e = Equal(ids, pad) m = Cast<to = 1>(e) {SUMS['product']} y = Identity(s)",
        # the mask is none
        f"f = Cast<to = 1>(ids) m = Sqrt(f) {SUMS['product']} y = Identity(s)",
    ],
)
def test_other_masks_are_weights(body: str) -> None:
    found = fused(graph(body), CONSTANTS | {"pad": np.array(3), "nine": np.array(9)})
    bags = [b for b in found.ops("rec.embedding_bag") if isinstance(b, rec.EmbeddingBagOp)]
    assert [(b.padding, b.weights is not None) for b in bags] == [(None, True)]
    found.check({"ids": np.random.default_rng(1).integers(0, 19, (4, 3))})


def test_a_count_of_something_else_is_no_mean() -> None:
    other = "x = Greater(ids, i1) v = Cast<to = 1>(x) n = ReduceSum(v, a1)"
    body = f"{MASKS['not equal']} {SUMS['product']} {other}"
    found = fused(graph(f"{body} c = Max(n, one) y = Div(s, c)"), CONSTANTS | {"pad": np.array(0)})
    (bag,) = found.ops("rec.embedding_bag")
    assert isinstance(bag, rec.EmbeddingBagOp)
    assert bag.mode.data == "sum"
    found.check(padded(0))


def test_padded_bags_run_on_the_chip(tmp_path: Path) -> None:
    body = f"{MASKS['not equal']} {SUMS['matmul']} {COUNTS['epsilon']} y = Div(s, c)"
    proto = fused(graph(body), CONSTANTS | {"pad": np.array(-1)}).proto
    onnx.save(proto, tmp_path / "m.onnx")
    inputs = padded(-1, empty=True)
    program = cimc.compile(tmp_path / "m.onnx", calib=inputs)
    (segment,) = program.data.chip_segments
    assert len(program.data.segments) == 1
    assert [p.padding for p in segment.inputs] == [-1]
    result = program.run(inputs)
    assert check_outputs(run_onnx(proto, inputs), result.outputs, Bound()).passed
    assert not result.outputs["y"][-1].any()


def test_ids_cut_from_floats_for_a_padded_bag(tmp_path: Path) -> None:
    found = fused(
        f"""m (float[B, 5] x) => (float[B, 4] y) {{
            p = Slice(x, a1, five, a1) ids = Cast<to = 7>(p) r = Gather(table, ids)
            {MASKS["not equal"]} {SUMS["matmul"]} y = Identity(s)
        }}""",
        CONSTANTS | {"pad": np.array(0), "five": np.array([5])},
    )
    onnx.save(found.proto, tmp_path / "m.onnx")
    inputs = {"x": np.array([[0.5, 1, 2, 0, 0], [1, 19, 18, 3, 0]], np.float32)}
    program = cimc.compile(tmp_path / "m.onnx", calib=inputs)
    assert check_outputs(run_onnx(found.proto, inputs), program.run(inputs).outputs, Bound()).passed
    assert program.data.remarks.recognition.host == ()
