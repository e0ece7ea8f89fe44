"""What rules and recognisers read of a node: operands, axes, known elements, broadcast extents."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from xdsl.ir import Attribute, SSAValue

from cimc.analysis.constants import ints_attribute
from cimc.analysis.shapes.dims import Dim
from cimc.analysis.shapes.facts import Content, Info, ShapeFacts, entries
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import NoneType


def operand(op: onnx.NodeOp, index: int) -> SSAValue | None:
    """Input ``index`` of a node, ``None`` when it is absent."""
    if index >= len(op.inputs) or isinstance(op.inputs[index].type, NoneType):
        return None
    return op.inputs[index]


def common_element(op: onnx.NodeOp, a: ShapeFacts) -> Attribute | None:
    """The element type of operands that have one and the same: that of the first of which it is known."""
    return next((e for v in op.inputs if (e := a.element(v)) is not None), None)


def keeps_dims(op: onnx.NodeOp) -> bool:
    """Whether a reduction keeps its axes with extent 1; for onnxruntime that is 1 alone, not any truth."""
    return int_attribute(op, "keepdims", 1) == 1


def axes_of(op: onnx.NodeOp, a: ShapeFacts) -> list[int] | None:
    """The ``axes`` of a node, an attribute or (newer opsets) its second input.

    An empty list when none are given, ``None`` when they are not known at compile time.
    """
    given = ints_attribute(op, "axes")
    if given is not None:
        return list(given)
    value = operand(op, 1)
    return [] if value is None else a.integers(value)


def scalar_content(value: Dim) -> Content:
    """The content of a 0-D integer tensor."""
    out = np.empty((), object)
    out[()] = value
    return out


def vector_content(values: Sequence[Dim]) -> Content:
    """The content of a 1-D integer tensor."""
    out = np.empty(len(values), object)
    out[:] = values
    return out


def known_content(content: Content | None) -> bool:
    """Whether all elements are known numbers."""
    return content is not None and all(isinstance(e, int) for e in entries(content))


def broadcast_dim(x: Dim, y: Dim) -> Dim:
    """The extent of two broadcast extents, ``None`` where that depends on one of them being 1."""
    if x == y or (isinstance(y, int) and y == 1):
        return x
    if isinstance(x, int) and x == 1:
        return y
    if isinstance(x, int) and isinstance(y, int):
        return None  # onnxruntime refuses it
    return x if isinstance(x, int) else y if isinstance(y, int) else None


def broadcast(shapes: Sequence[tuple[Dim, ...] | None]) -> tuple[Dim, ...] | None:
    """Numpy broadcasting of symbolic shapes."""
    out: tuple[Dim, ...] = ()
    for shape in shapes:
        if shape is None:
            return None
        rank = max(len(out), len(shape))
        wide = ((1,) * (rank - len(out)) + out, (1,) * (rank - len(shape)) + shape)
        out = tuple(broadcast_dim(x, y) for x, y in zip(*wide, strict=True))
    return out


def joint_shape(contents: Sequence[Content | None]) -> tuple[int, ...] | None:
    """The shape that contents have together; ``None`` where one is unknown, or they do not fit."""
    shapes = [c.shape for c in contents if c is not None]
    if len(shapes) < len(contents):
        return None
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return None


def moved(op: onnx.NodeOp, a: ShapeFacts, shape: tuple[Dim, ...] | None) -> Info:
    """Info of a result that holds the elements of input 0 in another shape."""
    info = a.info(op.inputs[0])
    content = a.content(op.inputs[0])
    if content is not None:
        extents = [x for x in shape or () if isinstance(x, int)]
        fixed = shape is not None and len(extents) == len(shape) and prod(extents) == content.size
        content = content.reshape(extents) if fixed and min(extents, default=0) >= 0 else None
    return Info(shape, info.element, content, info.splat)


def normal_axes(axes: Sequence[int], rank: int) -> list[int] | None:
    out = [x + rank if x < 0 else x for x in axes]
    return out if all(0 <= x < rank for x in out) else None
