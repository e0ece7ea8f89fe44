"""Convolutions as linear layers over windows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import SSAValue

from cimc.analysis.constants import ints_attribute
from cimc.analysis.shapes.operands import operand
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import f32
from cimc.transforms.matching.batch_norm import Affine, batch_norm
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, NotMine, need
from cimc.transforms.matching.nodes import node_of, show
from cimc.transforms.recognise.layers.weights import linear, swapped, vector
from cimc.transforms.recognise.layout.select import select
from cimc.transforms.recognise.recogniser import Recogniser, Stage

_LIMIT = 1 << 16
"""Positions that the windows of one convolution may have together."""
_GROUPS = 64
"""Groups of channels that a convolution may have: each is a layer of its own."""


class Conv(Recogniser):
    """A convolution over ``x [B, C, ...]``: windows of positions, channels last, times one matrix::

        y[b, n, p] = sum_{k, c} x[b, c, position(p, k)] W[n, c, k] + bias[n]

    Groups of channels are a layer each, side by side.  With a kernel of 1 (the compression of xDeepFM's CIN)
    the windows are the positions themselves.  A ``BatchNormalization`` right behind goes into weights and
    bias.
    """

    name = "convolution"
    stage = Stage.OPERATORS
    kinds = frozenset({"Conv", "BatchNormalization"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        after: Affine | None = None
        node = op
        if op.kind == "BatchNormalization":
            inner = node_of(op.inputs[0], "Conv")
            if inner is None:
                raise NotMine("normalises no convolution")
            need(len(self.graph.users(inner.outputs[0])) == 1, "the convolution is used elsewhere too")
            after, node = batch_norm(op, self.graph), inner
        dims = self.graph.activation(node.inputs[0])
        weight, bias = self.graph.constant(node.inputs[1]), operand(node, 2)
        if weight is None or (bias is not None and self.graph.constant(bias) is None):
            raise NoMatch("the weights are not constant")
        need(self.analysis.element(node.inputs[1]) == f32, f"weights of {show(node.inputs[1])} are not f32")
        groups = int_attribute(node, "group", 1)
        need(1 <= groups <= _GROUPS, f"the channels are convolved in {groups} groups, a layer each")
        need(len(dims) > 2 and weight.ndim == len(dims), "the weights do not fit the activations")
        units = weight.shape[0]
        need(
            dims[1] == groups * weight.shape[1] and units % groups == 0, "the groups do not fit the channels"
        )
        flat = np.moveaxis(weight, 1, -1).reshape(units, -1).T
        offset = np.zeros(units) if bias is None else np.asarray(self.graph.constant(bias), np.float64)
        if after is not None:
            flat, offset = flat * after.scale, offset * after.scale + after.shift
        biased = bias is not None or after is not None
        name = self.graph.symbol_of(node.inputs[1])
        parts = []
        for g in range(groups):
            suffix = "" if groups == 1 else f".group{g}"
            chosen, mine = node.inputs[0], slice(g * units // groups, (g + 1) * units // groups)
            if groups > 1:
                chosen = emit.add(rec.SliceOp(chosen, 1, g * weight.shape[1], (g + 1) * weight.shape[1]))
            windows, sizes = self._windows(node, chosen, weight.shape[2:], emit)
            stored = vector(emit, offset[mine], f"{name}.bias{suffix}") if biased else None
            parts.append(linear(emit, windows, flat[:, mine], f"{name}.2d{suffix}", stored))
        value = parts[0] if groups == 1 else emit.add(rec.ConcatOp(parts, 2))
        value = swapped(emit, value)
        if len(sizes) > 1:
            value = emit.add(rec.ReshapeOp(value, (dims[0], units, *sizes)))
        return [value, *[None] * (len(op.results) - 1)]

    def _windows(
        self, op: onnx.NodeOp, x: SSAValue, kernel: Sequence[int], emit: Emitter
    ) -> tuple[SSAValue, list[int]]:
        """``[B, positions, window * channels]``, and the extents of the result's positions."""
        count = len(kernel)
        strides = ints_attribute(op, "strides") or (1,) * count
        dilations = ints_attribute(op, "dilations") or (1,) * count
        dims = rec.shape(x)
        pads = self._pads(op, dims[2:], kernel, strides, dilations)
        for axis, (before, behind) in enumerate(pads, 2):
            need(before >= 0 and behind >= 0, "the padding is negative")
            if before or behind:
                x = emit.add(rec.PadOp(x, axis, before, behind))
        first, channels, *extents = rec.shape(x)
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        sizes = [(e - r) // s + 1 for e, r, s in zip(extents, reach, strides, strict=True)]
        need(min(sizes) > 0, "the kernel is larger than the activations")
        total, window = int(np.prod(sizes, dtype=np.int64)), int(np.prod(kernel, dtype=np.int64))
        need(total * window <= _LIMIT, f"the windows have {total * window} positions")
        places = int(np.prod(extents, dtype=np.int64))
        x = x if len(extents) == 1 else emit.add(rec.ReshapeOp(x, (first, channels, places)))
        x = swapped(emit, x)
        numbers = np.arange(places).reshape(extents)
        picked = [
            int(
                numbers[
                    tuple(p * s + k * d for p, s, k, d in zip(at, strides, inside, dilations, strict=True))
                ]
            )
            for at in itertools.product(*(range(n) for n in sizes))
            for inside in itertools.product(*(range(k) for k in kernel))
        ]
        x = select(emit, x, 1, picked)
        if rec.shape(x) != (first, total, window * channels):
            x = emit.add(rec.ReshapeOp(x, (first, total, window * channels)))
        return x, sizes

    def _pads(
        self,
        op: onnx.NodeOp,
        extents: Sequence[int],
        kernel: Sequence[int],
        strides: Sequence[int],
        dilations: Sequence[int],
    ) -> list[tuple[int, int]]:
        attr = op.attribute("auto_pad")
        mode = attr.data if isinstance(attr, StringAttr) else "NOTSET"
        count = len(kernel)
        if mode == "NOTSET":
            pads = ints_attribute(op, "pads") or (0,) * (2 * count)
            return list(zip(pads[:count], pads[count:], strict=True))
        if mode == "VALID":
            return [(0, 0)] * count
        out = []
        for extent, k, s, d in zip(extents, kernel, strides, dilations, strict=True):
            whole = max(0, (-(-extent // s) - 1) * s + (k - 1) * d + 1 - extent)
            small, large = whole // 2, whole - whole // 2
            out.append((small, large) if mode == "SAME_UPPER" else (large, small))
        return out
