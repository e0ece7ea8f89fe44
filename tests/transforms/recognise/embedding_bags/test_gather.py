"""Bags that are plain gathers, and masked pooling."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.ir import rec
from cimc.remarks import ModelTable
from tests.transforms.recognise.fusing import floats, fused

TABLE = {"table": floats(20, 4)}


@pytest.mark.parametrize("dims", ["B", "B, 1", "B, 3", "B, 2, 3"])
@pytest.mark.parametrize("kind", ["int64", "int32"])
def test_one_row_per_id(dims: str, kind: str) -> None:
    found = fused(f"m ({kind}[{dims}] ids) => (float[{dims}, 4] y) {{ y = Gather(table, ids) }}", TABLE)
    assert found.counts() == {"embedding_bag": 1}
    shape = [5 if d == "B" else int(d) for d in dims.split(", ")]
    found.check({"ids": np.random.default_rng(0).integers(0, 20, shape).astype(kind)})


@pytest.mark.parametrize("kind", ["Sum", "Mean", "Max"])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_pooled_rows(kind: str, keepdims: int) -> None:
    out = "B, 2, 1, 4" if keepdims else "B, 2, 4"
    found = fused(
        f"""m (int64[B, 2, 3] ids) => (float[{out}] y) {{
            rows = Gather(table, ids)
            y = Reduce{kind}<keepdims = {keepdims}>(rows, axes)
        }}""",
        TABLE | {"axes": np.array([-2])},
    )
    assert found.counts()["embedding_bag"] == 1
    assert found.counts()["reduce"] == 0
    found.check({"ids": np.random.default_rng(0).integers(0, 20, (5, 2, 3))})


@pytest.mark.parametrize("node", ["Gather(table, ids)", "GatherND(table, wide)"])
@pytest.mark.parametrize("row", [(), (3,), (3, 2), (2, 1, 2)], ids=str)
@pytest.mark.parametrize("dims", ["B", "B, 3"])
def test_rows_are_numbers_or_matrices(dims: str, row: tuple[int, ...], node: str) -> None:
    out = ", ".join([dims, *map(str, row)])
    found = fused(
        f"m (int64[{dims}] ids) => (float[{out}] y) {{ wide = Unsqueeze(ids, last)\n y = {node} }}",
        {"table": floats(20, *row), "last": np.array([-1])},
    )
    assert found.counts()["embedding_bag"] == 1
    assert found.reasons() == {}
    shape = [5 if d == "B" else int(d) for d in dims.split(", ")]
    found.check({"ids": np.random.default_rng(0).integers(0, 20, shape)})


@pytest.mark.parametrize("node", ["Gather(table, ids)", "GatherND(table, wide)"])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("row", [(), (3,), (3, 2)], ids=str)
def test_pooled_rows_that_are_numbers_or_matrices(row: tuple[int, ...], keepdims: int, node: str) -> None:
    out = ", ".join(["B, 2", *["1"] * keepdims, *map(str, row)])
    found = fused(
        f"""m (int64[B, 2, 4] ids) => (float[{out}] y) {{
            wide = Unsqueeze(ids, last)
            rows = {node}
            y = ReduceSum<keepdims = {keepdims}>(rows, axes)
        }}""",
        {"table": floats(20, *row), "last": np.array([-1]), "axes": np.array([2])},
    )
    assert found.counts()["embedding_bag"] == 1
    assert found.counts()["reduce"] == 0
    found.check({"ids": np.random.default_rng(0).integers(0, 20, (5, 2, 4))})


@pytest.mark.parametrize("keepdims", [2, -1, (1 << 63) - 1])
@pytest.mark.parametrize("kind", ["Sum", "L2"])
def test_axes_are_kept_by_one_alone(kind: str, keepdims: int) -> None:
    """onnxruntime takes every other number for no."""
    found = fused(
        f"""m (int64[B, 3] ids) => (float[B, 4] y) {{
            rows = Gather(table, ids) y = Reduce{kind}<keepdims = {keepdims}>(rows, axes)
        }}""",
        TABLE | {"axes": np.array([1])},
    )
    assert len(found.ops("rec.embedding_bag")) == 1
    found.check({"ids": np.random.default_rng(0).integers(0, 20, (5, 3))})


def test_ids_that_arrive_as_floats() -> None:
    found = fused(
        """m (float[B, 3] x) => (float[B, 9] y) {
            c = Slice(x, s, e, a)
            ids = Cast<to = 7>(c)
            rows = Gather(table, ids)
            flat = Squeeze(rows, a)
            d = Slice(x, e, big, a)
            y = Concat<axis = 1>(flat, d, x)
        }""",
        TABLE | {"s": np.array([0]), "e": np.array([1]), "a": np.array([1]), "big": np.array([1 << 60])},
    )
    assert found.counts() == {"slice": 2, "cast": 1, "embedding_bag": 1, "reshape": 1, "concat": 1}
    x = floats(5, 3)
    x[:, 0] = [0, 19, 3, 3.9, 7]
    found.check({"x": x})


def test_a_shared_table_keeps_one_name() -> None:
    found = fused(
        """m (int64[B] a, int64[B] b) => (float[B, 8] y) {
            p = Gather(table, a)
            q = Gather(table, b)
            y = Concat<axis = 1>(p, q)
        }""",
        {"table": floats(30, 4)},
    )
    assert list(found.ctx.store) == ["table"]
    assert found.ctx.remarks.recognition.tables == (ModelTable("table", 30, 4, 2),)
    found.check({"a": np.array([1, 2]), "b": np.array([29, 0])})


def test_hashed_ids_are_prepared_on_the_host() -> None:
    found = fused(
        """m (int64[B] ids) => (float[B, 4] y) {
            m = Mod(ids, size)
            y = Gather(table, m)
        }""",
        TABLE | {"size": np.array(20)},
    )
    assert found.counts() == {"host": 1, "embedding_bag": 1}
    assert found.reasons() == {"Mod": "index preparation"}
    found.check({"ids": np.array([1, 1000, 77])})


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (np.arange(20), "a table must be f32 [rows, dim], constant table is i64 [20]"),
        (
            np.arange(80).reshape(20, 2, 2),
            "a table must be f32 [rows, dim], constant table is i64 [20, 2, 2]",
        ),
    ],
)
def test_what_is_no_table(table: np.ndarray, reason: str) -> None:  # type: ignore[type-arg]
    kind = "int64" if table.dtype.kind == "i" else "float"
    dims = ", ".join(["B", *(str(d) for d in table.shape[1:])])
    found = fused(f"m (int64[B] ids) => ({kind}[{dims}] y) {{ y = Gather(table, ids) }}", {"table": table})
    assert found.reasons()["Gather"].startswith(reason)
    found.check({"ids": np.array([1, 2])})


def test_lists_of_unknown_length_must_be_pooled() -> None:
    found = fused("m (int64[B, L] ids) => (float[B, L, 4] y) { y = Gather(table, ids) }", TABLE)
    assert found.reasons() == {"Gather": "extent 1 of input ids is not known at compile time"}
    found.check({"ids": np.array([[1, 2, 3], [4, 5, 6]])})


@pytest.mark.parametrize("padding", [0, -1])
@pytest.mark.parametrize("form", ["matmul", "product"])
def test_masked_mean(padding: int, form: str) -> None:
    pool = {
        "matmul": "m3 = Unsqueeze(mask, one)\n wide = MatMul(m3, rows)\n total = Squeeze(wide, one)",
        "product": "m3 = Unsqueeze(mask, two)\n p = Mul(rows, m3)\n total = ReduceSum<keepdims = 0>(p, one)",
    }[form]
    found = fused(
        f"""m (int64[B, L] ids) => (float[B, 4] y) {{
            rows = Gather(table, ids)
            e = Equal(ids, pad)
            k = Not(e)
            mask = Cast<to = 1>(k)
            {pool}
            count = ReduceSum<keepdims = 1>(mask, one)
            y = Div(total, count)
        }}""",
        TABLE | {"pad": np.array(padding), "one": np.array([1]), "two": np.array([2])},
    )
    (bag,) = found.ops()
    assert isinstance(bag, rec.EmbeddingBagOp)
    assert bag.padding is not None
    assert (bag.mode.data, bag.padding.value.data) == ("mean", padding)
    ids = np.array([[3, 4, padding], [19, padding, padding]])
    found.check({"ids": ids})
