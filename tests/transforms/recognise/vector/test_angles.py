"""Sine, cosine and arctangent from the vector unit's arithmetic, against those of float64."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.interpreter.evaluate import evaluate
from tests.transforms.recognise.anchored import behind_layer, on_chip

SPANS = {
    "zero": np.array([0.0, -0.0, 1e-30, -1e-30]),
    "turns": np.linspace(-30, 30, 4001),
    "quarters": np.arange(-40, 41) * (np.pi / 2),
    "far": np.linspace(-8000, 8000, 4001),
    "one": 1 + np.linspace(-1e-3, 1e-3, 101),
    "huge": np.array([1e6, 1e20, -1e20, 3e38]),
}


@pytest.mark.parametrize(("kind", "exact"), [("Sin", np.sin), ("Cos", np.cos), ("Atan", np.arctan)])
@pytest.mark.parametrize("span", SPANS)
def test_angles_are_those_of_float64(kind: str, exact: np.ufunc, span: str) -> None:
    if span == "huge" and kind != "Atan":
        pytest.skip("beyond 2**13 turns f32 does not say where in its turn an angle is")
    found = behind_layer(f"y = {kind}(h)", (1,))
    x = SPANS[span].astype(np.float32)[:, np.newaxis]
    error = np.abs(evaluate(found.module, found.ctx, {"x": x})["y"] - exact(x.astype(np.float64)))
    assert error.max() < (2e-6 if span == "far" else 3e-7)
    assert found.reasons() == {}


def test_signs_are_kept() -> None:
    found = on_chip(behind_layer("y = Atan(h)", (2,)), np.array([[-2.0, 3.0]], np.float32))
    assert found.counts()["linear"] == 1
