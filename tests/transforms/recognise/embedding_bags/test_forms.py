"""Bag forms that are made of several steps, compiled, run and compared with onnxruntime over odd shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.host.runtime import run_onnx
from cimc.ir import rec
from tests.transforms.recognise.embedding_bags.test_segment import CONSTANTS as SEGMENTED
from tests.transforms.recognise.embedding_bags.test_segment import SCATTERED
from tests.transforms.recognise.fusing import Arrays, Fused, floats, fused

BASE: Arrays = {
    "a0": np.array([0]),
    "a1": np.array([1]),
    "a2": np.array([2]),
    "last": np.array([-1]),
    "one": np.array(1, np.float32),
    "zero": np.array(0, np.float32),
    "i0": np.array(0),
    "i1": np.array(1),
    "none": np.array(-1),
    "low": np.array(-1e9, np.float32),
    "eps": np.array(1e-9, np.float32),
}


def runs(found: Fused, inputs: Arrays, folder: Path) -> cimc.Program:
    """The model compiled; what it gives must be what onnxruntime gives."""
    onnx.save(found.proto, folder / "m.onnx")
    program = cimc.compile(folder / "m.onnx", calib=inputs)
    expected = run_onnx(found.proto, inputs)
    for mode in ("exact", "adc"):
        assert check_outputs(expected, program.run(inputs, mode=mode).outputs, Bound()).passed
    return program


def bags(found: Fused) -> list[rec.EmbeddingBagOp]:
    return [b for b in found.ops("rec.embedding_bag") if isinstance(b, rec.EmbeddingBagOp)]


# -- gathers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Sum", "Mean"])
@pytest.mark.parametrize(("slots", "nnz"), [(1, 1), (3, 1), (1, 4), (3, 5)])
def test_rows_regrouped_by_slot(kind: str, slots: int, nnz: int, tmp_path: Path) -> None:
    found = fused(
        f"""m (int64[B, {slots * nnz}] ids) => (float[B, {slots}, 4] y) {{
            rows = Gather(table, ids) wide = Reshape(rows, shape)
            y = Reduce{kind}<axes = [2], keepdims = 0>(wide)
        }}""",
        {"table": floats(30, 4), "shape": np.array([-1, slots, nnz, 4])},
        opset=12,
    )
    (bag,) = bags(found)
    assert bag.mode.data == kind.lower()
    assert found.reasons() == {}
    inputs = {"ids": np.random.default_rng(0).integers(0, 30, (5, slots * nnz))}
    found.check(inputs)
    runs(found, inputs, tmp_path)


@pytest.mark.parametrize(
    ("shape", "out", "axis"),
    [((-1, 3, 4), "C, 4", 1), ((-1, 3, 2, 4), "B, 3, 4", 2), ((-1, 2, 6, 2), "B, 2, 2", 2)],
)
def test_rows_regrouped_otherwise(shape: tuple[int, ...], out: str, axis: int) -> None:
    """Rows of several requests together, or parts of rows, are no bags."""
    found = fused(
        f"""m (int64[B, 6] ids) => (float[{out}] y) {{
            rows = Gather(table, ids) wide = Reshape(rows, shape)
            y = ReduceSum<axes = [{axis}], keepdims = 0>(wide)
        }}""",
        {"table": floats(30, 4), "shape": np.array(shape)},
        opset=12,
    )
    pooled = [b.mode.data for b in bags(found) if b.mode.data == "sum"]
    assert pooled == (["sum"] if shape == (-1, 3, 2, 4) else [])
    found.check({"ids": np.random.default_rng(0).integers(0, 30, (5, 6))})


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("dims", ["B", "B, 3"])
def test_rows_by_gather_nd(dims: str, wrapped: bool, tmp_path: Path) -> None:
    given = dims if wrapped else f"{dims}, 1"
    wide = "wide = Unsqueeze(ids, last)" if wrapped else "wide = Identity(ids)"
    found = fused(
        f"m (int64[{given}] ids) => (float[{dims}, 4] y) {{ {wide} y = GatherND(table, wide) }}",
        BASE | {"table": floats(30, 4)},
    )
    assert len(bags(found)) == 1
    assert found.reasons() == {}
    shape = [5, *(int(d) for d in given.split(", ")[1:])]
    inputs = {"ids": np.random.default_rng(0).integers(0, 30, shape)}
    found.check(inputs)
    runs(found, inputs, tmp_path)


def test_elements_by_gather_nd_are_no_rows() -> None:
    found = fused(
        "m (int64[B, 2] ids) => (float[B] y) { y = GatherND(table, ids) }", {"table": floats(30, 4)}
    )
    assert bags(found) == []
    found.check({"ids": np.array([[1, 2], [29, 3]])})


# -- joint, quotient-remainder and mixed-dimension tables ---------------------------------------------


@settings(max_examples=12, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    dim=st.integers(1, 7),
    pool=st.sampled_from(["none", "sum"]),
    hashed=st.booleans(),
)
def test_joint_tables(sizes: list[int], dim: int, pool: str, hashed: bool) -> None:
    """One table for all features: ids plus where each feature's rows begin."""
    features = len(sizes)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    hashing = "small = Mod(ids, sizes)" if hashed else "small = Identity(ids)"
    out = f"B, {features}, {dim}" if pool == "none" else f"B, {dim}"
    tail = "y = Identity(rows)" if pool == "none" else "y = ReduceSum<axes = [1], keepdims = 0>(rows)"
    found = fused(
        f"""m (int64[B, {features}] ids) => (float[{out}] y) {{
            {hashing} all = Add(small, first) rows = Gather(table, all) {tail} }}""",
        {"table": floats(sum(sizes), dim), "first": first, "sizes": np.array(sizes)},
        opset=12,
    )
    assert len(bags(found)) == 1
    assert set(found.reasons().values()) <= {"index preparation"}
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 1000 if hashed else sizes, (6, features))
    found.check({"ids": ids})


