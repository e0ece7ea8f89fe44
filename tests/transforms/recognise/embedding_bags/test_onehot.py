"""Segment reductions as older tf2onnx spells them: products with one-hot rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.host.runtime import run_onnx
from cimc.ir import rec
from tests.transforms.recognise.embedding_bags.test_segment import CONSTANTS as SEGMENT_CONSTANTS
from tests.transforms.recognise.embedding_bags.test_segment import SPLITS
from tests.transforms.recognise.fusing import Arrays, floats, fused

CONSTANTS: Arrays = SEGMENT_CONSTANTS | {
    "levels": np.array([0, 1], np.float32),
    "others": np.array([0, 2], np.float32),
    "f1": np.array(1, np.float32),
    "lowest1": np.array(-np.inf, np.float32),
    "keep": np.array([0, -1]),
}
HOT = "seg64 = Cast<to = 7>(seg) hot = OneHot<axis = 0>(seg64, depth, levels)"
FORMS = {
    "sum": f"{HOT} rows2 = Reshape(rows, keep) y = MatMul(hot, rows2)",
    "weighted": f"{HOT} wc = Unsqueeze(w, last) scaled = Mul(rows, wc) y = MatMul(hot, scaled)",
    "mean": f"""{HOT} total = MatMul(hot, rows) c = ReduceSum<keepdims = 0>(hot, a1) c1 = Max(c, f1)
        cu = Unsqueeze(c1, a1) y = Div(total, cu)""",
    "max": f"""{HOT} hb = Cast<to = 9>(hot) hu = Unsqueeze(hb, a2) picked = Where(hu, rows, lowest1)
        y = ReduceMax<axes = [1], keepdims = 0>(picked)""",
}
SEGMENTS = np.array([4, 0, 2, 2, 0, 2, 4, 1, 3, 5])


def text(form: str, kind: str = "int64", before: str = "rows = Gather(table, ids)") -> str:
    return f"""m (int64[N] ids, {kind}[N] seg, float[N] w, float[B, 4] x) => (float[B, 4] z) {{
        s = Shape(x) depth = Slice(s, a0, a1) {before} {form} z = Add(y, x) }}"""


def inputs(kind: str = "int64") -> Arrays:
    rng = np.random.default_rng(1)
    return {
        "ids": rng.integers(0, 20, len(SEGMENTS)),
        "seg": SEGMENTS.astype(kind),
        "w": rng.standard_normal(len(SEGMENTS)).astype(np.float32),
        "x": floats(6, 4),
    }


@pytest.mark.parametrize("kind", ["int32", "int64"])
@pytest.mark.parametrize("form", FORMS)
def test_segment_numbers_of_any_origin(form: str, kind: str, tmp_path: Path) -> None:
    found = fused(text(FORMS[form], kind), CONSTANTS | {"a2": np.array([2])}, opset=17)
    (bag,) = found.ops("rec.embedding_bag")
    assert isinstance(bag, rec.EmbeddingBagOp)
    assert bag.mode.data == {"weighted": "sum"}.get(form, form)
    assert {h.reason for h in found.ctx.remarks.recognition.host} == {"index preparation"}
    given = inputs(kind)
    found.check(given)
    onnx.save(found.proto, tmp_path / "m.onnx")
    program = cimc.compile(tmp_path / "m.onnx", calib=given)
    assert check_outputs(run_onnx(found.proto, given), program.run(given).outputs, Bound()).passed


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_operator_sets(opset: int) -> None:
    form = FORMS["sum"].replace("Reshape(rows, keep)", "Identity(rows)")
    found = fused(text(form), CONSTANTS, opset=opset)
    assert found.counts()["embedding_bag"] == 1
    found.check(inputs())


def test_segments_out_of_range_and_from_the_end() -> None:
    """OneHot ignores numbers beyond its depth, and counts negative ones from the end."""
    found = fused(text(FORMS["sum"]), CONSTANTS, opset=17)
    given = inputs() | {"seg": np.array([9, 0, -1, 2, -6, 2, 4, 6, -7, 5])}
    found.check(given)
    assert found.counts()["embedding_bag"] == 1


@pytest.mark.parametrize("form", ["sum", "max"])
def test_row_splits_are_offsets(form: str) -> None:
    splits = SPLITS.replace("LESS", "Less").replace("segments = Unsqueeze(segment_count, a0)", "")
    found = fused(
        f"""m (int64[N] ids, int64[S] splits, float[B, 4] x) => (float[B, 4] z) {{
            rows = Gather(table, ids) {splits} depth = Identity(segment_count)
            {FORMS[form]} z = Add(y, x) }}""",
        CONSTANTS | {"a2": np.array([2])},
        opset=17,
    )
    given = {"ids": np.arange(9), "splits": np.array([0, 2, 3, 9]), "x": floats(3, 4)}
    found.check(given)


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (FORMS["sum"].replace("levels", "others"), "not zeros and ones"),
        (FORMS["sum"].replace("axis = 0", "axis = -1").replace("MatMul(hot", "MatMul(turned").replace(
            "rows2 =", "turned = Transpose(hot) rows2 ="), "no factor"),
        (
            FORMS["mean"].replace("hot, a1)", "h2, a1)").replace("c =", "h2 = Neg(hot) c ="),
            "not the number of rows",
        ),
        (FORMS["max"].replace("lowest1", "f1"), "not replaced by the lowest"),
    ],
)  # fmt: skip
def test_near_misses_stay_right(form: str, reason: str) -> None:
    found = fused(text(form), CONSTANTS | {"a2": np.array([2])}, opset=17)
    if reason != "not the number of rows":  # the sum below that division is one all the same
        assert all(b.properties["layout"].data == "fixed" for b in found.ops("rec.embedding_bag"))
    assert reason == "no factor" or any(reason in m for m in found.misses()) or found.reasons()
    found.check(inputs())


def test_fewer_row_splits_than_requests_are_counted() -> None:
    """The depth of OneHot says how many segments there are; the last ones may have no rows."""
    splits = SPLITS.replace("LESS", "Less").replace("segments = Unsqueeze(segment_count, a0)", "")
    found = fused(
        f"""m (int64[N] ids, int64[S] splits, float[B, 4] x) => (float[B, 4] z) {{
            rows = Gather(table, ids) {splits} s = Shape(x) depth = Slice(s, a0, a1)
            {FORMS["sum"]} z = Add(y, x) }}""",
        CONSTANTS,
        opset=17,
    )
    (bag,) = found.ops("rec.embedding_bag")
    assert isinstance(bag, rec.EmbeddingBagOp)
    assert bag.layout.data == "offsets"
    found.check({"ids": np.arange(9), "splits": np.array([0, 2, 3, 9]), "x": floats(5, 4)})
