"""Symbolic shapes: the arithmetic of dimensions, and what the analysis proves of exporters' graphs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.func import ReturnOp

from cimc.analysis.shapes import dims as d
from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.interpreter.evaluate import main_function
from tests.transforms.recognise.fusing import Arrays, imported, model

SYMBOLS = ("a", "b")
VALUES = {"a": 3, "b": 5}
BIG = np.iinfo(np.int64).max

polynomials = st.recursive(
    st.integers(-4, 4) | st.sampled_from([d.symbol(s) for s in SYMBOLS]),
    lambda part: st.tuples(st.sampled_from([d.add, d.sub, d.mul]), part, part).map(
        lambda t: t[0](t[1], t[2])
    ),
    max_leaves=5,
)


def value(poly: d.Dim, values: dict[str, int] = VALUES) -> int:
    found = d.substitute(poly, values)
    assert isinstance(found, int)
    return found


@given(polynomials, polynomials)
def test_arithmetic_agrees_with_that_of_numbers(x: d.Dim, y: d.Dim) -> None:
    for apply, plain in ((d.add, int.__add__), (d.sub, int.__sub__), (d.mul, int.__mul__)):
        assert value(apply(x, y)) == plain(value(x), value(y))
    assert (d.sub(x, y) == 0) == (x == y)


@given(polynomials, polynomials)
def test_division_is_exact_or_refused(x: d.Dim, y: d.Dim) -> None:
    quotient = d.divide(d.mul(x, y), y)
    if quotient is not None:
        for a, b in itertools.product((1, 2, 7), repeat=2):
            values = {"a": a, "b": b}
            assert value(quotient, values) * value(y, values) == value(d.mul(x, y), values)


def test_equalities_are_followed_transitively() -> None:
    equal = d.Equalities()
    a, b, c = (d.symbol(s) for s in "abc")
    equal.equate(a, b)
    equal.equate(b, d.sub(c, 1))
    assert equal.resolve(a) == equal.resolve(b) == d.sub(c, 1)
    equal.equate(c, 4)
    assert equal.resolve(d.mul(a, 2)) == 6
    equal.equate(d.symbol("e"), d.add(d.symbol("e"), 1))
    assert equal.resolve(d.symbol("e")) == d.symbol("e")


def analysed(
    text: str, weights: Arrays | None = None, *, opset: int = 18
) -> tuple[ShapeAnalysis, list[str | None]]:
    """The analysis and the shapes of the outputs as text."""
    module, ctx = imported(model(text, weights, opset=opset))
    function = main_function(module)
    analysis = ShapeAnalysis(function, ctx)
    end = function.body.block.last_op
    assert isinstance(end, ReturnOp)
    shapes = [analysis.shape(v) for v in end.arguments]
    return analysis, [None if s is None else ", ".join(map(str, s)) for s in shapes]


CONSTANTS: Arrays = {
    "k0": np.array([0]), "k1": np.array([1]), "km1": np.array([-1]), "big": np.array([BIG]),
    "s0": np.array(0), "s1": np.array(1), "c16": np.array([16]), "c432": np.array([-1, 27, 16]),
    "half": np.float32(0.5),
    "two": np.array([0, -1, 8]), "grid": np.array([2, 3]), "three": np.array(3),
    "none": np.zeros(0, np.int64), "names": np.array(["a", "b", "c"], object),
}  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "body", "shape"),
    [
        ("float[B, 432] x", "y = Reshape(x, c432)", "B, 27, 16"),
        ("float[B, 432] x", "y = Reshape(x, two)", "B, 54, 8"),
        (
            "float[B, 432] x",
            "s = Shape(x)\n b = Gather(s, s0)\n u = Unsqueeze(b, k0)\n t = Concat<axis = 0>(u, km1, c16)\n"
            "y = Reshape(x, t)",
            "B, 27, 16",
        ),
        ("float[B, 4, 6] x", "y = Flatten<axis = 2>(x)", "4*B, 6"),
        ("float[B, 4] x", "s = Size(x)\n u = Unsqueeze(s, k0)\n y = ConstantOfShape(u)", "4*B"),
        ("float[B, 4] x", "s = Shape(x)\n p = ReduceProd<keepdims = 0>(s)\n y = Range(s0, p, three)", "?0"),
        ("float[B, 3] x", "s = Shape(x)\n p = ReduceProd<keepdims = 0>(s)\n y = Range(s0, p, three)", "B"),
        ("float[B] x", "n = Shape(x)\n c = Concat<axis = 0>(x, x)\n y = Slice(c, k1, big, k0)", "2*B - 1"),
        ("float[B, 5] x", "a, b, c = Split<axis = 1, num_outputs = 3>(x)\n y = Identity(c)", "B, 1"),
        ("float[B, 5] x", "y = Transpose(x)", "5, B"),
        ("float[B, 5] x", "y = Unsqueeze(x, none)", "B, 5"),
        ("float[B, 5] x", "s = Shape(x)\n y = Expand(half, s)", "B, 5"),
        ("float[B, 1] x", "y = Expand(x, grid)", "2, 3"),
        ("float[B, 2, 5] x", "y = ReduceMean<keepdims = 0>(x, km1)", "B, 2"),
        ("float[B, 2, 5] x, float[5, 3] w", "y = MatMul(x, w)", "B, 2, 3"),
        ("float[B, 5] x, int64[N] i", "y = Gather<axis = 1>(x, i)", "B, N"),
        ("float[B, 5] x", "n = NonZero(x)\n y = Transpose(n)", "?0, 2"),
        ("int64[B] i", "y = Gather(names, i)", "B"),
    ],
)
def test_shapes(inputs: str, body: str, shape: str) -> None:
    _, found = analysed(f"m ({inputs}) => (float[] y) {{ {body} }}", CONSTANTS)
    assert found == [shape]


def test_concatenation_unifies_what_exporters_leave_unnamed() -> None:
    analysis, found = analysed(
        """m (float[P, 3] x, float[Q, 4] z, float[R, 7] w) => (float[P, 7] y, float[R, 7] u) {
            y = Concat<axis = 1>(x, z)
            u = Concat<axis = 0>(w, w)
        }"""
    )
    assert found == ["P, 7", "2*R, 7"]
    assert {analysis.shape(a)[0] for a in analysis.function.body.block.args} == {  # type: ignore[index]
        d.symbol("P"),
        d.symbol("R"),
    }


def test_broadcasting_unifies_nothing() -> None:
    # Either extent may be 1, so nothing follows for the other.
    _, found = analysed("m (float[P, 3] x, float[Q, 3] z) => (float[P, 3] y) { y = Add(x, z) }")
    assert found == ["?0, 3"]


def test_a_contradiction_between_file_and_arithmetic_leaves_the_shape_open() -> None:
    _, found = analysed(
        "m (float[B, 6] x) => (float[B] y) { y = Reshape(x, grid3) }", {"grid3": np.array([-1, 3])}
    )
    assert found == [None]
    _, found = analysed("m (float[B, 6] x) => (float[B, 7] y) { y = Relu(x) }")
    assert found == ["B, ?0"]


def test_axes_that_are_not_known_leave_the_shape_open() -> None:
    _, found = analysed("m (float[1, 3, 1] x, int64[1] a) => (float[] y) { y = Squeeze(x, a) }")
    assert found == [None]


def test_scan_output_has_a_row_per_iteration() -> None:
    _, found = analysed(
        """m (float[B, 3] x) => (float[B, 3] y) {
            s = Shape<end = 1>(x)
            n = Squeeze(s)
            y = Loop<body = body (int64 i, bool c) => (bool on, float[3] row) {
                row = Gather(x, i)
                on = Identity(yes)
            }>(n, yes)
        }""",
        {"yes": np.array(True)},
    )
    assert found == ["B, 3"]


@pytest.mark.parametrize(
    ("text", "batch"),
    [
        ("m (float[B, 3] x) => (float[B, 3] y) { y = Relu(x) }", "B"),
        ("m (float[4, 3] x) => (float[4, 3] y) { y = Relu(x) }", "4"),
        ("m (float[B, 4] x) => (float[M, 2] y) { y = Reshape(x, t) }", "B"),
        ("m (float[B, 4] x) => (float[1, 4] y) { y = ReduceSum(x, k0) }", "B"),
        ("m (int64[N] ids, int64[M] more) => (float[K] y) { n = NonZero(ids)\n y = Squeeze(n) }", "None"),
        ("m (int64[V] v, int64[B] o) => (int64[M] y) { y = Slice(o, k1, big, k0) }", "B - 1"),
        ("m (int64[B, 3] ids) => (float y) { n = NonZero(ids)\n y = Cast<to = 1>(n) }", "B"),
        ("m (int64[L, B] ids) => (float y) { n = NonZero(ids)\n y = Cast<to = 1>(n) }", "None"),
        ("m (int64[N] ids, float[4] w) => (float[B, 3] y) { y = com.microsoft.MurmurHash3(ids) }", "4"),
        ("m (int64[B] ids, int64[N] more) => (float[B, 3] y) { y = com.microsoft.MurmurHash3(ids) }", "B"),
    ],
)
def test_batch(text: str, batch: str) -> None:
    analysis, _ = analysed(text, CONSTANTS | {"t": np.array([-1, 2])})
    assert str(analysis.batch) == batch


ODD = "h = com.microsoft.Inverse(x)\n z = Gemm(h, w)\n y = Sigmoid(z) }"


@pytest.mark.parametrize(
    ("stated", "shape"),
    [("[B, 4]", "B, 4"), ("[C, 4]", "?0, 4"), ("[4, B]", "4, 4"), ("[M, N]", "?0, 4")],
)
def test_the_file_says_what_is_behind_an_operator_without_a_rule(stated: str, shape: str) -> None:
    """By names of the inputs' dimensions alone, and only where nothing else is known."""
    _, found = analysed(
        f"m (float[B, 6] x) => (float{stated} y) {{ {ODD}", {"w": np.ones((3, 4), np.float32)}
    )
    assert found == [shape]


def test_what_follows_from_the_inputs_is_not_what_the_file_says() -> None:
    _, found = analysed("m (float[B, 6] x, float[C] z) => (float[C, 6] y) { y = Relu(x) }")
    assert found == ["B, 6"]


def test_types_are_refined_to_what_is_known() -> None:
    module, ctx = imported(
        model(
            "m (float[B, 432] x) => (float[K, L, M] y) { s = Shape<end = 1>(x)\n"
            "t = Concat<axis = 0>(s, km1, c16)\n y = Reshape(x, t) }",
            CONSTANTS,
        )
    )
    function = main_function(module)
    ShapeAnalysis(function, ctx).refine_types()
    end = function.body.block.last_op
    assert isinstance(end, ReturnOp)
    assert str(end.arguments[0].type) == "tensor<?x27x16xf32>"
