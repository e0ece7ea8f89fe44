"""Tiny untrained models and random requests, for tests of every part of the compiler.

    model, inputs = tiny_dlrm(seed=0, tables=3)
    model, inputs = mlp((784, 512, 256, 128, 10))
    more = requests_for(model, batch=100, seed=7)

Every builder returns an ``onnx.ModelProto`` and the arrays of one batch of requests, named after its
inputs.  Shapes are dynamic in the batch.  Same arguments, same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from models import onnx_forms as forms
from models.requests import Requests, requests_for

__all__ = ["Requests", "mlp", "requests_for", "tiny_dlrm"]

Layers = list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]


def _layers(rng: np.random.Generator, sizes: Sequence[int]) -> Layers:
    """He-initialised weights ``[N, K]`` (so that activations keep their scale) and small biases ``[N]``."""
    return [
        (
            (rng.standard_normal((n, k)) * np.sqrt(2.0 / k)).astype(np.float32),
            (rng.standard_normal(n) * 0.1).astype(np.float32),
        )
        for k, n in pairwise(sizes)
    ]


def mlp(
    sizes: Sequence[int], seed: int = 0, *, batch: int = 4, last: str | None = None
) -> tuple[onnx.ModelProto, Requests]:
    """``x [batch, sizes[0]]`` → ``Gemm(transB=1)`` layers with ``Relu`` between → ``y [batch, sizes[-1]]``.

    ``last`` names an activation op after the last layer (``"Relu"``, ``"Sigmoid"``), none by default.
    """
    rng = np.random.default_rng(seed)
    g = forms.GraphWriter()
    x = g.input("x", TensorProto.FLOAT, ["batch", sizes[0]])
    g.output("y", TensorProto.FLOAT, ["batch", sizes[-1]])
    forms.mlp(g, x, _layers(rng, sizes), scope="/mlp", last=last, out="y")
    model = g.model("mlp", opset=17, ir_version=8)
    return model, requests_for(model, batch=batch, seed=seed)


def tiny_dlrm(
    seed: int = 0,
    tables: int = 3,
    *,
    rows: Sequence[int] = (37, 11, 64, 5, 23),
    dim: int = 7,
    dense: int = 5,
    hidden: int = 12,
    bags: Sequence[str] = ("one", "sum", "sum", "mean"),
    batch: int = 6,
    max_bag: int = 5,
) -> tuple[onnx.ModelProto, Requests]:
    """A DLRM with dot interaction: ``dense [batch, dense]``, one ``ids_K`` per table → ``prob [batch, 1]``.

    Table ``k`` has ``rows[k % len(rows)]`` rows of ``dim`` and is used as ``bags[k % len(bags)]`` says:
    ``one`` (plain ``Gather``, ``ids_K [batch]``), ``sum`` or ``mean`` (TorchScript's ``Loop`` form,
    ``ids_K [nnz_K]`` and ``offsets_K [batch]``).  Bottom MLP ``dense-hidden-dim``, top MLP
    ``interaction-hidden-1`` with a sigmoid.
    """
    rng = np.random.default_rng(seed)
    g = forms.GraphWriter()
    x = g.input("dense", TensorProto.FLOAT, ["batch", dense])
    pooled = []
    for k in range(tables):
        weight = rng.standard_normal((rows[k % len(rows)], dim)).astype(np.float32) * np.float32(0.5)
        pooled.append(forms.table(g, k, weight, bags[k % len(bags)]))
    bottom = forms.mlp(g, x, _layers(rng, (dense, hidden, dim)), scope="/bot_l", last="Relu")
    features = 1 + tables
    joined = forms.dot_interaction(g, bottom, pooled)
    width = dim + features * (features - 1) // 2
    g.output("prob", TensorProto.FLOAT, ["batch", 1])
    forms.mlp(g, joined, _layers(rng, (width, hidden, 1)), scope="/top_l", last="Sigmoid", out="prob")
    model = g.model("tiny_dlrm", opset=17, ir_version=8)
    return model, requests_for(model, batch=batch, seed=seed, max_bag=max_bag)
