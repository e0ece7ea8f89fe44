"""Batch normalisation with constant statistics, as scale and shift per channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimc.analysis.constants import float_attribute
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.transforms.matching.failure import NoMatch, need
from cimc.transforms.matching.graph import Graph


@dataclass(frozen=True)
class Affine:
    """``y = x * scale + shift`` per channel, both float64 ``[channels]``."""

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]


def batch_norm(op: onnx.NodeOp, graph: Graph) -> Affine:
    """Inference-time batch normalisation as scale and shift per channel; NoMatch if it is not constant::

    scale = gamma / sqrt(variance + epsilon)        shift = beta - mean * scale
    """
    need(not int_attribute(op, "training_mode", 0), "normalises by the batch's own statistics")
    need(all(not graph.users(r) for r in op.results[1:]), "its statistics are used")
    arrays = [graph.constant(v) for v in op.inputs[1:5]]
    if len(arrays) != 4 or any(a is None for a in arrays):
        raise NoMatch("its parameters are not constant")
    gamma, beta, mean, variance = (np.asarray(a, np.float64) for a in arrays)
    need(gamma.ndim == 1, "it has parameters per element (spatial=0), not per channel")
    scale = gamma / np.sqrt(variance + float_attribute(op, "epsilon", 1e-5))
    return Affine(scale, beta - mean * scale)
