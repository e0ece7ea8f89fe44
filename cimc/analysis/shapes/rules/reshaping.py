"""Transfer functions of the symbolic shape analysis: the registry, helpers, and operators on shapes.

A rule takes the node and the analysis and returns one :class:`Info` per result.  An operator without a rule
keeps its declared type.  ``shape_select.py``, ``shape_compute.py`` and ``shape_control.py`` hold the rules of
selections, computations, and loops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, StringAttr
from xdsl.ir import Attribute, SSAValue

from cimc.analysis.constants import ints_attribute
from cimc.analysis.shapes import dims as d
from cimc.analysis.shapes.dims import Dim
from cimc.analysis.shapes.engine import CONTENT_LIMIT, Content, Info, ShapeAnalysis, entries
from cimc.analysis.shapes.inferred_by_onnx import EXTENTS
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import NoneType, element_from_dtype, element_of, f32, i64

Rule = Callable[[onnx.NodeOp, ShapeAnalysis], "Info | list[Info]"]
RULES: dict[str, Rule] = {}


def rule(*kinds: str) -> Callable[[Rule], Rule]:
    """Register a rule for ONNX operators."""

    def register(function: Rule) -> Rule:
        for kind in kinds:
            RULES[kind] = function
        return function

    return register


def apply_rule(op: onnx.NodeOp, a: ShapeAnalysis) -> None:
    """Set what is known of the results of ``op``."""
    found = RULES[op.kind](op, a) if op.kind in RULES else []
    infos = [found] if isinstance(found, Info) else found or _stated(op, a)
    if op.bodies and op.kind not in RULES:
        for region in op.bodies:
            for argument in region.block.args:
                a.set(argument, Info())
            a.walk_body(region.block)
    for result, info in zip_longest(op.outputs, infos[: len(op.outputs)], fillvalue=Info()):
        assert isinstance(result, SSAValue)
        a.set(result, info)


def _stated(op: onnx.NodeOp, a: ShapeAnalysis) -> list[Info]:
    """Extents of an operator without a rule, as far as ONNX's shape inference knows them (``stated.py``)."""
    given = op.attributes.get(EXTENTS)
    if not isinstance(given, ArrayAttr):
        return []
    infos = []
    for result, extents in zip(op.outputs, given, strict=False):
        known = extents if isinstance(extents, ArrayAttr) else ()
        names = [e.data for e in known if isinstance(e, StringAttr)]
        shape = tuple(int(n) if n.isdigit() else d.symbol(n) if n else None for n in names)
        infos.append(Info(shape if names else None, element_of(result.type)))
    return infos


# -- helpers ------------------------------------------------------------------------------------------


def operand(op: onnx.NodeOp, index: int) -> SSAValue | None:
    """Input ``index`` of a node, ``None`` when it is absent."""
    if index >= len(op.inputs) or isinstance(op.inputs[index].type, NoneType):
        return None
    return op.inputs[index]


def keeps_dims(op: onnx.NodeOp) -> bool:
    """Whether a reduction keeps its axes with extent 1; for onnxruntime that is 1 alone, not any truth."""
    return int_attribute(op, "keepdims", 1) == 1


def axes_of(op: onnx.NodeOp, a: ShapeAnalysis) -> list[int] | None:
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


def moved(op: onnx.NodeOp, a: ShapeAnalysis, shape: tuple[Dim, ...] | None) -> Info:
    """Info of a result that holds the elements of input 0 in another shape."""
    info = a.info(op.inputs[0])
    content = a.content(op.inputs[0])
    if content is not None:
        fixed = shape is not None and all(isinstance(x, int) for x in shape)
        content = content.reshape([x for x in shape or () if isinstance(x, int)]) if fixed else None
    return Info(shape, info.element, content, info.splat)


def normal_axes(axes: Sequence[int], rank: int) -> list[int] | None:
    out = [x + rank if x < 0 else x for x in axes]
    return out if all(0 <= x < rank for x in out) else None


@rule("Shape")
def _shape(op: onnx.NodeOp, a: ShapeAnalysis) -> Info:
    shape = a.shape(op.inputs[0])
    if shape is None:
        return Info((None,), i64)
    end = int_attribute(op, "end", len(shape))
    part = shape[slice(int_attribute(op, "start", 0), end)]
    return Info((len(part),), i64, vector_content(part))


@rule("Size")
def _size(op: onnx.NodeOp, a: ShapeAnalysis) -> Info:
    shape = a.shape(op.inputs[0])
    return Info((), i64, scalar_content(d.product(shape)) if shape is not None else None)


