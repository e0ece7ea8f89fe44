"""Bags that are additions to rows of zeros: index_add and scatter_add, as PyTorch spells them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.errors import CimcError
from cimc.host.runtime import run_onnx
from tests.transforms.recognise.fusing import Arrays, Fused, floats, fused

CONSTANTS: Arrays = {
    "table": floats(20, 4), "a0": np.array([0]), "a1": np.array([1]), "last": np.array([-1]),
    "wide": np.array([1, 4]), "four": np.array([4]), "zero": np.array(0.0, np.float32),
    "half": np.array(0.5, np.float32), "a00": np.array([0, 0]),
}  # fmt: skip
BASE = "s = Shape(x) b = Slice(s, a0, a1) dims = Concat<axis = 0>(b, four) base = Expand(FILL, dims)"
FORMS = {
    "index_add": 'column = Unsqueeze(seg, last) y = ScatterND<reduction = "REDUCTION">(base, column, rows)',
    "scatter_add": """
        column = Unsqueeze(seg, last) index = Expand(column, wide) all = Shape(index)
        cut = Slice(rows, a00, all)
        y = ScatterElements<axis = 0, reduction = "REDUCTION">(base, index, cut)""",
}


def built(form: str, rows: str = "rows = Gather(table, ids)", fill: str = "zero", how: str = "add") -> Fused:
    text = f"""m (int64[N] ids, int64[N] seg, float[B, 4] x, float[N] w) => (float[B, 4] z) {{
        {BASE.replace("FILL", fill)} {rows} {FORMS[form].replace("REDUCTION", how)} z = Add(y, x)
    }}"""
    return fused(text, CONSTANTS, opset=18)


def inputs(seg: list[int], batch: int = 6) -> Arrays:
    rng = np.random.default_rng(len(seg))
    return {
        "ids": rng.integers(0, 20, len(seg)),
        "seg": np.array(seg, np.int64),
        "x": floats(batch, 4),
        "w": floats(len(seg)),
    }


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "rows", ["rows = Gather(table, ids)", "g = Gather(table, ids) c = Unsqueeze(w, last) rows = Mul(g, c)"]
)
def test_additions_to_zeros_are_bags(form: str, rows: str) -> None:
    found = built(form, rows)
    (bag,) = found.ops("rec.embedding_bag")
    assert bag.mode.data == "sum"  # type: ignore[attr-defined]
    assert {h.reason for h in found.ctx.remarks.recognition.host} == {"index preparation"}
    found.check(inputs([4, 0, 2, 2, 0, 2, 4]))
    found.check(inputs([0, 1, 1, 5]))


@settings(max_examples=25, deadline=None)
@given(batch=st.integers(1, 5), data=st.data())
def test_any_segments(batch: int, data: st.DataObject) -> None:
    seg = data.draw(st.lists(st.integers(-batch, batch - 1), min_size=1, max_size=9))
    for form in FORMS:
        built(form).check(inputs(seg, batch))


@pytest.mark.parametrize("form", FORMS)
def test_batches_of_no_requests(form: str) -> None:
    built(form).check(inputs([], batch=0))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seg", [[0, 6], [-7, 1]])
def test_segments_out_of_range_are_refused_as_by_the_model(form: str, seg: list[int]) -> None:
    found = built(form)
    for run in (lambda: run_onnx(found.proto, inputs(seg)), lambda: found.check(inputs(seg))):
        with pytest.raises(CimcError) as caught:
            run()
        assert caught.value.code == "host.onnxruntime"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("fill", "how", "why"),
    [
        ("half", "add", "what rows are added to is not zeros"),
        ("zero", "max", "nothing is added up"),
        ("zero", "none", "nothing is added up"),
    ],
)
def test_what_is_no_sum(form: str, fill: str, how: str, why: str) -> None:
    found = built(form, fill=fill, how=how)
    assert not found.ops("rec.embedding_bag")
    found.check(inputs([4, 0, 2, 1]))
    assert how != "add" or f"bag-scattered: {why}" in found.misses()
