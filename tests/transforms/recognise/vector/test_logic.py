"""Comparisons, truth values, selections and triangles on the chip, with onnxruntime's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.recognise.anchored import behind_layer, on_chip, why
from tests.transforms.recognise.fusing import Arrays, floats

WEIGHTS: Arrays = {
    "half": np.float32(0.5), "row": np.linspace(-1, 1, 4, dtype=np.float32), "zero": np.float32(0),
    "yes": np.array([[True, False, True, False]]), "s1": np.array(1), "sm1": np.array(-1),
    "many": np.ones((1, 2, 4), np.float32),
}  # fmt: skip


def values() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Numbers among which some are equal to 0.5 or 0."""
    x = floats(3, 4)
    x[0, :2], x[1, 0] = 0.5, 0.0
    return x


@pytest.mark.parametrize("kind", ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"])
@pytest.mark.parametrize("operands", ["h, half", "half, h", "h, row", "h, x"])
def test_comparisons(kind: str, operands: str) -> None:
    found = on_chip(behind_layer(f"t = {kind}({operands})\n y = Where(t, h, half)", (4,), WEIGHTS), values())
    assert found.counts()["binary"] >= 2


@pytest.mark.parametrize(
    "truth", ["t = Not(a)", "t = And(a, b)", "t = Or(a, b)", "t = Xor(a, b)", "t = And(a, yes)"]
)
def test_truth_values(truth: str) -> None:
    body = f"a = Less(h, half)\n b = Less(zero, h)\n {truth}\n y = Cast<to = 1>(t)"
    on_chip(behind_layer(body, (4,), WEIGHTS), values())


@pytest.mark.parametrize("kind", ["IsNaN(h)", "IsInf(h)", "IsInf<detect_negative = 0>(h)"])
def test_what_is_no_number(kind: str) -> None:
    x = np.array([[np.nan, 1.0, np.inf, -np.inf]], np.float32).T
    found = behind_layer(f"t = {kind}\n y = Cast<to = 1>(t)", (1,))
    found.check({"x": x})
    one_sided = "detect" in kind
    assert bool(found.reasons()) == one_sided
    if one_sided:
        assert "tells the infinities apart" in found.reasons()["IsInf"]


@pytest.mark.parametrize(
    "where",
    ["Where(t, h, zero)", "Where(t, zero, h)", "Where(t, h, row)", "Where(t, half, h)", "Where(yes, h, x)"],
)
def test_selections_are_exact(where: str) -> None:
    found = on_chip(behind_layer(f"t = Less(h, half)\n y = {where}", (4,), WEIGHTS), values(), 0)
    masks = [op for op in found.ops() if getattr(op, "kind", None) is not None and op.kind.data == "mask"]
    assert len(masks) == (1 if "zero" in where else 2)


def test_a_selection_by_what_is_not_is_turned_around() -> None:
    plain = behind_layer("t = Less(h, half)\n y = Where(t, h, zero)", (4,), WEIGHTS)
    turned = behind_layer("t = Less(h, half)\n n = Not(t)\n y = Where(n, zero, h)", (4,), WEIGHTS)
    assert on_chip(turned, values()).counts() == on_chip(plain, values()).counts()


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("k", ["", ", s1", ", sm1"])
def test_triangles(upper: int, k: str) -> None:
    on_chip(behind_layer(f"y = Trilu<upper = {upper}>(h{k})", (3, 4), WEIGHTS))


@pytest.mark.parametrize(
    ("body", "dims", "kind", "reason"),
    [
        ("y = Trilu(h)", (4,), "Trilu", "the batch is an axis of the triangle"),
        ("t = Less(half, h)\n y = Where(t, h, many)", (4,), "Where", "the batch"),
    ],
)
def test_what_stays_with_the_host(body: str, dims: tuple[int, ...], kind: str, reason: str) -> None:
    found = behind_layer(body, dims, WEIGHTS)
    found.check({"x": floats(2, *dims)})
    assert reason in found.reasons()[kind]


def test_a_comparison_that_the_host_decides_by_stays_there() -> None:
    body = "t = Less(h, half)\n n = NonZero(t)\n y = Cast<to = 1>(n)"
    assert "the host decides by the result" in why(behind_layer(body, (4,), WEIGHTS), "Less")
