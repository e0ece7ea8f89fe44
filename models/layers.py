"""Forward and backward passes of the layers, in plain numpy.

Each layer is a pair of pure functions.  ``*_forward`` returns the result and what the backward pass needs;
``*_backward`` takes the gradient of the loss with respect to the result and returns the gradients with
respect to the inputs.  All work in the dtype of their inputs (float32 in training, float64 in the
finite-difference checks).  ``B`` is the batch, ``D`` the embedding dimension, ``F`` the number of vectors.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Layers = list[tuple[Array, Array]]  # (weight [N, K], bias [N]) per linear layer

# Smallest norm that a vector is divided by, as torch.nn.functional.normalize has it.
NORM_FLOOR = 1e-12


def init_layers(rng: np.random.Generator, sizes: tuple[int, ...]) -> Layers:
    """He-normal weights and zero biases for an MLP ``sizes[0] - ... - sizes[-1]``, float32."""
    return [
        ((rng.standard_normal((n, k)) * np.sqrt(2.0 / k)).astype(np.float32), np.zeros(n, np.float32))
        for k, n in pairwise(sizes)
    ]


def mlp_forward(layers: Layers, x: Array, *, last_relu: bool) -> tuple[Array, list[Array]]:
    """``x [B, K]`` → ``[B, N]``, ReLU between the layers; the cache is each layer's input and the result."""
    values = [x]
    for i, (weight, bias) in enumerate(layers):
        x = x @ weight.T + bias
        if last_relu or i < len(layers) - 1:
            x = np.maximum(x, 0)
        values.append(x)
    return x, values


def mlp_backward(layers: Layers, values: list[Array], dy: Array, *, last_relu: bool) -> tuple[Array, Layers]:
    """Gradients with respect to ``x`` and to every (weight, bias)."""
    grads: Layers = []
    for i in reversed(range(len(layers))):
        if last_relu or i < len(layers) - 1:
            dy = dy * (values[i + 1] > 0)
        grads.append((dy.T @ values[i], dy.sum(axis=0)))
        dy = dy @ layers[i][0]
    return dy, grads[::-1]


def bag_forward(rows: Array, offsets: Array, *, mean: bool) -> Array:
    """Pool gathered ``rows [nnz, D]`` into bags bounded by ``offsets [B + 1]`` → ``[B, D]``; empty: 0."""
    lengths = np.diff(offsets)
    filled = lengths > 0
    out = np.zeros((lengths.size, rows.shape[1]), rows.dtype)
    if rows.size:
        out[filled] = np.add.reduceat(rows, offsets[:-1][filled], axis=0)
    return out / np.maximum(lengths, 1).astype(rows.dtype)[:, None] if mean else out


def bag_backward(offsets: Array, dy: Array, *, mean: bool) -> Array:
    """Gradient of every gathered row ``[nnz, D]`` from that of the bags ``dy [B, D]``."""
    lengths = np.diff(offsets)
    if mean:
        dy = dy / np.maximum(lengths, 1).astype(dy.dtype)[:, None]
    return np.repeat(dy, lengths, axis=0)


def dot_forward(vectors: Array) -> Array:
    """``[B, F, D]`` → ``[B, F (F - 1) / 2]``: dot products of distinct vectors, lower triangle by rows."""
    products = vectors @ vectors.transpose(0, 2, 1)
    li, lj = np.tril_indices(vectors.shape[1], -1)
    return np.asarray(products[:, li, lj])


def dot_backward(vectors: Array, dy: Array) -> Array:
    """Gradient with respect to ``vectors [B, F, D]``: each one collects the others it was multiplied with."""
    b, f, _ = vectors.shape
    li, lj = np.tril_indices(f, -1)
    d = np.zeros((b, f, f), dy.dtype)
    d[:, li, lj] = dy
    d[:, lj, li] = dy
    return np.asarray(d @ vectors)


def normalise_forward(x: Array) -> tuple[Array, Array]:
    """``x [B, D]`` divided by its Euclidean norm; the norms ``[B, 1]``, kept above :data:`NORM_FLOOR`."""
    norm = np.maximum(np.sqrt((x * x).sum(axis=1, keepdims=True)), x.dtype.type(NORM_FLOOR))
    return x / norm, norm


def normalise_backward(unit: Array, norm: Array, dy: Array) -> Array:
    """Gradient with respect to ``x``: the part of ``dy`` across the unit vector, over the norm."""
    return np.asarray((dy - unit * (unit * dy).sum(axis=1, keepdims=True)) / norm)


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def cross_entropy(logits: Array, labels: Array) -> tuple[float, Array]:
    """Mean binary cross-entropy in nats of ``logits [B]``, and its gradient with respect to them."""
    y = labels.astype(logits.dtype)
    loss = np.maximum(logits, 0) - logits * y + np.log1p(np.exp(-np.abs(logits)))
    return float(loss.mean()), (sigmoid(logits) - y) / logits.dtype.type(logits.size)