@settings(max_examples=12, deadline=None)
@given(
    size=st.integers(2, 50),
    collisions=st.integers(2, 9),
    dim=st.integers(1, 6),
    join=st.sampled_from(["Mul", "Add", "Concat"]),
    kind=st.sampled_from(["int32", "int64"]),
)
def test_quotient_and_remainder(size: int, collisions: int, dim: int, join: str, kind: str) -> None:
    quotients = -(-size // collisions)
    end = "Concat<axis = 1>(p, q)" if join == "Concat" else f"{join}(p, q)"
    found = fused(
        f"""m ({kind}[B] ids) => (float[B, {dim * (2 if join == "Concat" else 1)}] y) {{
            d = Div(ids, c) r = Mod(ids, c) p = Gather(quotients, d) q = Gather(remainders, r)
            y = {end} }}""",
        {
            "c": np.array(collisions, kind),
            "quotients": floats(quotients, dim),
            "remainders": floats(collisions, dim, seed=1),
        },
    )
    assert len(bags(found)) == (1 if quotients * dim == 1 else 2)  # a single number needs no table
    assert set(found.reasons().values()) <= {"index preparation"}
    found.check({"ids": np.random.default_rng(0).integers(0, size, 7).astype(kind)})


@pytest.mark.parametrize(("narrow", "wide"), [(1, 5), (3, 8), (5, 5)])
def test_mixed_dimensions(narrow: int, wide: int, tmp_path: Path) -> None:
    """A rare feature has short rows, which a layer brings to the common width."""
    found = fused(
        f"""m (int64[B, 3] ids, int64[B] other) => (float[B, {wide}] y) {{
            rows = Gather(small, ids) pooled = ReduceSum<axes = [1], keepdims = 0>(rows)
            long = MatMul(pooled, w) more = Gather(large, other) y = Add(long, more)
        }}""",
        {"small": floats(9, narrow), "large": floats(11, wide, seed=1), "w": floats(narrow, wide, seed=2)},
        opset=12,
    )
    assert found.reasons() == {}
    assert found.counts() == {"embedding_bag": 2, "linear": 1, "binary": 1}
    rng = np.random.default_rng(0)
    inputs = {"ids": rng.integers(0, 9, (8, 3)), "other": rng.integers(0, 11, 8)}
    found.check(inputs)
    runs(found, inputs, tmp_path)


# -- padding among computed ids -----------------------------------------------------------------------

MASK = "e = Equal(PADDED, pad) b = Not(e) m = Cast<to = 1>(b)"
POOLS = {
    "sum": "u = Unsqueeze(m, a2) w = Mul(u, r) y = ReduceSum<keepdims = 0>(w, a1)",
    "mean": """u = Unsqueeze(m, a2) w = Mul(u, r) t = ReduceSum<keepdims = 0>(w, a1)
        n = ReduceSum(m, a1) c = Max(n, one) y = Div(t, c)""",
    "max": "u = Unsqueeze(b, a2) w = Where(u, r, low) y = ReduceMax<keepdims = 0>(w, a1)",
}


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("padding", [0, -1])
def test_padding_among_ids_cast_on_the_chip(pool: str, padding: int, tmp_path: Path) -> None:
    """Columns of floats become ids in the scratchpad; those that are padding are dropped there."""
    found = fused(
        f"""m (float[B, 6] x) => (float[B, 4] y) {{
            p = Slice(x, a1, six, a1) ids = Cast<to = 7>(p) r = Gather(table, ids)
            {MASK.replace("PADDED", "ids")} {POOLS[pool]}
        }}""",
        BASE | {"pad": np.array(padding), "six": np.array([6]), "table": floats(20, 4)},
    )
    (bag,) = bags(found)
    assert bag.padding is not None
    assert (bag.mode.data, bag.padding.value.data) == (pool, padding)
    assert found.reasons() == {}
    p = float(padding)
    inputs: Arrays = {
        "x": np.array([[0.5, 1, 2, p, p, 19], [1, 19, 18, 3, 7, 1], [0, 4, p, p, p, p]], np.float32)
    }
    found.check(inputs)
    program = runs(found, inputs, tmp_path)
    (segment,) = program.data.chip_segments
    (item,) = [i for s in segment.streams.values() for i in s if i.name == "lookup"]
    assert (item.word("drop"), item.number("pad")) == ("equal", padding)


def test_weighted_ids_cast_on_the_chip(tmp_path: Path) -> None:
    found = fused(
        """m (float[B, 3] x, float[B, 3] w) => (float[B, 4] y) {
            ids = Cast<to = 7>(x) r = Gather(table, ids) u = Unsqueeze(w, a2) v = Mul(r, u)
            y = ReduceSum<keepdims = 0>(v, a1)
        }""",
        BASE | {"table": floats(20, 4)},
    )
    (bag,) = bags(found)
    assert bag.weights is not None
    inputs = {"x": np.array([[1, 2, 3], [4, 5, 19]], np.float32), "w": floats(2, 3)}
    found.check(inputs)
    runs(found, inputs, tmp_path)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("ids", ["Mod(raw, size)", "Where(e, i0, hashed)", "Add(raw, i1)"])
def test_padding_found_before_ids_are_hashed(pool: str, ids: str, tmp_path: Path) -> None:
    """The mask compares what came in, the lookup takes what was made of it."""
    found = fused(
        f"""m (int64[B, 5] raw) => (float[B, 4] y) {{
            {MASK.replace("PADDED", "raw")} hashed = Mod(raw, size) ids = {ids}
            r = Gather(table, ids) {POOLS[pool]}
        }}""",
        BASE | {"pad": np.array(-1), "size": np.array(20), "table": floats(20, 4)},
    )
    (bag,) = bags(found)
    assert bag.mode.data == pool
    assert bag.padding is not None
    assert set(found.reasons().values()) == {"index preparation"}
    high = 19 if "Add" in ids else 1000
    raw = np.random.default_rng(2).integers(0, high, (6, 5))
    for row in range(6):
        raw[row, 5 - row if pool != "max" else max(1, 5 - row) :] = -1
    found.check({"raw": raw})
    runs(found, {"raw": raw}, tmp_path)


def test_a_maximum_under_a_mask_of_lengths(tmp_path: Path) -> None:
    found = fused(
        """m (int64[B, 4] ids, int64[B, 1] length) => (float[B, 4] y) {
            b = Less(places, length) u = Unsqueeze(b, a2) r = Gather(table, ids)
            w = Where(u, r, low) y = ReduceMax<axes = [1], keepdims = 0>(w)
        }""",
        BASE | {"places": np.arange(4)[None], "table": floats(20, 4)},
        opset=17,
    )
    (bag,) = bags(found)
    assert bag.mode.data == "max"
    inputs = {"ids": np.random.default_rng(0).integers(0, 20, (3, 4)), "length": np.array([[4], [1], [2]])}
    found.check(inputs)
    runs(found, inputs, tmp_path)


# -- segment means ------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", [False, True])
def test_segment_means_divide_by_sizes(root: bool, tmp_path: Path) -> None:
    """tf2onnx scatters the sizes of segments, and divides by them or by their square roots."""
    form = SCATTERED.replace("NEUTRAL", "zeros")
    found = fused(
        f"""m (int64[N] ids, int64[N] seg, float[B, 4] x) => (float[B, 4] z) {{
            s = Shape(x) segments = Slice(s, a0, a1) rows = Gather(table, ids) {form}
            total = ReduceSum<keepdims = 0>(wide, a1) none = ConstantOfShape<value = int64[1] {{0}}>(segments)
            counts = ScatterElements<axis = 0>(none, v, sizes) cf = Cast<to = 1>(counts)
            {"cr = Sqrt(cf)" if root else "cr = Identity(cf)"} cm = Max(cr, f1) cu = Unsqueeze(cm, a1)
            y = Div(total, cu) z = Add(y, x) }}""",
        SEGMENTED | {"f1": np.array(1, np.float32)},
        opset=17,
    )
    assert len(bags(found)) == 1
    inputs = {
        "ids": np.array([3, 1, 4, 1, 5, 9, 2]),
        "seg": np.array([4, 0, 2, 2, 0, 2, 4]),
        "x": floats(6, 4),
    }
    found.check(inputs)
    runs(found, inputs, tmp_path)