@rule("ConstantOfShape")
def _constant_of_shape(op: onnx.NodeOp, a: ShapeAnalysis) -> Info:
    array = a.constants.attribute(op, "value")
    element: Attribute = f32
    value = 0.0
    if array is not None:
        element, value = element_from_dtype(array.dtype), float(array.reshape(-1)[0])
    return _filled(a, op.inputs[0], element, value)


def _filled(a: ShapeAnalysis, target: SSAValue, element: Attribute | None, value: float | None) -> Info:
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


def _target(a: ShapeAnalysis, value: SSAValue) -> tuple[Dim, ...] | None:
    """A shape given as a tensor; unknown extents where only its length is known."""
    content = a.content(value)
    if content is not None and content.ndim == 1:
        return tuple(content.tolist())
    shape = a.shape(value)
    if shape is not None and len(shape) == 1 and isinstance(shape[0], int) and shape[0] <= 64:
        return (None,) * shape[0]
    return None


@rule("Range")
def _range(op: onnx.NodeOp, a: ShapeAnalysis) -> Info:
    start, limit, delta = (a.scalar(v) for v in op.inputs)
    count = d.divide(d.sub(limit, start), delta)
    element = a.element(op.inputs[0])
    if isinstance(start, int) and isinstance(limit, int) and isinstance(delta, int) and delta != 0:
        count = max(0, -(-(limit - start) // delta))
        if count <= CONTENT_LIMIT:
            return Info((count,), element, vector_content(list(range(start, limit, delta))))
    return Info((count,), element)


@rule("Reshape")
def _reshape(op: onnx.NodeOp, a: ShapeAnalysis) -> Info:
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
def _flatten(op: onnx.NodeOp, a: ShapeAnalysis) -> Info:
    shape = a.shape(op.inputs[0])
    if shape is None:
        return Info((None, None), a.element(op.inputs[0]))
    axis = int_attribute(op, "axis", 1)
    if not -len(shape) <= axis <= len(shape):
        return Info((None, None), a.element(op.inputs[0]))
    axis = axis + len(shape) if axis < 0 else axis
    return moved(op, a, (d.product(shape[:axis]), d.product(shape[axis:])))


@rule("Squeeze")
def _squeeze(op: onnx.NodeOp, a: ShapeAnalysis) -> Info:
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
def _unsqueeze(op: onnx.NodeOp, a: ShapeAnalysis) -> Info:
    shape, axes = a.shape(op.inputs[0]), axes_of(op, a)
    normal = normal_axes(axes, len(shape) + len(axes)) if shape is not None and axes is not None else None
    if shape is None or normal is None or len(set(normal)) < len(normal):
        return Info(None, a.element(op.inputs[0]))
    rest = iter(shape)
    out = tuple(1 if k in normal else next(rest) for k in range(len(shape) + len(normal)))
    return moved(op, a, out)


@rule("Transpose")
def _transpose(op: onnx.NodeOp, a: ShapeAnalysis) -> Info:
    info, shape, content = a.info(op.inputs[0]), a.shape(op.inputs[0]), a.content(op.inputs[0])
    if shape is None:
        return Info(None, info.element)
    perm = ints_attribute(op, "perm") or tuple(reversed(range(len(shape))))
    if sorted(perm) != list(range(len(shape))):
        return Info(None, info.element)
    moved = content.transpose(perm) if content is not None else None
    return Info(tuple(shape[p] for p in perm), info.element, moved, info.splat)


@rule("Expand")
def _expand(op: onnx.NodeOp, a: ShapeAnalysis) -> Info:
    info, target = a.info(op.inputs[0]), _target(a, op.inputs[1])
    shape = broadcast([a.shape(op.inputs[0]), target]) if target is not None else None
    return Info(shape, info.element, None, info.splat)


@rule("Tile")
def _tile(op: onnx.NodeOp, a: ShapeAnalysis) -> Info:
    info, shape, repeats = a.info(op.inputs[0]), a.shape(op.inputs[0]), _target(a, op.inputs[1])
    if shape is None or repeats is None or len(repeats) != len(shape):
        return Info((None,) * len(shape) if shape is not None else None, info.element)
    return Info(
        tuple(d.mul(x, r) for x, r in zip(shape, repeats, strict=True)), info.element, None, info.splat
    )


@rule("Concat")
def _concat(op: onnx.NodeOp, a: ShapeAnalysis) -> Info:
    element = a.element(op.inputs[0])
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
        if all(c is not None for c in filled):
            content = np.concatenate([c for c in filled if c is not None], axis=axis)
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
def _split(op: onnx.NodeOp, a: ShapeAnalysis) -> list[Info]:
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


def split_sizes(op: onnx.NodeOp, a: ShapeAnalysis, extent: Dim) -> list[Dim]:
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
