"""Nodes that hand on their input."""

from __future__ import annotations

from xdsl.pattern_rewriter import PatternRewriter

from cimc.ir.onnx.dialect import NodeOp, int_attribute
from cimc.ir.types import NoneType, shape_of
from cimc.transforms.onnx.simplify.rule import Rule, forward, operand


class RemoveIdentity(Rule):
    """``Identity(x) = x``."""

    name = "remove-identity"
    ops = frozenset({"Identity"})

    def apply(self, op: NodeOp, rewriter: PatternRewriter) -> bool:
        forward(op, rewriter, [op.inputs[0]])
        return True


class RemoveDropout(Rule):
    """``Dropout(x) = x`` at inference: ``training_mode`` left out or false, mask unused.

    Before operator set 7 an attribute said so; such models are left alone.
    """

    name = "remove-dropout"
    ops = frozenset({"Dropout"})

    def apply(self, op: NodeOp, rewriter: PatternRewriter) -> bool:
        training = operand(op, 2)
        if training is not None:
            flag = self.scope.constant(training)
            if flag is None or flag.any():
                return False
        masks = op.outputs[1:]
        if self.scope.opset.get("", 1) < 7 or any(
            mask.first_use is not None for mask in masks if not isinstance(mask.type, NoneType)
        ):
            return False
        forward(op, rewriter, [op.inputs[0], *[None] * len(masks)])
        return True


class RemoveSingleConcat(Rule):
    """``Concat(x) = x``, where the axis exists: a node that onnxruntime refuses stays, and so is refused."""

    name = "remove-single-concat"
    ops = frozenset({"Concat"})

    def apply(self, op: NodeOp, rewriter: PatternRewriter) -> bool:
        shape = shape_of(op.inputs[0].type)
        if len(op.inputs) != 1 or shape is None:
            return False
        if not -len(shape) <= int_attribute(op, "axis", 1) < len(shape):
            return False
        forward(op, rewriter, [op.inputs[0]])
        return True
