"""Bags spelled as loops: what matches, and what only looks like it."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.interpreter.evaluate import evaluate
from tests.transforms.recognise.fusing import Arrays, Fused, floats, fused

BIG = np.iinfo(np.int64).max
CONSTANTS: Arrays = {
    "table": floats(20, 4),
    "square": floats(4, 4),
    "true": np.array(True),
    "false": np.array(False),
    "k0": np.array([0]),
    "k1": np.array([1]),
    "k2": np.array([2]),
    "big": np.array([BIG]),
    "s0": np.array(0),
    "s1": np.array(1),
}
IDS = np.array([3, 7, 0, 19, 5, 5, 2], np.int64)
OFFSETS = np.array([0, 2, 3, 6], np.int64)


def loop(
    *,
    starts: str = "Concat<axis = 0>(offsets, n)",
    ends: str = "Slice(starts, k1, big, k0)",
    count: str = "Shape(ends)",
    start: str = "Gather(starts, i)",
    end: str = "Gather(ends, i)",
    pool: str = "ReduceSum<keepdims = 0>(rows, k0)",
    rows: str = "Gather(table, bag)",
    done: str = "Identity(true)",
    going: str = "true",
    opset: int = 18,
    inputs: str = "int64[nnz] ids, int64[B] offsets",
    extra: str = "",
) -> Fused:
    """The TorchScript form, with one part changed."""
    return fused(
        f"""m ({inputs}) => (float[M, 4] y{", float[N, 4] z, float[N, 4] u" if extra else ""}) {{
            {extra}
            n = Shape(ids)
            starts = {starts}
            ends = {ends}
            many = {count}
            trips = Squeeze(many, k0)
            y = Loop<body = body (int64 i, bool going) => (bool on, float[4] row) {{
                before = Sub(i, s1)
                first = {start}
                past = {end}
                from = Unsqueeze(first, k0)
                to = Unsqueeze(past, k0)
                bag = Slice(ids, from, to, k0)
                rows = {rows}
                row = {pool}
                on = {done}
            }}>(trips, {going})
        }}""",
        CONSTANTS,
        opset=opset,
    )


@pytest.mark.parametrize(
    ("pool", "mode"),
    [
        ("ReduceSum<keepdims = 0>(rows, k0)", "sum"),
        ("ReduceMean<keepdims = 0>(rows, k0)", "mean"),
        ("ReduceMax<keepdims = 0>(rows, k0)", "max"),
    ],
)
def test_torchscript_form(pool: str, mode: str) -> None:
    found = loop(pool=pool)
    (bag,) = found.ops()
    assert bag.properties["mode"].data == mode  # type: ignore[attr-defined]
    assert bag.properties["layout"].data == "offsets"  # type: ignore[attr-defined]
    found.check({"ids": IDS, "offsets": OFFSETS})


def test_last_offset_included() -> None:
    found = loop(starts="Identity(offsets)")
    (bag,) = found.ops()
    assert bag.properties["layout"].data == "offsets_end"  # type: ignore[attr-defined]
    found.check({"ids": IDS, "offsets": np.append(OFFSETS, 7)})


def test_empty_bags_give_zeros() -> None:
    for kind in ("Sum", "Mean"):
        found = loop(pool=f"Reduce{kind}<keepdims = 0>(rows, k0)")
        assert found.counts() == {"embedding_bag": 1}
        assert found.ctx.notes == []
        found.check({"ids": IDS, "offsets": np.array([0, 0, 3, 7])})


def test_maximum_of_an_empty_bag_is_noted() -> None:
    found = loop(pool="ReduceMax<keepdims = 0>(rows, k0)")
    assert "an empty bag gives zeros" in found.ctx.notes[0]
    rows = evaluate(found.module, found.ctx, {"ids": IDS, "offsets": np.array([0, 0, 3, 7])})["y"]
    np.testing.assert_array_equal(rows[[0, 3]], 0)


def test_rows_of_a_matrix_become_fixed_bags() -> None:
    found = fused(
        """m (int64[B, 3] x) => (float[B, 4] y) {
            shape = Shape(x)
            batch = Gather<axis = 0>(shape, s0)
            length = Gather<axis = 0>(shape, s1)
            total = Mul(batch, length)
            offsets = Range(s0, total, length)
            ids = Reshape(x, minus)
            n = Shape(ids)
            starts = Concat<axis = 0>(offsets, n)
            ends = Slice(starts, k1, big, k0)
            many = Shape(ends)
            trips = Squeeze(many)
            y = Loop<body = body (int64 i, bool going) => (bool on, float[4] row) {
                first = Gather(starts, i)
                past = Gather(ends, i)
                from = Unsqueeze(first, k0)
                to = Unsqueeze(past, k0)
                bag = Slice(ids, from, to, k0)
                rows = Gather(table, bag)
                row = ReduceSum<keepdims = 0>(rows, k0)
                on = Identity(going)
            }>(trips, true)
        }""",
        CONSTANTS | {"minus": np.array([-1])},
    )
    (bag,) = found.ops()
    assert bag.properties["layout"].data == "fixed"  # type: ignore[attr-defined]
    found.check({"x": np.arange(12).reshape(4, 3)})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"start": "Gather(ends, before)"}, "does not start where the offsets say"),  # ends[-1] for the first
        ({"end": "Gather(starts, i)"}, "does not end where the next one starts"),
        ({"count": "Shape(starts)"}, "does not run over all bags"),
        ({"rows": "Gather<axis = 1>(table, bag)"}, "not gathered along axis 0"),
        ({"pool": "ReduceProd<keepdims = 0>(rows, k0)"}, "not reduced by ReduceSum, ReduceMean or ReduceMax"),
        ({"pool": "ReduceSum<keepdims = 0>(rows, k1)"}, "not reduced along axis 0 alone"),
        ({"going": "false"}, "number of iterations is not known"),
        ({"done": "Not(going)"}, "number of iterations is not known"),
        ({"ends": "Slice(starts, k2, big, k0)"}, "does not end where the next one starts"),
    ],
)
def test_near_misses_stay_on_the_host_and_say_why(change: dict[str, str], reason: str) -> None:
    found = loop(**change)
    assert found.counts() == {"host": 1}
    assert any(reason in failure for failure in found.misses()), found.misses()


def test_bounds_made_by_other_arithmetic_are_prepared_on_the_host() -> None:
    found = loop(starts="Concat<axis = 0>(k0, offsets)")
    assert found.counts() == {"host": 1, "embedding_bag": 1}
    assert found.reasons() == {"Concat": "index preparation"}
    found.check({"ids": IDS, "offsets": OFFSETS + 1})


def test_bags_that_are_not_requests_stay_on_the_host() -> None:
    found = loop(
        inputs="int64[nnz] ids, int64[B] offsets, float[N, 4] x", extra="z = MatMul(x, square)\n u = Relu(z)"
    )
    assert found.counts() == {"linear": 1, "unary": 1, "host": 1}
    assert "bag-loop: there are B bags, not one per request" in found.misses()
    found.check({"ids": IDS, "offsets": OFFSETS, "x": floats(3, 4)})


def test_per_sample_weights_inside_the_loop() -> None:
    found = fused(
        """m (int64[nnz] ids, int64[B] offsets, float[nnz] scale) => (float[M, 4] y) {
            n = Shape(ids)
            starts = Concat<axis = 0>(offsets, n)
            ends = Slice(starts, k1, big, k0)
            many = Shape(ends)
            trips = Squeeze(many, k0)
            y = Loop<body = body (int64 i, bool going) => (bool on, float[4] row) {
                first = Gather(starts, i)
                past = Gather(ends, i)
                from = Unsqueeze(first, k0)
                to = Unsqueeze(past, k0)
                bag = Slice(ids, from, to, k0)
                part = Slice(scale, from, to, k0)
                column = Unsqueeze(part, k1)
                plain = Gather(table, bag)
                rows = Mul(plain, column)
                row = ReduceSum<keepdims = 0>(rows, k0)
                on = Identity(true)
            }>(trips, true)
        }""",
        CONSTANTS,
    )
    (bag,) = found.ops()
    assert len(bag.operands) == 3
    found.check({"ids": IDS, "offsets": OFFSETS, "scale": floats(7)})


def sequence(
    *,
    zero: str = "zero",
    last: str = "Slice(rows, from, total, k0)",
    limit: str = "many",
    new: str = "0",
    rows: str = "Identity(plain)",
    length: str = "nnz",
    wide: str = "4",
) -> Fused:
    """The torch.export form of a mean, with one part changed."""
    many = "seq(float[1, 4])"
    return fused(
        f"""m (int64[{length}] ids, int64[B] offsets) => (float[M, 4] y) {{
            plain = Gather(table, ids)
            rows = {rows}
            total = Shape(ids)
            bounds = Concat<axis = 0>(offsets, total)
            many = Size(offsets)
            none = SequenceEmpty()
            some = Less(s0, many)
            i_out, all = Loop<body = body (int64 it, bool going, int64 i, {many} seq)
                => (bool on, int64 next, {many} more) {{
                at = Reshape(i, minus)
                one = Add(at, s1)
                two = Add(one, s1)
                from = Slice(bounds, at, one)
                to = Slice(bounds, one, two)
                empty = Equal(from, to)
                row = If(empty) <
                    then_branch = then () => (float[1, {wide}] z) {{ z = Identity({zero}) }},
                    else_branch = other () => (float[1, 4] z) {{
                        final = Sub(many, s1)
                        is_last = Equal(i, final)
                        z = If(is_last) <
                            then_branch = t2 () => (float[1, 4] u) {{
                                mine = {last}
                                u = ReduceMean(mine, k0)
                            }},
                            else_branch = e2 () => (float[1, 4] u) {{
                                mine2 = Slice(rows, from, to, k0)
                                u = ReduceMean(mine2, k0)
                            }}
                        >
                    }}
                >
                more = SequenceInsert(seq, row)
                next = Add(i, s1)
                on = Less(next, {limit})
            }}>(, some, s0, none)
            y = ConcatFromSequence<axis = 0, new_axis = {new}>(all)
        }}""",
        CONSTANTS
        | {
            "minus": np.array([-1]),
            "zero": np.zeros((1, 4), np.float32),
            "one4": np.ones((1, 4), np.float32),
            "narrow": np.zeros((1, 2), np.float32),
            "deep": np.ones((7, 1, 1), np.float32),
        },
    )


def test_sequence_form() -> None:
    found = sequence()
    (bag,) = found.ops()
    assert bag.properties["mode"].data == "mean"  # type: ignore[attr-defined]
    found.check({"ids": IDS, "offsets": np.array([0, 2, 2, 6])})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"zero": "one4"}, "an empty bag does not give zeros"),
        ({"zero": "narrow", "wide": "2"}, "an empty bag is not as wide as the others"),
        ({"rows": "Mul(plain, deep)", "length": "7"}, "rows are multiplied by ones of another shape"),
        ({"last": "Slice(rows, from, k2, k0)"}, "does not end where the next one starts"),
        ({"limit": "s1"}, "the number of iterations is not known"),
        ({"new": "1"}, "stacked along a new axis"),
    ],
)
def test_sequence_near_misses(change: dict[str, str], reason: str) -> None:
    found = sequence(**change)
    assert found.counts() == {"host": 1}
    assert any(reason in failure for failure in found.misses()), found.misses()


def _weighted_first(axes: str) -> Fused:
    """Rows are scaled before the loop; the axes of ``Unsqueeze`` are the constant ``axes``."""
    return fused(
        f"""m (int64[nnz] ids, int64[B] offsets, float[nnz] scale) => (float[M, 4] y) {{
            plain = Gather(table, ids)
            column = Unsqueeze(scale, {axes})
            rows = Mul(plain, column)
            n = Shape(ids)
            starts = Concat<axis = 0>(offsets, n)
            ends = Slice(starts, k1, big, k0)
            many = Shape(ends)
            trips = Squeeze(many, k0)
            y = Loop<body = body (int64 i, bool going) => (bool on, float[4] row) {{
                first = Gather(starts, i)
                past = Gather(ends, i)
                from = Unsqueeze(first, k0)
                to = Unsqueeze(past, k0)
                bag = Slice(rows, from, to, k0)
                row = ReduceSum<keepdims = 0>(bag, k0)
                on = Identity(true)
            }}>(trips, true)
        }}""",
        CONSTANTS | {"none": np.zeros(0, np.int64)},
    )


def test_per_sample_weights_before_the_loop() -> None:
    found = _weighted_first("k1")
    (bag,) = found.ops()
    assert len(bag.operands) == 3
    found.check({"ids": IDS, "offsets": OFFSETS, "scale": floats(7)})


def test_weights_of_columns_are_not_weights_of_ids() -> None:
    """Without axes to unsqueeze, four ids of four columns each are scaled by column."""
    found = _weighted_first("none")
    assert "embedding_bag" not in found.counts()
    assert any("weights are not one per id" in failure for failure in found.misses()), found.misses()
    found.check({"ids": IDS[:4], "offsets": np.array([0, 2]), "scale": floats(4)})
