"""Loops with layers in their body, written out, with onnxruntime's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.transforms.onnx.unroll_loops import ITERATIONS
from tests.transforms.recognise.fusing import Arrays, Fused, floats, fused

WEIGHTS: Arrays = {"w": floats(4, 4) / 4, "b": floats(4)}


def looped(trips: int, body: str = "", condition: str = "yes") -> Fused:
    inner = body or "m = MatMul(h, w)\n g = Tanh(m)\n row = Add(g, b)"
    text = (
        f"m (float[B, 4] x) => (float[B, N, 4] t, float[B, 4] z) <int64 n = {{{trips}}}, bool yes = {{1}}> {{"
        "z, y = Loop<body = b (int64 i, bool c, float[B, 4] h) => (bool d, float[B, 4] g, float[B, 4] row) {"
        f" d = Identity(c)\n {inner} }}>(n, {condition}, x)\n t = Transpose<perm = [1, 0, 2]>(y) }}"
    )
    return fused(text, WEIGHTS)


def scanned(
    attributes: str, x: str = "float[3, B, 4]", rest: str = "t = Transpose<perm = [1, 0, 2]>(y)"
) -> Fused:
    text = (
        f"m ({x} x, float[B, 4] h0) => (float[B, 4] z, float[B, 3, 4] t) {{"
        f"z, y = Scan<num_scan_inputs = 1{attributes}, "
        "body = b (float[B, 4] h, float[B, 4] row) => (float[B, 4] g, float[B, 4] out) {"
        f" m = MatMul(row, w)\n s = Add(m, h)\n g = Tanh(s)\n out = Identity(g) }}>(h0, x)\n {rest} }}"
    )
    return fused(text, WEIGHTS)


def loops(found: Fused) -> int:
    return sum(h.op in ("Loop", "Scan") for h in found.ctx.remarks.recognition.host)


def test_every_iteration_uses_the_same_weights() -> None:
    found = looped(3)
    found.check({"x": floats(2, 4)}, 1e-4)
    assert loops(found) == 0
    assert len({str(op.weight) for op in found.ops("rec.linear")}) == 1  # type: ignore[attr-defined]
    assert found.counts()["linear"] == 3


@pytest.mark.parametrize(
    "attributes", ["", ", scan_input_directions = [1]", ", scan_output_directions = [1]"]
)
def test_scans_in_both_directions(attributes: str) -> None:
    found = scanned(attributes)
    found.check({"x": floats(3, 2, 4), "h0": floats(2, 4, seed=1)}, 1e-4)
    assert loops(found) == 0


def test_scans_along_other_axes() -> None:
    found = scanned(", scan_input_axes = [1], scan_output_axes = [-2]", "float[B, 3, 4]", "t = Identity(y)")
    found.check({"x": floats(2, 3, 4), "h0": floats(2, 4, seed=1)}, 1e-4)
    assert loops(found) == 0


def test_the_number_of_the_iteration_is_a_number() -> None:
    body = "f = Cast<to = 1>(i)\n m = MatMul(h, w)\n g = Add(m, f)\n row = Identity(g)"
    found = looped(3, body)
    found.check({"x": floats(2, 4)}, 1e-4)
    assert found.counts()["linear"] == 3


def test_loops_without_layers_are_left_alone() -> None:
    found = looped(3, "g = Tanh(h)\n row = Add(g, b)")
    found.check({"x": floats(2, 4)}, 1e-4)
    assert loops(found) == 1


@pytest.mark.parametrize("trips", [ITERATIONS + 1, 0])
def test_loops_that_are_too_long_or_never_run_stay_whole(trips: int) -> None:
    assert loops(looped(trips)) == 1


def test_loops_of_unknown_length_stay_whole() -> None:
    text = (
        "m (float[B, 4] x, int64 n) => (float[] z) <bool yes = {1}> {"
        "z = Loop<body = b (int64 i, bool c, float[B, 4] h) => (bool d, float[B, 4] g) {"
        " d = Identity(c)\n g = MatMul(h, w) }>(n, yes, x) }"
    )
    found = fused(text, WEIGHTS)
    found.check({"x": floats(2, 4), "n": np.array(2)}, 1e-4)
    assert loops(found) == 1
