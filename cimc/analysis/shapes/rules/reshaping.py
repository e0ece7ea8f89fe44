"""Shape rules of operators that reshape, rearrange, join and split."""

from __future__ import annotations

import numpy as np
from xdsl.ir import Attribute, SSAValue

from cimc.analysis.constants import ints_attribute
from cimc.analysis.shapes import dims as d
from cimc.analysis.shapes.dims import Dim
from cimc.analysis.shapes.facts import CONTENT_LIMIT, Content, Info, ShapeFacts, entries
from cimc.analysis.shapes.operands import (
    axes_of,
    broadcast,
    common_element,
    moved,
    normal_axes,
    operand,
    scalar_content,
    vector_content,
)
from cimc.analysis.shapes.rule_registry import rule
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import element_from_dtype, f32, i64


@rule("Shape")
def _shape(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    shape = a.shape(op.inputs[0])
    if shape is None:
        return Info((None,), i64)
    end = int_attribute(op, "end", len(shape))
    part = shape[slice(int_attribute(op, "start", 0), end)]
    return Info((len(part),), i64, vector_content(part))


@rule("Size")
def _size(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    shape = a.shape(op.inputs[0])
    return Info((), i64, scalar_content(d.product(shape)) if shape is not None else None)


@rule("ConstantOfShape")
def _constant_of_shape(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    array = a.constants.attribute(op, "value")
    element: Attribute = f32
    value = 0.0
    if array is not None:
        element, value = element_from_dtype(array.dtype), float(array.reshape(-1)[0])
    return _filled(a, op.inputs[0], element, value)


def _filled(a: ShapeFacts, target: SSAValue, element: Attribute | None, value: float | None) -> Info:
    shape = _target(a, target)
    content = None
    if (
        shape is not None
        and value is not None
        and element in (i64,)
        and all(isinstance(x, int) for x in shape)
    ):
        extents = [x for x in shape if isinstance(x, int)]
        if int(np.prod(extents, dtype=object)) <= CONTENT_LIMIT and min(extents, default=0) >= 0:
            content = np.full(extents, int(value), object)
    return Info(shape, element, content, value)


def _target(a: ShapeFacts, value: SSAValue) -> tuple[Dim, ...] | None:
    """A shape given as a tensor; unknown extents where only its length is known."""
    content = a.content(value)
    if content is not None and content.ndim == 1:
        return tuple(content.tolist())
    shape = a.shape(value)
    if shape is not None and len(shape) == 1 and isinstance(shape[0], int) and shape[0] <= 64:
        return (None,) * shape[0]
    return None


@rule("Range")
def _range(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    start, limit, delta = (a.scalar(v) for v in op.inputs)
    count = d.count(d.divide(d.sub(limit, start), delta))
    element = a.element(op.inputs[0])
    if isinstance(start, int) and isinstance(limit, int) and isinstance(delta, int) and delta != 0:
        count = max(0, -(-(limit - start) // delta))
        if count <= CONTENT_LIMIT:
            return Info((count,), element, vector_content(list(range(start, limit, delta))))
    return Info((count,), element)


@rule("Reshape")
def _reshape(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    shape, target = a.shape(op.inputs[0]), _target(a, op.inputs[1])
    if target is None:
        return moved(op, a, None)
    out = list(target)
    if int_attribute(op, "allowzero", 0) != 1 and shape is not None:
        out = [shape[k] if x == 0 and k < len(shape) else x for k, x in enumerate(out)]
    open_ = [k for k, x in enumerate(out) if x is None or x == -1]
    if len(open_) == 1 and shape is not None:
        rest = d.product(x for k, x in enumerate(out) if k != open_[0])
        out[open_[0]] = d.divide(d.product(shape), rest)
    return moved(op, a, tuple(None if x == -1 else x for x in out))


@rule("Flatten")
def _flatten(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    shape = a.shape(op.inputs[0])
    if shape is None:
        return Info((None, None), a.element(op.inputs[0]))
    axis = int_attribute(op, "axis", 1)
    if not -len(shape) <= axis <= len(shape):
        return Info((None, None), a.element(op.inputs[0]))
    axis = axis + len(shape) if axis < 0 else axis
    return moved(op, a, (d.product(shape[:axis]), d.product(shape[axis:])))


@rule("Squeeze")
def _squeeze(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    shape, axes = a.shape(op.inputs[0]), axes_of(op, a)
    if shape is None:
        return Info(None, a.element(op.inputs[0]))
    if axes == [] and all(isinstance(x, int) for x in shape):
        axes = [k for k, x in enumerate(shape) if x == 1]
    elif not axes:
        return Info(None, a.element(op.inputs[0]))
    normal = normal_axes(axes, len(shape))
    if normal is None:
        return Info(None, a.element(op.inputs[0]))
    return moved(op, a, tuple(x for k, x in enumerate(shape) if k not in normal))


@rule("Unsqueeze")
def _unsqueeze(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    shape, axes = a.shape(op.inputs[0]), axes_of(op, a)
    normal = normal_axes(axes, len(shape) + len(axes)) if shape is not None and axes is not None else None
    if shape is None or normal is None or len(set(normal)) < len(normal):
        return Info(None, a.element(op.inputs[0]))
    rest = iter(shape)
    out = tuple(1 if k in normal else next(rest) for k in range(len(shape) + len(normal)))
    return moved(op, a, out)


@rule("Transpose")
def _transpose(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    info, shape, content = a.info(op.inputs[0]), a.shape(op.inputs[0]), a.content(op.inputs[0])
    if shape is None:
        return Info(None, info.element)
    perm = ints_attribute(op, "perm") or tuple(reversed(range(len(shape))))
    if sorted(perm) != list(range(len(shape))):
        return Info(None, info.element)
    moved = content.transpose(perm) if content is not None else None
    return Info(tuple(shape[p] for p in perm), info.element, moved, info.splat)


@rule("Expand")
def _expand(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    info, target = a.info(op.inputs[0]), _target(a, op.inputs[1])
    shape = broadcast([a.shape(op.inputs[0]), target]) if target is not None else None
    return Info(shape, info.element, None, info.splat)


@rule("Tile")
def _tile(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    info, shape, repeats = a.info(op.inputs[0]), a.shape(op.inputs[0]), _target(a, op.inputs[1])
    if shape is None or repeats is None or len(repeats) != len(shape):
        return Info((None,) * len(shape) if shape is not None else None, info.element)
    return Info(
        tuple(d.mul(x, r) for x, r in zip(shape, repeats, strict=True)), info.element, None, info.splat
    )


@rule("Concat")
def _concat(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    element = common_element(op, a)
    shapes = [a.shape(v) for v in op.inputs]
    known = [s for s in shapes if s is not None]
    if not known:
        return Info(None, element)
    axis = int_attribute(op, "axis", 0)
    axis = axis + len(known[0]) if axis < 0 else axis
    if not 0 <= axis < len(known[0]) or any(len(s) != len(known[0]) for s in known):
        return Info(None, element)
    out: list[Dim] = list(known[0])
    for shape in known[1:]:
        for k, extent in enumerate(shape):
            if k != axis:
                a.equate(out[k], extent)
                if isinstance(extent, int):
                    out[k] = extent
    total: Dim = 0
    for s in shapes:
        total = d.add(total, None if s is None else s[axis])
    out[axis] = total
    contents = [a.content(v) for v in op.inputs]
    content = None
    if any(c is not None for c in contents):
        filled = [c if c is not None else _unknown(s) for c, s in zip(contents, shapes, strict=True)]
        parts = [c for c in filled if c is not None]
        fits = len({(*c.shape[:axis], *c.shape[axis + 1 :]) for c in parts}) == 1
        if len(parts) == len(filled) and fits:  # else the model contradicts itself
            content = np.concatenate(parts, axis=axis)
    return Info(tuple(out), element, content if content is None or content.size <= CONTENT_LIMIT else None)


def _unknown(shape: tuple[Dim, ...] | None) -> Content | None:
    """The content of a small integer tensor of which only the shape is known."""
    if shape is None or not all(isinstance(x, int) for x in shape):
        return None
    extents = [x for x in shape if isinstance(x, int)]
    if int(np.prod(extents, dtype=object)) > CONTENT_LIMIT:
        return None
    return np.full(extents, None, object)


@rule("Split")
def _split(op: onnx.NodeOp, a: ShapeFacts) -> list[Info]:
    info, shape = a.info(op.inputs[0]), a.shape(op.inputs[0])
    count = len(op.outputs)
    if shape is None:
        return [Info(None, info.element)] * count
    axis = int_attribute(op, "axis", 0)
    if not -len(shape) <= axis < len(shape):
        return [Info(None, info.element)] * count
    axis %= len(shape)
    sizes = split_sizes(op, a, shape[axis])
    return [Info((*shape[:axis], size, *shape[axis + 1 :]), info.element, None, info.splat) for size in sizes]


def states_its_parts(op: onnx.NodeOp, opset: int) -> bool:
    """Whether a Split says how to divide: from operator set 18 on by sizes or ``num_outputs``, not both."""
    return opset < 18 or (operand(op, 1) is None) == (op.attribute("num_outputs") is not None)


def split_sizes(op: onnx.NodeOp, a: ShapeFacts, extent: Dim) -> list[Dim]:
    """Extents of the parts of a Split along its axis; None where they are not known.

    Nor are they where onnxruntime refuses the node.  Parts that differ need ``num_outputs``.
    """
    count = len(op.outputs)
    unknown: list[Dim] = [None] * count
    given = ints_attribute(op, "split")
    value = operand(op, 1)
    if given is not None or value is not None:
        content = None if value is None else a.content(value)
        sizes: list[Dim] = list(given or ()) if content is None else entries(content)
        total: Dim = 0
        for size in sizes:
            if isinstance(size, int) and size < 0:
                return unknown
            total = d.add(total, size)
        fits = not (isinstance(total, int) and isinstance(extent, int) and total != extent)
        return sizes if fits and len(sizes) == count else unknown
    stated = int_attribute(op, "num_outputs", 0)
    if stated not in (0, count):
        return unknown
    if not isinstance(extent, int):
        return [d.divide(extent, count)] * count
    chunk = -(-extent // count)
    last = extent - (count - 1) * chunk
    if last < 0 or (last != chunk and not stated):
        return unknown
    return [*[chunk] * (count - 1), last]
