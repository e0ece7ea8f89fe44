"""Conversions of the element type that are none, or whose type is known."""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerAttr, UnrankedTensorType
from xdsl.pattern_rewriter import PatternRewriter

from cimc.ir.onnx.dialect import NodeOp, int_attribute
from cimc.ir.types import element_from_onnx, element_of, element_to_onnx, i64, shape_of, tensor
from cimc.transforms.onnx.simplify.rule import Rule, forward


class CastLikeToCast(Rule):
    """``CastLike(x, y) = Cast(x)`` to the element type of ``y``, so that ``y`` need not be computed."""

    name = "castlike-to-cast"
    ops = frozenset({"CastLike"})

    def apply(self, op: NodeOp, rewriter: PatternRewriter) -> bool:
        to = element_of(op.inputs[1].type)
        if to is None:
            return False
        shape = shape_of(op.inputs[0].type)
        cast = NodeOp(
            "Cast",
            [op.inputs[0]],
            [UnrankedTensorType(to) if shape is None else tensor(shape, to)],
            {"to": IntegerAttr(element_to_onnx(to), i64)},
            location=op.location,
        )
        rewriter.replace(op, cast)
        return True


class RemoveCast(Rule):
    """``Cast(x) = x`` when ``x`` has that element type already."""

    name = "remove-cast"
    ops = frozenset({"Cast"})

    def apply(self, op: NodeOp, rewriter: PatternRewriter) -> bool:
        to = element_from_onnx(int_attribute(op, "to", 0))
        if to is None or element_of(op.inputs[0].type) != to:
            return False
        forward(op, rewriter, [op.inputs[0]])
        return True
