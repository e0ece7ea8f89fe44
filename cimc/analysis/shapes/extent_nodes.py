"""Extents as ONNX nodes: a vector of integers, read off the shapes of inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import SSAValue

from cimc.analysis.shapes.dims import Dim, Equalities
from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.attributes import dense_from_array
from cimc.ir.types import i64, tensor

Nodes = list[onnx.NodeOp | onnx.ConstantOp]


def stated_sizes(
    extents: Sequence[Dim],
    inputs: Sequence[SSAValue],
    analysis: ShapeAnalysis,
    same: Equalities,
    like: onnx.NodeOp,
) -> Nodes | None:
    """Nodes whose last result is ``extents`` as int64 ``[n]``, located where ``like`` is.

    ``None`` where an extent is neither a number nor, but for what is the ``same``, that of an axis of one of
    ``inputs``.
    """
    made: Nodes = []

    def constant(value: int) -> SSAValue:
        made.append(onnx.ConstantOp(dense_from_array(np.array([value])), location=like.location))
        return made[-1].results[0]

    def node(kind: str, *operands: SSAValue, extent: int, **attributes: int) -> SSAValue:
        attrs = {name: IntegerAttr(value, i64) for name, value in attributes.items()}
        made.append(onnx.NodeOp(kind, operands, [tensor((extent,), i64)], attrs, location=like.location))
        return made[-1].results[0]

    parts = []
    for extent in extents:
        if isinstance(extent, int):
            parts.append(constant(extent))
            continue
        wanted = same.resolve(extent)
        places = [
            (v, k) for v in inputs for k, d in enumerate(analysis.shape(v) or ()) if same.resolve(d) == wanted
        ]
        if not places or extent is None:
            return None
        source, axis = places[0]
        whole = node("Shape", source, extent=len(analysis.shape(source) or ()))
        parts.append(node("Gather", whole, constant(axis), extent=1, axis=0))
    node("Concat", *parts, extent=len(parts), axis=0)
    return made if parts else None
