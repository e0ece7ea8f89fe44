"""Shape rules of loops, branches and sequences: how often a loop runs, against onnxruntime."""

from __future__ import annotations

import pytest

from cimc.analysis.shapes.rules.control_flow import body_of, trips_of, yielded
from cimc.ir.onnx import dialect as onnx
from tests.analysis.shapes.rules.onnxruntime_oracle import analysed, said
from tests.transforms.recognise.fusing import model

BODY = "b (int64 i, bool c, float[B, 4] h) => (bool d, float[B, 4] g, float[4] row)"
STEP = "d = Identity(c)\n g = Add(h, h)\n row = ReduceSum<keepdims = 0>(h, k0)"


def loop(setup: str, trips: str, condition: str, body: str = STEP, head: str = BODY) -> str:
    """A loop that carries ``x`` and stacks a row per iteration as ``y``."""
    return (
        f"m (float[B, 4] x) => (float[] y, float[] z) <int64 s0 = {{0}}, int64 s1 = {{1}}, int64 s3 = {{3}}, "
        f"int64 sm2 = {{-2}}, int64[1] k0 = {{0}}, bool yes = {{1}}, bool no = {{0}}> "
        f"{{ {setup}\n z, y = Loop<body = {head} {{ {body} }}>({trips}, {condition}, x) }}"
    )


@pytest.mark.parametrize(
    ("setup", "trips", "condition", "shape"),
    [
        ("", "s3", "yes", "3, 4"),
        ("", "s3", "", "3, 4"),
        ("", "s0", "yes", "0, 4"),
        ("", "sm2", "yes", "0, 4"),
        ("", "s3", "no", "?, 4"),
        ("s = Shape(x)\n n = Gather(s, s0)", "n", "yes", "B, 4"),
        ("s = Shape(x)\n a = Gather(s, s0)\n n = Sub(a, s1)", "n", "yes", "B - 1, 4"),
        ("s = Shape(x)\n a = Gather(s, s0)\n n = Sub(a, s3)", "n", "yes", "?, 4"),
    ],
)
def test_a_loop_that_counts(setup: str, trips: str, condition: str, shape: str) -> None:
    """What is carried keeps its rank; of its extents nothing is said."""
    assert said(loop(setup, trips, condition)) == [shape, "?, ?"]


def test_a_loop_that_may_end_early_is_of_no_known_length() -> None:
    body = "d = Less(i, s1)\n g = Add(h, h)\n row = ReduceSum<keepdims = 0>(h, k0)"
    assert said(loop("", "s3", "yes", body))[0] == "?, 4"


def test_a_carried_value_of_another_rank_is_of_no_known_shape() -> None:
    body = "d = Identity(c)\n g = Unsqueeze(h, k0)\n row = Cast<to = 1>(i)"
    head = "b (int64 i, bool c, float[] h) => (bool d, float[] g, float row)"
    assert said(loop("", "s3", "yes", body, head)) == ["3", "unknown"]


def test_a_counter_in_the_condition_counts() -> None:
    head = "b (int64 i, bool c, int64 n) => (bool d, int64 after, float[4] row)"
    body = "after = Add(n, s1)\n d = Less(after, size)\n row = ReduceSum<keepdims = 0>(x, k0)"
    text = loop("s = Shape(x)\n size = Gather(s, s0)\n go = Less(s0, size)", "", "go", body, head)
    text = text.replace("(, go, x)", "(, go, s0)").replace("float[] z", "int64[] z")
    assert said(text)[0] == "B, 4"
    analysis, (y, _) = analysed(model(text))
    assert isinstance(y.owner, onnx.NodeOp)
    trips = trips_of(y.owner, analysis)
    assert str(trips.count) == "B"
    block = body_of(y.owner)
    assert trips.index == (block.args[0], block.args[2])
    assert len(yielded(block)) == 3


def branch(then: str, other: str) -> str:
    text = (
        "m (float[B, 4] x, bool c) => (float[] y) <int64[1] k0 = {0}, int64[1] k1 = {1}> "
        f"{{ y = If<then_branch = t () => (float[] p) {{ p = {then} }}, "
        f"else_branch = e () => (float[] q) {{ q = {other} }}>(c) }}"
    )
    return said(text)[0]


def test_a_branch_gives_what_both_give() -> None:
    assert branch("Relu(x)", "Neg(x)") == "B, 4"
    assert branch("ReduceSum(x, k0)", "ReduceSum(x, k1)") == "?, ?"
    assert branch("ReduceSum(x, k0)", "ReduceSum<keepdims = 0>(x, k0)") == "unknown"


@pytest.mark.parametrize(
    ("join", "shape"),
    [
        ("axis = 0", "4*B"),
        ("axis = 0, new_axis = 1", "B, 4"),
        ("axis = 1, new_axis = 1", "unknown"),
    ],
)
def test_a_sequence_grows_by_a_tensor_an_iteration(join: str, shape: str) -> None:
    text = (
        "m (float[B, 4] x) => (float[] y) <int64 s0 = {0}, bool yes = {1}> { s = Shape(x)\n"
        "n = Gather(s, s0)\n e = SequenceEmpty<dtype = 1>()\n"
        "f = Loop<body = b (int64 i, bool c, seq(float[]) h) => (bool d, seq(float[]) g) {"
        " d = Identity(c)\n row = Gather(x, i)\n g = SequenceInsert(h, row) }>(n, yes, e)\n"
        f"y = ConcatFromSequence<{join}>(f) }}"
    )
    assert said(text) == [shape]
