"""Segment reductions as tf2onnx spells them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.recognise.fusing import Arrays, floats, fused

CONSTANTS: Arrays = {
    "table": floats(20, 4),
    "zeros": np.zeros((1, 4), np.float32),
    "lowest": np.full((1, 4), -np.inf, np.float32),
    "a0": np.array([0]),
    "a1": np.array([1]),
    "last": np.array([-1]),
    "n0": np.array(0),
    "n1": np.array(1),
    "end": np.array([2**31 - 1]),
    "i0": np.array(0, np.int32),
}
SCATTERED = """
    count = Shape(seg) n = Squeeze(count, a0) order = Range(n0, n, n1)
    top, where = TopK<axis = 0, largest = 0, sorted = 1>(seg, count)
    v, f, inverse, sizes = Unique<axis = 0, sorted = 1>(top)
    each = Gather(sizes, inverse) place = Mod(order, each)
    longest = ReduceMax<axes = [0], keepdims = 1>(sizes)
    p = Unsqueeze(top, last) q = Unsqueeze(place, last) index = Concat<axis = 1>(p, q)
    shape = Concat<axis = 0>(segments, longest) fill = ConstantOfShape<value = int64[1] {-1}>(shape)
    scattered = ScatterND(fill, index, where) padded = Concat<axis = 0>(rows, NEUTRAL)
    wide = Gather(padded, scattered)
"""
SUM = SCATTERED.replace("NEUTRAL", "zeros") + "y = ReduceSum<keepdims = 0>(wide, a1)"


def test_segment_numbers_of_any_origin() -> None:
    found = fused(
        f"""m (int64[N] ids, int64[N] seg, float[B, 4] x) => (float[B, 4] z) {{
            s = Shape(x) segments = Slice(s, a0, a1) rows = Gather(table, ids) {SUM} z = Add(y, x)
        }}""",
        CONSTANTS,
        opset=17,
    )
    assert found.counts() == {"host": 1, "embedding_bag": 1, "binary": 1}
    assert {h.reason for h in found.ctx.remarks.recognition.host} == {"index preparation"}
    inputs = {
        "ids": np.array([3, 1, 4, 1, 5, 9, 2]),
        "seg": np.array([4, 0, 2, 2, 0, 2, 4]),
        "x": floats(6, 4),
    }
    found.check(inputs)


SPLITS = """
    low = Slice(splits, a0, last, a0) high = Slice(splits, a1, end, a0) lengths = Sub(high, low)
    many = Shape(splits) m = Squeeze(many, a0) segment_count = Sub(m, n1)
    segments = Unsqueeze(segment_count, a0)
    numbers = Range(n0, segment_count, n1) column = Unsqueeze(numbers, a1)
    short = Cast<to = 6>(lengths) most = ReduceMax<axes = [0], keepdims = 0>(short) top0 = Max(i0, most)
    big = Cast<to = 7>(top0) bigs = Unsqueeze(big, a0) repeats = Concat<axis = 0>(a1, bigs)
    tiled = Tile(column, repeats) flat = Reshape(tiled, last)
    positions = Range(n0, big, n1) pf = Cast<to = 1>(positions)
    lc = Unsqueeze(lengths, last) lf = Cast<to = 1>(lc)
    inside = LESS(pf, lf) mask = Reshape(inside, last) hits = NonZero(mask) turned = Transpose(hits)
    chosen = Squeeze(turned, a1) seg = Gather(flat, chosen)
"""


@pytest.mark.parametrize("kind", ["Sum", "Max"])
def test_row_splits_are_offsets(kind: str) -> None:
    neutral = "zeros" if kind == "Sum" else "lowest"
    reduce = (
        "y = ReduceSum<keepdims = 0>(wide, a1)"
        if kind == "Sum"
        else "y = ReduceMax<axes = [1], keepdims = 0>(wide)"
    )
    found = fused(
        f"""m (int64[N] ids, int64[S] splits) => (float[B, 4] y) {{
            {SPLITS.replace("LESS", "Less")} rows = Gather(table, ids)
            {SCATTERED.replace("NEUTRAL", neutral)} {reduce}
        }}""",
        CONSTANTS,
        opset=17,
    )
    assert found.counts() == {"embedding_bag": 1}
    assert found.reasons() == {}
    splits = [0, 3, 3, 7] if kind == "Sum" else [0, 3, 4, 7]
    found.check({"ids": np.array([3, 1, 4, 1, 5, 9, 2]), "splits": np.array(splits)})


def test_other_repetitions_are_counted_on_the_host() -> None:
    found = fused(
        f"""m (int64[N] ids, int64[S] splits) => (float[B, 4] y) {{
            {SPLITS.replace("LESS", "LessOrEqual")} rows = Gather(table, ids) {SUM}
        }}""",
        CONSTANTS,
        opset=17,
    )
    assert found.counts() == {"host": 1, "embedding_bag": 1}
    found.check({"ids": np.array([3, 1, 4, 1, 5, 9, 2]), "splits": np.array([0, 1, 3, 4])})


def test_a_row_at_the_end_that_counts() -> None:
    found = fused(
        f"""m (int64[N] ids, int64[N] seg, float[B, 4] x) => (float[B, 4] y) {{
            s = Shape(x) segments = Slice(s, a0, a1) rows = Gather(table, ids) {SUM}
        }}""",
        CONSTANTS | {"zeros": np.ones((1, 4), np.float32)},
        opset=17,
    )
    assert "embedding_bag" not in found.counts()
    assert "bag-segment: the row at the end is not neutral" in found.misses()


@pytest.mark.parametrize("reduction", ["add", "mul"])
def test_rows_that_are_not_just_written(reduction: str) -> None:
    """A rule that reads of a ScatterND only its operands must not take one that adds to what is there."""
    scattered = SUM.replace("ScatterND(", f'ScatterND<reduction = "{reduction}">(')
    found = fused(
        f"""m (int64[N] ids, int64[N] seg, float[B, 4] x) => (float[B, 4] y) {{
            s = Shape(x) segments = Slice(s, a0, a1) rows = Gather(table, ids) {scattered}
        }}""",
        CONSTANTS,
        opset=17,
    )
    assert "embedding_bag" not in found.counts()
    assert "bag-segment: positions are not just written" in found.misses()
    assert "ScatterND" in found.reasons()
    found.check({"ids": np.array([3, 1, 4]), "seg": np.array([0, 2, 2]), "x": floats(3, 4)})
