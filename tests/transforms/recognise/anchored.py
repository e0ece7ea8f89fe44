"""Graphs whose nodes under test stand behind a layer, so that they are worth the way to the chip."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.transforms.recognise.fusing import Arrays, Fused, floats, fused

BATCH = 3


def behind_layer(
    body: str, dims: tuple[int, ...], weights: Arrays | None = None, *, opset: int = 18, more: str = ""
) -> Fused:
    """``y`` made of ``h``, which is ``x [B, dims]`` times the unit matrix: the same numbers, on the chip.

    ``more``: further inputs of the graph, as text.
    """
    shape = ", ".join(map(str, dims))
    text = f"m (float[B, {shape}] x{more}) => (float[] y) {{ h = MatMul(x, eye)\n {body} }}"
    return fused(text, {"eye": np.eye(dims[-1], dtype=np.float32), **(weights or {})}, opset=opset)


def on_chip(found: Fused, x: np.ndarray[Any, Any] | None = None, tolerance: float = 1e-5) -> Fused:
    """``found``, with nothing on the host, and the numbers of onnxruntime."""
    assert found.reasons() == {}
    return same(found, x, tolerance)


def same(found: Fused, x: np.ndarray[Any, Any] | None = None, tolerance: float = 1e-5) -> Fused:
    """``found``, with the numbers of onnxruntime."""
    dims = [d.dim_value for d in found.proto.graph.input[0].type.tensor_type.shape.dim][1:]
    found.check({"x": floats(BATCH, *dims) if x is None else x}, tolerance)
    return found


def why(found: Fused, kind: str) -> str:
    """Why nodes of a kind are on the host, after a comparison with onnxruntime."""
    return same(found).reasons()[kind]
