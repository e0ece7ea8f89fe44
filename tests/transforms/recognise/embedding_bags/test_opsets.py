"""Bags in the spellings of all operator sets: axes as attribute and as input."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from cimc.ir import rec
from tests.transforms.recognise.fusing import Arrays, floats, fused

CONSTANTS: Arrays = {"table": floats(20, 4), "pad": np.array(0), "a1": np.array([1]), "a2": np.array([2])}
SUPPORTED = [9, 10, 11, 12, 13, 16, 17, 18, 20, 21, 24, onnx.defs.onnx_opset_version()]


def axes(kind: str, value: str, axis: int, opset: int, since: int, more: str = "") -> str:
    """A node whose axes are an input from operator set ``since`` on."""
    attributes = [f"axes = [{axis}]"] if opset < since else []
    attributes += [more] if more else []
    given = f"<{', '.join(attributes)}>" if attributes else ""
    return f"{kind}{given}({value}{'' if opset < since else f', a{axis}'})"


@pytest.mark.parametrize("opset", SUPPORTED)
@pytest.mark.parametrize("mode", ["Sum", "Mean", "Max"])
def test_pooled_rows(mode: str, opset: int) -> None:
    since = 13 if mode == "Sum" else 18
    found = fused(
        f"""m (int64[B, 3] ids) => (float[B, 4] y) {{
            rows = Gather(table, ids) y = {axes(f"Reduce{mode}", "rows", 1, opset, since, "keepdims = 0")}
        }}""",
        CONSTANTS,
        opset=opset,
    )
    assert found.counts() == {"embedding_bag": 1}
    found.check({"ids": np.random.default_rng(0).integers(0, 20, (5, 3))})


@pytest.mark.parametrize("opset", SUPPORTED)
def test_masked_means(opset: int) -> None:
    if opset < 11:  # Equal takes integers already, MatMul needs no newer set
        assert onnx.defs.get_schema("Equal", opset).since_version <= opset
    found = fused(
        f"""m (int64[B, L] ids) => (float[B, 4] y) {{
            rows = Gather(table, ids) e = Equal(ids, pad) k = Not(e) mask = Cast<to = 1>(k)
            wide = {axes("Unsqueeze", "mask", 1, opset, 13)} product = MatMul(wide, rows)
            total = {axes("Squeeze", "product", 1, opset, 13)}
            count = {axes("ReduceSum", "mask", 1, opset, 13)} y = Div(total, count)
        }}""",
        CONSTANTS,
        opset=opset,
    )
    (bag,) = found.ops()
    assert isinstance(bag, rec.EmbeddingBagOp)
    assert bag.mode.data == "mean"
    found.check({"ids": np.array([[1, 0, 0], [2, 3, 0], [19, 1, 1]])})


@pytest.mark.parametrize("combine", ["Mul", "Add", "Concat<axis = 1>"])
@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_quotient_and_remainder(combine: str, kind: str) -> None:
    found = fused(
        f"""m ({kind}[B] ids) => (float[B, {8 if "Concat" in combine else 4}] y) {{
            q = Div(ids, n) r = Mod(ids, n) a = Gather(quotient, q) b = Gather(remainder, r)
            y = {combine}(a, b)
        }}""",
        {"quotient": floats(10, 4), "remainder": floats(7, 4, seed=1), "n": np.array(7, kind)},
    )
    assert found.counts()["embedding_bag"] == 2
    assert set(found.reasons().values()) == {"index preparation"}
    found.check({"ids": np.array([0, 69, 8, 33], kind)})


@pytest.mark.parametrize("hashed", [False, True])
def test_joint_tables(hashed: bool) -> None:
    start = "h = Mod(ids, n)" if hashed else "h = Identity(ids)"
    found = fused(
        f"""m (int64[B, 3] ids) => (float[B, 3, 4] y) {{ {start} i = Add(h, first) y = Gather(table, i) }}""",
        CONSTANTS | {"first": np.array([[0, 5, 12]]), "n": np.array([[5, 7, 8]])},
    )
    assert found.counts() == {"host": 1, "embedding_bag": 1}
    assert set(found.reasons().values()) == {"index preparation"}
    found.check({"ids": np.array([[4, 6, 7], [0, 0, 0]]) + (100 if hashed else 0)})


def test_tables_of_mixed_dimension() -> None:
    found = fused(
        "m (int64[B] ids) => (float[B, 4] y) { rows = Gather(thin, ids) y = MatMul(rows, w) }",
        {"thin": floats(30, 2), "w": floats(2, 4)},
    )
    assert found.counts() == {"embedding_bag": 1, "linear": 1}
    found.check({"ids": np.array([29, 0, 3])})


@pytest.mark.parametrize("mode", ["Sum", "Mean"])
def test_slots_of_several_ids(mode: str) -> None:
    """Rows of all slots in one Gather, reshaped to slots and reduced over the ids of each."""
    found = fused(
        f"""m (int64[B, 6] keys) => (float[B, 2, 4] y) {{
            rows = Gather(table, keys) slots = Reshape(rows, shape)
            y = {axes(f"Reduce{mode}", "slots", 2, 10, 13, "keepdims = 0")}
        }}""",
        CONSTANTS | {"shape": np.array([-1, 2, 3, 4])},
        opset=10,
    )
    assert found.counts()["embedding_bag"] == 1
    assert "host" not in found.counts()
    found.check({"keys": np.random.default_rng(2).integers(0, 20, (5, 6))})
