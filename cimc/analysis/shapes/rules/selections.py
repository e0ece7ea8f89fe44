"""Symbolic shapes of selections: Gather, Slice, Pad, TopK."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cimc.analysis.constants import ints_attribute
from cimc.analysis.shapes import dims as d
from cimc.analysis.shapes.dims import Dim
from cimc.analysis.shapes.facts import CONTENT_LIMIT, Info, ShapeFacts, entries
from cimc.analysis.shapes.operands import known_content, normal_axes, operand
from cimc.analysis.shapes.rule_registry import rule
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import i64

OPEN_END = int(np.iinfo(np.int32).max)
"""A slice end from here on means "to the last element"."""
_TO_START = (OPEN_END, int(np.iinfo(np.int64).max))
"""Ends that, for onnxruntime, mean "to the first element" where the step is negative."""


@rule("Gather")
def _gather(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    data, indices = (a.shape(v) for v in op.inputs)
    info = a.info(op.inputs[0])
    if data is None or indices is None:
        return Info(None, info.element)
    axis = int_attribute(op, "axis", 0)
    axis = axis + len(data) if axis < 0 else axis
    if not 0 <= axis < len(data):
        return Info(None, info.element)
    content, chosen = a.content(op.inputs[0]), a.content(op.inputs[1])
    picked = None
    if content is not None and chosen is not None and known_content(chosen):
        index = chosen.astype(np.int64)
        if index.size and index.size <= CONTENT_LIMIT and np.abs(index).max() < content.shape[axis]:
            picked = np.empty((*content.shape[:axis], *index.shape, *content.shape[axis + 1 :]), object)
            picked[...] = np.take(content, index, axis=axis)
    return Info((*data[:axis], *indices, *data[axis + 1 :]), info.element, picked, info.splat)


@rule("GatherElements")
def _gather_elements(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    return Info(a.shape(op.inputs[1]), a.element(op.inputs[0]))


@rule("GatherND")
def _gather_nd(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    data, indices = (a.shape(v) for v in op.inputs)
    element = a.element(op.inputs[0])
    if data is None or indices is None or not indices or not isinstance(indices[-1], int):
        return Info(None, element)
    depth = int_attribute(op, "batch_dims", 0) + indices[-1]
    return Info((*indices[:-1], *data[depth:]), element)


@rule("Slice")
def _slice(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    info, shape = a.info(op.inputs[0]), a.shape(op.inputs[0])
    if shape is None:
        return Info(None, info.element)
    cuts = slices_of(op, a)
    if cuts is None:
        return Info((None,) * len(shape), info.element)
    content = a.content(op.inputs[0])
    out: list[Dim] = list(shape)
    for axis, start, end, step in cuts:
        out[axis] = slice_extent(shape[axis], start, end, step)
        known = isinstance(start, int) and isinstance(end, int) and isinstance(step, int) and step != 0
        if content is not None and known:
            kept = slice_positions(content.shape[axis], start, end, step)  # type: ignore[arg-type]
            content = np.take(content, kept, axis=axis)
        else:
            content = None
    return Info(tuple(out), info.element, content, info.splat)


def slices_of(op: onnx.NodeOp, a: ShapeFacts) -> list[tuple[int, Dim, Dim, Dim]] | None:
    """``(axis, start, end, step)`` of a Slice, in attributes (opset < 10) or inputs; None if not known."""
    shape = a.shape(op.inputs[0])
    if shape is None:
        return None
    given = ints_attribute(op, "starts")
    if given is not None:
        starts: list[Dim] = list(given)
        ends: list[Dim] = list(ints_attribute(op, "ends") or ())
        axes: list[Dim] = list(ints_attribute(op, "axes") or range(len(starts)))
        steps: list[Dim] = [1] * len(starts)
    else:
        contents = [a.content(op.inputs[k]) if operand(op, k) is not None else None for k in (1, 2)]
        if contents[0] is None or contents[1] is None:
            return None
        starts, ends = entries(contents[0]), entries(contents[1])
        rest: list[list[Dim]] = [list(range(len(starts))), [1] * len(starts)]
        for k in (3, 4):
            value = operand(op, k)
            if value is not None:
                content = a.content(value)
                if content is None:
                    return None
                rest[k - 3] = entries(content)
        axes, steps = rest
    if not all(isinstance(x, int) for x in axes) or not len(starts) == len(ends) == len(axes) == len(steps):
        return None
    normal = normal_axes([x for x in axes if isinstance(x, int)], len(shape))
    if normal is None or len(set(normal)) < len(normal):
        return None  # onnxruntime refuses it
    return list(zip(normal, starts, ends, steps, strict=True))


def slice_positions(extent: int, start: int, end: int, step: int) -> range:
    """The positions that a Slice keeps of an axis, in order; ``step`` is not 0.

    ONNX clamps both bounds to the axis, unlike Python also a start before the first element with a negative
    step.  With such a step, onnxruntime takes the greatest 32-bit and 64-bit integers as ends for "to the
    first element"; ONNX knows only ends below ``-extent`` for that.
    """
    last = extent - 1 if step < 0 else extent
    first = min(max(start + extent if start < 0 else start, 0), last)
    if step > 0:
        return range(first, min(max(end + extent if end < 0 else end, 0), extent), step)
    stop = -1 if end in _TO_START else max(end + extent if end < 0 else end, -1)
    return range(first, stop, step)


def slice_extent(extent: Dim, start: Dim, end: Dim, step: Dim) -> Dim:
    """How many positions a slice keeps of ``extent``."""
    if not isinstance(step, int) or step == 0:
        return None
    if isinstance(extent, int) and isinstance(start, int) and isinstance(end, int):
        return len(slice_positions(extent, start, end, step))
    if step == -1 and start == -1 and isinstance(end, int) and (end <= -OPEN_END or end in _TO_START):
        return extent
    if step != 1 or not isinstance(start, int) or isinstance(extent, int):
        return None
    # A symbolic extent is at least 1, so that starts 0, 1 and ends beyond -2 stay within it.
    if isinstance(end, int) and end >= OPEN_END:
        return d.sub(extent, start) if 0 <= start <= 1 else -start if start == -1 else None
    if start == 0 and end in (1, -1):
        return 1 if end == 1 else d.sub(extent, 1)
    if end == extent and 0 <= start <= 1:
        return d.sub(extent, start)
    return None


@rule("Pad")
def _pad(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    shape, element = a.shape(op.inputs[0]), a.element(op.inputs[0])
    pads = pads_of(op, a)
    if shape is None or pads is None:
        return Info((None,) * len(shape) if shape is not None else None, element)
    return Info(
        tuple(d.add(x, before + after) for x, (before, after) in zip(shape, pads, strict=True)), element
    )


def pads_of(op: onnx.NodeOp, a: ShapeFacts) -> list[tuple[int, int]] | None:
    """``(before, after)`` per axis of a Pad, in an attribute (opset < 11) or inputs."""
    shape = a.shape(op.inputs[0])
    given: Sequence[int] | None = ints_attribute(op, "pads")
    if given is None:
        value = operand(op, 1)
        given = None if value is None else a.integers(value)
    if shape is None or given is None:
        return None
    axes_value = operand(op, 3)
    axes = (
        normal_axes(a.integers(axes_value) or (), len(shape))
        if axes_value is not None
        else list(range(len(shape)))
    )
    if axes is None or len(set(axes)) < len(axes) or len(given) != 2 * len(axes):
        return None
    out = [(0, 0)] * len(shape)
    for k, axis in enumerate(axes):
        out[axis] = (given[k], given[k + len(axes)])
    return out


@rule("TopK")
def _top_k(op: onnx.NodeOp, a: ShapeFacts) -> list[Info]:
    shape, element = a.shape(op.inputs[0]), a.element(op.inputs[0])
    if not shape:
        return [Info(None, element), Info(None, i64)]
    axis = int_attribute(op, "axis", -1) % len(shape)
    k = a.scalar(op.inputs[1]) if operand(op, 1) is not None else int_attribute(op, "k", 0)
    out = (*shape[:axis], k, *shape[axis + 1 :])
    return [Info(out, element), Info(out, i64)]
