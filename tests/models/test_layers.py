"""Every backward pass against central finite differences, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from models import layers as nn

Array = npt.NDArray[Any]
STEP = 1e-6
OFFSETS = np.array([0, 2, 2, 5, 6])  # the second bag is empty


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def numeric_gradient(loss: Callable[[], float], x: Array) -> Array:
    """Central differences of ``loss``, which reads ``x``, over every element of it."""
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        kept = x[index]
        x[index] = kept + STEP
        up = loss()
        x[index] = kept - STEP
        grad[index] = (up - loss()) / (2 * STEP)
        x[index] = kept
    return grad


def assert_gradient(got: Array, loss: Callable[[], float], x: Array) -> None:
    expected = numeric_gradient(loss, x)
    assert np.abs(expected).max() > 1e-3, "a check against zeros checks nothing"
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("last_relu", [False, True])
def test_mlp(rng: np.random.Generator, last_relu: bool) -> None:
    layers = [(rng.standard_normal((n, k)), rng.standard_normal(n)) for k, n in ((4, 6), (6, 3))]
    x, up = rng.standard_normal((5, 4)), rng.standard_normal((5, 3))

    def loss() -> float:
        return float((nn.mlp_forward(layers, x, last_relu=last_relu)[0] * up).sum())

    _, cache = nn.mlp_forward(layers, x, last_relu=last_relu)
    dx, grads = nn.mlp_backward(layers, cache, up, last_relu=last_relu)
    assert_gradient(dx, loss, x)
    for (weight, bias), (dweight, dbias) in zip(layers, grads, strict=True):
        assert_gradient(dweight, loss, weight)
        assert_gradient(dbias, loss, bias)


@pytest.mark.parametrize("mean", [False, True])
def test_bag(rng: np.random.Generator, mean: bool) -> None:
    rows, up = rng.standard_normal((6, 3)), rng.standard_normal((4, 3))
    pooled = nn.bag_forward(rows, OFFSETS, mean=mean)
    for b in range(4):
        bag = rows[OFFSETS[b] : OFFSETS[b + 1]]
        expected = bag.sum(axis=0) / (max(len(bag), 1) if mean else 1)
        np.testing.assert_allclose(pooled[b], expected)
    assert_gradient(
        nn.bag_backward(OFFSETS, up, mean=mean),
        lambda: float((nn.bag_forward(rows, OFFSETS, mean=mean) * up).sum()),
        rows,
    )


def test_bag_of_no_ids_at_all_is_zero() -> None:
    assert not nn.bag_forward(np.empty((0, 3)), np.zeros(5, np.int64), mean=False).any()


def test_dot(rng: np.random.Generator) -> None:
    vectors, up = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 6))
    products = nn.dot_forward(vectors)
    pairs = [(i, j) for i in range(4) for j in range(i)]
    for k, (i, j) in enumerate(pairs):
        np.testing.assert_allclose(products[:, k], (vectors[:, i] * vectors[:, j]).sum(axis=1))
    assert_gradient(
        nn.dot_backward(vectors, up), lambda: float((nn.dot_forward(vectors) * up).sum()), vectors
    )


def test_normalise(rng: np.random.Generator) -> None:
    x, up = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    unit, norm = nn.normalise_forward(x)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1.0)
    assert_gradient(
        nn.normalise_backward(unit, norm, up),
        lambda: float((nn.normalise_forward(x)[0] * up).sum()),
        x,
    )


def test_normalising_zero_gives_zero_not_nan() -> None:
    assert not nn.normalise_forward(np.zeros((1, 4), np.float32))[0].any()


def test_cross_entropy(rng: np.random.Generator) -> None:
    logits, labels = rng.standard_normal(6) * 3, np.array([0, 1, 1, 0, 1, 0], np.int8)
    loss, grad = nn.cross_entropy(logits, labels)
    p = nn.sigmoid(logits)
    assert loss == pytest.approx(-np.mean(np.where(labels == 1, np.log(p), np.log(1 - p))))
    assert_gradient(grad, lambda: nn.cross_entropy(logits, labels)[0], logits)
