"""Positions that the data give, one-hot rows, triangles, and angles."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.interpreter.evaluate import evaluate
from tests.transforms.recognise.fusing import Arrays, floats, fused

WEIGHTS: Arrays = {"w": floats(4, 4), "one": np.array(1), "a1": np.array([1]), "shape": np.array([-1, 1, 1])}
WIDE: Arrays = {"wide": np.array([1, 1, 4]), "zero": np.array(0), "a_1": np.array([-1])}


def behind(text: str, inputs: str, weights: Arrays | None = None, out: str = "float[M, K]") -> str:
    return f"m ({inputs}) => ({out} y) {{ h = MatMul(x, w) {text} }}"


@pytest.mark.parametrize("element", ["int32", "int64"])
def test_one_state_by_length(element: str) -> None:
    """As RecBole does: positions expanded over the features."""
    text = behind(
        """i = Reshape(p, shape) j = Expand(i, wide) z = GatherElements<axis = 1>(h, j) y = Squeeze(z, a1)""",
        f"float[B, 6, 4] x, {element}[B] p",
    )
    found = fused(text, WEIGHTS | WIDE)
    assert found.counts()["reduce"] == 1
    assert set(found.reasons().values()) <= {"index preparation"}
    found.check({"x": floats(5, 6, 4), "p": np.array([0, 5, 3, -1, -6], element)})


def test_several_positions() -> None:
    text = behind(
        "y = GatherElements<axis = -2>(h, p)", "float[B, 6, 4] x, int64[B, 3, 4] p", out="float[B, 3, 4]"
    )
    found = fused(text, WEIGHTS)
    assert "host" not in found.counts()
    positions = np.random.default_rng(0).integers(-6, 6, (5, 3, 4))
    found.check({"x": floats(5, 6, 4), "p": positions})


@pytest.mark.parametrize(
    ("text", "inputs", "reason"),
    [
        ("y = GatherElements<axis = 0>(h, p)", "float[B, 6, 4] x, int64[B, 6, 4] p", "axis 0, the batch"),
        (
            "y = GatherElements<axis = 1>(h, p)",
            "float[B, 6, 4] x, int64[B, 3, 2] p",
            "over the other axes whole",
        ),
        ("y = GatherND(h, p)", "float[B, 6, 4] x, int64[B, 1] p", "selects among all requests"),
        (
            "y = GatherND<batch_dims = 1>(h, p)",
            "float[B, 6, 4] x, int64[B, 2] p",
            "not one position per request",
        ),
    ],
)
def test_selections_that_are_left_alone(text: str, inputs: str, reason: str) -> None:
    found = fused(behind(text, inputs, out="float[M, K, N]" if "Elements" in text else "float[M]"), WEIGHTS)
    assert any(reason in why for why in found.reasons().values()), found.reasons()


def test_one_position_per_request() -> None:
    text = behind("p = Unsqueeze(i, a1) y = GatherND<batch_dims = 1>(h, p)", "float[B, 6, 4] x, int64[B] i")
    found = fused(text, WEIGHTS)
    assert "host" not in found.counts()
    found.check({"x": floats(3, 6, 4), "i": np.array([5, 0, -2])})


@pytest.mark.parametrize(("start", "on_chip"), [("zero", True), ("one", False)])
def test_one_position_beside_the_number_of_the_request(start: str, on_chip: bool) -> None:
    """``x[arange(B), i]``; another start selects from other requests."""
    text = behind(
        f"""s = Shape<start = 0, end = 1>(x) n = Squeeze(s) m = Add(n, {start}) r = Range({start}, m, one)
            rows = Unsqueeze(r, a_1) p = Unsqueeze(i, a_1) both = Concat<axis = -1>(rows, p)
            y = GatherND(h, both)""",
        "float[B, 6, 4] x, int64[B] i",
    )
    found = fused(text, WEIGHTS | WIDE)
    assert ("GatherND" not in found.reasons()) == on_chip
    if on_chip:
        found.check({"x": floats(3, 6, 4), "i": np.array([5, 0, -2])})


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("levels", [[0, 1], [-0.5, 2]])
def test_one_hot_rows(axis: int, levels: list[float]) -> None:
    found = fused(
        f"""m (int64[B, 4] i, float[B, 4] x) => (float[M, K, N] y) {{
            h = MatMul(x, w) c = Unsqueeze(h, a1) z = OneHot<axis = {axis}>(i, depth, levels) y = Mul(z, c)
        }}""",
        WEIGHTS | {"depth": np.array(4), "levels": np.array(levels, np.float32)},
    )
    assert "host" not in found.counts()
    positions = np.array([[0, 1, 2, 3], [-1, -4, -5, 4], [3, 3, 0, 9]])
    found.check({"i": positions, "x": floats(3, 4)})


def test_one_hot_rows_of_the_batch_stay_on_the_host() -> None:
    found = fused(
        """m (int64[B] i, float[B, 4] x) => (float[4, 4] y) {
            h = MatMul(x, w) z = OneHot<axis = 0>(i, depth, levels) y = MatMul(z, h)
        }""",
        WEIGHTS | {"depth": np.array(4), "levels": np.array([0, 1], np.float32)},
    )
    assert found.reasons()["OneHot"] == "the rows are not one per request"


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("k", [-1, 0, 2])
def test_triangles(upper: int, k: int) -> None:
    text = behind(f"y = Trilu<upper = {upper}>(h, k)", "float[B, 3, 6, 4] x", out="float[B, 3, 6, 4]")
    found = fused(text, WEIGHTS | {"k": np.array(k)})
    assert "host" not in found.counts()
    found.check({"x": floats(2, 3, 6, 4)})


def test_triangles_of_requests_stay_on_the_host() -> None:
    found = fused(behind("y = Trilu(h)", "float[B, 4] x", out="float[B, 4]"), WEIGHTS)
    assert found.reasons() == {"Trilu": "the batch is an axis of the triangle"}


@pytest.mark.parametrize("op", ["Sin", "Cos", "Atan"])
def test_angles(op: str) -> None:
    found = fused(
        f"m (float[B, 1] x) => (float[B, 1] y) {{ h = MatMul(x, i) z = {op}(h) y = MatMul(z, i) }}",
        {"i": np.eye(1, dtype=np.float32)},
    )
    assert "host" not in found.counts()
    x = np.concatenate(
        [np.linspace(-30, 30, 5001), np.linspace(-25e3, 25e3, 5001), np.arange(-8, 9) * np.pi / 4]
    )
    x = np.concatenate([x, [0, 1e-30, -1e-6, 1, -1]]).astype(np.float32).reshape(-1, 1)
    exact = {"Sin": np.sin, "Cos": np.cos, "Atan": np.arctan}[op](x.astype(np.float64))
    actual = evaluate(found.module, found.ctx, {"x": x})["y"]
    np.testing.assert_allclose(actual, exact, rtol=0, atol=3e-7)
    small = np.abs(x) < 1e-5
    if op != "Cos":
        np.testing.assert_allclose(actual[small], exact[small], rtol=1e-6)
