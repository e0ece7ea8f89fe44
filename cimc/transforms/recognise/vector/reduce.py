"""Reductions and softmax over axes other than the batch."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from cimc.analysis.shapes.operands import axes_of, keeps_dims, normal_axes
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, need
from cimc.transforms.matching.nodes import axis_of
from cimc.transforms.recognise.recogniser import Recogniser, Stage

_KINDS = {
    "ReduceSum": "sum",
    "ReduceMean": "mean",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceL2": "l2",
    "ReduceL1": "sum",
    "ReduceSumSquare": "sum",
    "ReduceLogSum": "sum",
    "ReduceLogSumExp": "sum",
}


def reduced(emit: Emitter, kind: str, x: SSAValue, axes: Sequence[int], keepdims: bool) -> SSAValue:
    """A reduction over any axes but the batch: one ``rec.reduce`` per run of neighbouring axes."""
    runs: list[list[int]] = []
    for axis in sorted(axes):
        if runs and runs[-1][-1] == axis - 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    if len(runs) > 1 and kind == "l2":
        squares = reduced(emit, "sum", emit.add(rec.BinaryOp("mul", x, x)), axes, keepdims)
        return emit.add(rec.UnaryOp("sqrt", squares))
    for run in reversed(runs):
        x = emit.add(rec.ReduceOp(kind, x, run, keepdims))
    return x


class Reduce(Recogniser):
    """``y = reduce(x)`` over axes >= 1.

    ``L1`` and ``SumSquare`` sum ``|x|`` and ``x * x``, ``LogSum`` takes the logarithm, and ``LogSumExp`` is
    ``m + log(sum(exp(x - m)))`` with ``m = max(x)``.
    """

    name = "reduce"
    stage = Stage.OPERATORS
    kinds = frozenset(_KINDS)

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        dims = self.graph.activation(x)
        axes = axes_of(op, self.analysis)
        if axes is None:
            raise NoMatch("the axes are not known at compile time")
        if not axes and int_attribute(op, "noop_with_empty_axes", 0) == 1:
            raise NoMatch("reduces over no axis")
        found = normal_axes(axes, len(dims))
        if found is None:
            raise NoMatch("an axis does not exist")
        normal = sorted(set(found))
        need(normal, "reduces over all axes, the batch among them")
        need(normal[0] >= 1, "reduces over the batch")
        keep = keeps_dims(op)
        kind = _KINDS[op.kind]
        if op.kind == "ReduceLogSumExp":
            peak = reduced(emit, "max", x, normal, True)
            e = emit.add(rec.UnaryOp("exp", emit.add(rec.BinaryOp("sub", x, peak))))
            total = emit.add(rec.UnaryOp("log", reduced(emit, "sum", e, normal, True)))
            value = emit.add(rec.BinaryOp("add", total, peak))
            kept = [d for k, d in enumerate(dims) if k not in normal]
            return [value if keep else emit.add(rec.ReshapeOp(value, kept))]
        if op.kind == "ReduceL1":
            x = emit.add(rec.UnaryOp("abs", x))
        elif op.kind == "ReduceSumSquare":
            x = emit.add(rec.BinaryOp("mul", x, x))
        value = reduced(emit, kind, x, normal, keep)
        return [emit.add(rec.UnaryOp("log", value)) if op.kind == "ReduceLogSum" else value]


class GlobalPool(Recogniser):
    """``GlobalAveragePool`` and ``GlobalMaxPool``: a reduction over all axes from 2 on."""

    name = "global-pool"
    stage = Stage.OPERATORS
    kinds = frozenset({"GlobalAveragePool", "GlobalMaxPool"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        rank = len(self.graph.activation(op.inputs[0]))
        need(rank > 2, "no axis to pool")
        kind = "mean" if op.kind == "GlobalAveragePool" else "max"
        return [reduced(emit, kind, op.inputs[0], range(2, rank), True)]


class Softmax(Recogniser):
    """``softmax(x) = e / sum(e)`` with ``e = exp(x - max(x))`` along an axis >= 1.

    ``LogSoftmax(x)`` is ``x - max(x) - log(sum(e))``.  Below opset 13 the operators normalise over all axes
    from ``axis`` on.
    """

    name = "softmax"
    stage = Stage.OPERATORS
    kinds = frozenset({"Softmax", "LogSoftmax"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        rank = len(self.graph.activation(x))
        modern = self.graph.opset >= 13
        axis = axis_of(op, rank, -1 if modern else 1)
        need(axis >= 1, "normalises over the batch")
        axes = [axis] if modern else list(range(axis, rank))
        peak = emit.add(rec.ReduceOp("max", x, axes, keepdims=True))
        below = emit.add(rec.BinaryOp("sub", x, peak))
        e = emit.add(rec.UnaryOp("exp", below))
        total = emit.add(rec.ReduceOp("sum", e, axes, keepdims=True))
        if op.kind == "LogSoftmax":
            return [emit.add(rec.BinaryOp("sub", below, emit.add(rec.UnaryOp("log", total))))]
        return [emit.add(rec.BinaryOp("div", e, total))]
