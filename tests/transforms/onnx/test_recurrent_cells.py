"""Every activation of a recurrent cell, and what a step is not written with; ``test_recurrent.py`` has whole
layers."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.transforms.onnx.recurrent_cells import _PARAMETERS, CELLS, GATES
from tests.transforms.recognise.fusing import Fused, floats, fused


def cell(kind: str, attributes: str, opset: int = 18) -> Fused:
    gates = GATES[kind]
    weights = {
        "w": floats(1, gates * 2, 3),
        "r": floats(1, gates * 2, 2, seed=1) / 2,
        "b": floats(1, gates * 4, seed=2),
    }
    text = (
        f"m (float[3, B, 3] x) => (float[] h) "
        f"{{ y, a = {kind}<hidden_size = 2{attributes}>(x, w, r, b)\n h = Squeeze(a, k0) }}"
    )
    return fused(text, {**weights, "k0": np.array([0])}, opset=opset)


def taken_apart(found: Fused, tolerance: float = 1e-4) -> None:
    found.check({"x": floats(3, 2, 3, seed=5)}, tolerance)
    assert found.counts()["linear"] > 0
    assert not {"RNN", "GRU", "LSTM"} & {h.op for h in found.ctx.remarks.recognition.host}


@pytest.mark.parametrize("name", sorted(_PARAMETERS))
def test_activations(name: str) -> None:
    alpha = {"affine": "0.5", "scaledtanh": "0.8", "thresholdedrelu": "0.3"}.get(name, "")
    beta = {"affine": "0.25", "scaledtanh": "1.5"}.get(name, "")
    attributes = f', activations = ["Sigmoid", "{name}"]'
    attributes += f", activation_alpha = [{alpha}]" if alpha else ""
    attributes += f", activation_beta = [{beta}]" if beta else ""
    taken_apart(cell("GRU", attributes))


@pytest.mark.parametrize("kind", sorted(CELLS))
def test_sums_are_clipped_before_activations(kind: str) -> None:
    free, clipped = cell(kind, ""), cell(kind, ", clip = 0.1")
    taken_apart(free)
    taken_apart(clipped)
    assert clipped.counts()["unary"] > free.counts()["unary"]


@pytest.mark.parametrize("before", [0, 1])
def test_the_reset_gate_acts_before_or_behind_the_product(before: int) -> None:
    taken_apart(cell("GRU", f", linear_before_reset = {before}"))


def test_gates_of_one_input_may_share_a_gate() -> None:
    taken_apart(cell("LSTM", ", input_forget = 1"))


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        (', activations = ["Sigmoid", "affine"]', "alpha of its activation Affine is not given"),
        (', activations = ["Tanh"]', "its activations are not as many as it has"),
    ],
)
def test_what_is_not_stated_is_not_guessed(attributes: str, why: str) -> None:
    found = cell("GRU", attributes)
    (host,) = [h for h in found.ctx.remarks.recognition.host if h.op == "GRU"]
    assert why in host.reason
