"""Normalisations on the chip, with onnxruntime's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.recognise.anchored import behind_layer, on_chip, why
from tests.transforms.recognise.fusing import Arrays, floats, fused

WEIGHTS: Arrays = {
    "gamma": np.linspace(0.5, 2, 4, dtype=np.float32), "beta": np.linspace(-1, 1, 4, dtype=np.float32),
    "wide": floats(2, 4), "mean": floats(2), "var": np.abs(floats(2)) + 0.1, "two": floats(2, seed=4),
}  # fmt: skip


@pytest.mark.parametrize(
    "node",
    [
        "LayerNormalization(h, gamma, beta)",
        "LayerNormalization(h, gamma)",
        "LayerNormalization<axis = 1, epsilon = 0.25>(h, wide)",
        "LayerNormalization<axis = -2>(h, wide, wide)",
        "LpNormalization(h)",
        "LpNormalization<axis = 1, p = 1>(h)",
        "BatchNormalization(h, two, two, mean, var)",
    ],
)
def test_normalisations(node: str) -> None:
    body = f"r = Relu(h)\n y = {node}" if node.startswith("Batch") else f"y = {node}"
    on_chip(behind_layer(body.replace("(h, two", "(r, two"), (2, 4), WEIGHTS))


def test_root_mean_squares() -> None:
    on_chip(behind_layer("y = RMSNormalization(h, gamma)", (2, 4), WEIGHTS, opset=23))


def test_a_vector_of_zeros_is_not_divided() -> None:
    found = behind_layer("y = LpNormalization(h)", (4,))
    x = floats(3, 4)
    x[1] = 0
    on_chip(found, x)


@pytest.mark.parametrize("node", ["LpNormalization<axis = 0>(h)", "LayerNormalization<axis = 0>(h, all)"])
def test_the_batch_is_not_normalised_over(node: str) -> None:
    found = behind_layer(f"y = {node}", (4,), {"all": np.ones(4, np.float32)})
    assert "normalises over the batch" in why(found, node.partition("<")[0])


def test_statistics_that_are_used_keep_it_on_the_host() -> None:
    text = (
        "m (float[B, 4] x) => (float[] y, float[] center) "
        "{ h = MatMul(x, eye)\n y, center = LayerNormalization(h, gamma) }"
    )
    found = fused(text, {"eye": np.eye(4, dtype=np.float32), **WEIGHTS})
    found.check({"x": floats(3, 4)})
    assert "its statistics are used" in found.reasons()["LayerNormalization"]
