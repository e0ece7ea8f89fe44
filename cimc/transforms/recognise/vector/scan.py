"""Running sums, and products over an axis, in as many steps as the extent has bits."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from cimc.analysis.shapes.operands import axes_of, keeps_dims, normal_axes
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.dialect import int_attribute
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, need
from cimc.transforms.recognise.recogniser import Recogniser, Stage


def _shifted(emit: Emitter, x: SSAValue, axis: int, by: int, reverse: bool) -> SSAValue:
    """``x`` moved along an axis, zeros behind it."""
    extent = rec.shape(x)[axis]
    if reverse:
        return emit.add(rec.SliceOp(emit.add(rec.PadOp(x, axis, 0, by)), axis, by, by + extent))
    return emit.add(rec.SliceOp(emit.add(rec.PadOp(x, axis, by, 0)), axis, 0, extent))


class RunningSum(Recogniser):
    """``CumSum`` of f32 along an axis other than the batch, by doubling::

        s_1 = x        s_2k[i] = s_k[i] + s_k[i - k]        y = s_extent

    so additions are in another order than one after the other.
    """

    name = "running-sum"
    stage = Stage.OPERATORS
    kinds = frozenset({"CumSum"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x, axis = op.inputs[0], self.analysis.scalar(op.inputs[1])
        dims = self.graph.activation(x)
        if not isinstance(axis, int) or not -len(dims) <= axis < len(dims):
            raise NoMatch("the axis is not known at compile time")
        axis %= len(dims)
        need(axis >= 1, "adds up requests")
        need(dims[axis] >= 1, "the axis is empty")
        reverse = int_attribute(op, "reverse", 0) == 1
        if int_attribute(op, "exclusive", 0) == 1:
            x = _shifted(emit, x, axis, 1, reverse)
        reach = 1
        while reach < dims[axis]:
            x = emit.add(rec.BinaryOp("add", x, _shifted(emit, x, axis, reach, reverse)))
            reach *= 2
        return [x]


class Product(Recogniser):
    """``ReduceProd`` over axes other than the batch: halves are multiplied until one element is left."""

    name = "product"
    stage = Stage.OPERATORS
    kinds = frozenset({"ReduceProd"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        dims = self.graph.activation(x)
        given = axes_of(op, self.analysis)
        if given is None:
            raise NoMatch("the axes are not known at compile time")
        normal = normal_axes(given, len(dims))
        if normal is None:
            raise NoMatch("an axis does not exist")
        axes = sorted(set(normal))
        need(axes and axes[0] >= 1, "multiplies requests")
        need(all(dims[a] >= 1 for a in axes), "an axis is empty")
        for axis in axes:
            x = self._folded(emit, x, axis)
        kept = [d for k, d in enumerate(dims) if k not in axes]
        return [x if keeps_dims(op) else emit.add(rec.ReshapeOp(x, kept))]

    def _folded(self, emit: Emitter, x: SSAValue, axis: int) -> SSAValue:
        while (extent := rec.shape(x)[axis]) > 1:
            if extent % 2:
                x, extent = emit.add(rec.PadOp(x, axis, 0, 1, 1.0)), extent + 1
            halves = [(0, extent // 2), (extent // 2, extent)]
            x = emit.add(rec.BinaryOp("mul", *(emit.add(rec.SliceOp(x, axis, a, b)) for a, b in halves)))
        return x
