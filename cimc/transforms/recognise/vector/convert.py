"""Conversions between floats, integers and truth values."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from cimc.analysis.shapes.operands import axes_of, keeps_dims
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import element_from_onnx, element_to_dtype, f32, i1, is_float
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, need
from cimc.transforms.matching.nodes import is_integer, node_of
from cimc.transforms.recognise.layout.reshape import Plumbing
from cimc.transforms.recognise.recogniser import Stage
from cimc.transforms.recognise.vector.logic import as_truth


class Cast(Plumbing):
    """A conversion between f32, integers and truth values; one that changes nothing vanishes.

    The f32 form of a count, ``Cast(ReduceSum(Cast(truth, int)))``, is counted in f32, which holds integers
    up to 2^24.
    """

    name = "cast"
    stage = Stage.OPERATORS
    kinds = frozenset({"Cast", "CastLike"})

    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        x = op.inputs[0]
        source = self.analysis.element(x)
        target = self.analysis.element(op.inputs[1]) if op.kind == "CastLike" else None
        target = target or element_from_onnx(onnx.int_attribute(op, "to", 0))
        if target is None or source is None:
            raise NoMatch("the element type is not known")
        if source == target:
            self.carried(op)
            return [x]
        if is_float(source) and is_float(target):
            # on the chip every float is f32; another type is what the value has outside
            need(f32 in (source, target), f"converts {source} to {target}, the chip only from or to f32")
            self.graph.fixed(x, self.graph.rows(x))
            return [emit.add(rec.CastOp(x, target))]
        need(
            f32 in (source, target) or i1 in (source, target),
            f"converts {source} to {target}, the chip only from or to f32",
        )
        for element in (source, target):
            need(element in (f32, i1) or is_integer(element), f"converts {source} to {target}")
        self.graph.fixed(x, self.graph.rows(x))
        if target != f32:
            self.for_chip(op)
        if target == i1:
            return [as_truth(emit, x, element_to_dtype(source))]
        counted = self._count(x) if target == f32 else None
        if counted is not None:
            truth, axes, keep = counted
            return [emit.add(rec.ReduceOp("sum", emit.add(rec.CastOp(truth, f32)), axes, keep))]
        return [emit.add(rec.CastOp(x, target))]

    def _count(self, x: SSAValue) -> tuple[SSAValue, list[int], bool] | None:
        """The truth values that ``x`` counts as integers, along neighbouring axes other than the batch."""
        total = node_of(x, "ReduceSum")
        inner = node_of(total.inputs[0], "Cast") if total is not None else None
        if total is None or inner is None or self.analysis.element(inner.inputs[0]) != i1:
            return None
        dims = self.graph.fixed(inner.inputs[0], self.graph.rows(inner.inputs[0]))
        axes = sorted({a % len(dims) for a in axes_of(total, self.analysis) or ()})
        if not axes or axes != list(range(axes[0], axes[-1] + 1)) or axes[0] == 0:
            return None
        return inner.inputs[0], axes, keeps_dims(total)
