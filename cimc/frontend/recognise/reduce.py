"""Reductions, softmax and normalisation over axes other than the batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from cimc.frontend.constants import float_attribute
from cimc.frontend.match import Emitter, NoMatch, Recogniser, axis_of, need
from cimc.frontend.shape_rules import axes_of
from cimc.ir import onnx, rec
from cimc.ir.onnx import int_attribute

_KINDS = {
    "ReduceSum": "sum",
    "ReduceMean": "mean",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceL2": "l2",
    "ReduceL1": "sum",
    "ReduceSumSquare": "sum",
}


class Reduce(Recogniser):
    """``y = reduce(x)`` over axes >= 1; ``L1`` and ``SumSquare`` sum ``|x|`` and ``x * x``."""

    name = "reduce"
    kinds = frozenset(_KINDS)

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        dims = self.graph.activation(x)
        axes = axes_of(op, self.analysis)
        if axes is None:
            raise NoMatch("the axes are not known at compile time")
        if not axes and int_attribute(op, "noop_with_empty_axes", 0):
            raise NoMatch("reduces over no axis")
        normal = sorted({a % len(dims) for a in axes})
        need(normal, "reduces over all axes, the batch among them")
        need(normal[0] >= 1, "reduces over the batch")
        if op.kind == "ReduceL1":
            x = emit.add(rec.UnaryOp("abs", x))
        elif op.kind == "ReduceSumSquare":
            x = emit.add(rec.BinaryOp("mul", x, x))
        return [emit.add(rec.ReduceOp(_KINDS[op.kind], x, normal, bool(int_attribute(op, "keepdims", 1))))]


class Softmax(Recogniser):
    """``softmax(x) = e / sum(e)`` with ``e = exp(x - max(x))`` along an axis >= 1.

    Below opset 13 the operator normalises over all axes from ``axis`` on.
    """

    name = "softmax"
    kinds = frozenset({"Softmax"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        rank = len(self.graph.activation(x))
        modern = self.graph.opset >= 13
        axis = axis_of(op, rank, -1 if modern else 1)
        need(axis >= 1, "normalises over the batch")
        axes = [axis] if modern else list(range(axis, rank))
        peak = emit.add(rec.ReduceOp("max", x, axes, keepdims=True))
        e = emit.add(rec.UnaryOp("exp", emit.add(rec.BinaryOp("sub", x, peak))))
        return [emit.add(rec.BinaryOp("div", e, emit.add(rec.ReduceOp("sum", e, axes, keepdims=True))))]


class BatchNormalization(Recogniser):
    """Inference-time batch normalisation, ``y = x * a + c`` along axis 1, with constants::

    a = scale / sqrt(variance + epsilon)        c = bias - mean * a
    """

    name = "batch-normalization"
    kinds = frozenset({"BatchNormalization"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        dims = self.graph.activation(x)
        need(not int_attribute(op, "training_mode", 0), "normalises by the batch's own statistics")
        need(all(not self.graph.users(r) for r in op.results[1:]), "its statistics are used")
        arrays = [self.graph.constant(v) for v in op.inputs[1:5]]
        if len(arrays) != 4 or any(a is None for a in arrays):
            raise NoMatch("its parameters are not constant")
        scale, bias, mean, variance = (np.asarray(a, np.float64) for a in arrays)
        factor = scale / np.sqrt(variance + float_attribute(op, "epsilon", 1e-5))
        wide = (1, -1, *([1] * (len(dims) - 2)))
        name = onnx.name_of(op) or "normalization"
        a = emit.shared(factor.reshape(wide).astype(np.float32), f"{name}.scale", len(dims))
        c = emit.shared((bias - mean * factor).reshape(wide).astype(np.float32), f"{name}.shift", len(dims))
        value = emit.add(rec.BinaryOp("add", emit.add(rec.BinaryOp("mul", x, a)), c))
        return [value, *[None] * (len(op.results) - 1)]
