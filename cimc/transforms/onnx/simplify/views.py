"""Chains of nodes that only look at the same elements in another shape or order."""

from __future__ import annotations

from xdsl.dialects.builtin import DenseArrayBase
from xdsl.ir import SSAValue
from xdsl.pattern_rewriter import PatternRewriter

from cimc.ir.onnx.attributes import ints_of
from cimc.ir.onnx.dialect import NodeOp
from cimc.ir.types import i64, shape_of
from cimc.transforms.onnx.simplify.rule import Rule, Scope, forward, operand, producer


class MergeReshapes(Rule):
    """``Reshape(view(x), s) = Reshape(x, s)`` for a constant ``s`` that copies no extent (has no 0).

    A view is Reshape, Flatten, Squeeze or Unsqueeze: the elements keep their order.
    """

    name = "merge-reshapes"
    ops = frozenset({"Reshape"})

    def apply(self, op: NodeOp, rewriter: PatternRewriter) -> bool:
        inner = producer(op.inputs[0], "Reshape", "Flatten", "Squeeze", "Unsqueeze")
        target = self.scope.ints(op.inputs[1]) if len(op.inputs) > 1 else None
        if inner is None or target is None or 0 in target:
            return False
        op.operands[0] = inner.inputs[0]
        rewriter.notify_op_modified(op)
        return True


class MergeTransposes(Rule):
    """``Transpose(Transpose(x, p), q) = Transpose(x, p[q])``."""

    name = "merge-transposes"
    ops = frozenset({"Transpose"})

    def apply(self, op: NodeOp, rewriter: PatternRewriter) -> bool:
        inner = producer(op.inputs[0], "Transpose")
        if inner is None:
            return False
        first, second = permutation(inner), permutation(op)
        if first is None or second is None or len(first) != len(second):
            return False
        both = DenseArrayBase.from_list(i64, [first[axis] for axis in second])
        merged = NodeOp(
            "Transpose", [inner.inputs[0]], [op.outputs[0].type], {"perm": both}, location=op.location
        )
        rewriter.replace(op, merged)
        return True


class RemoveTranspose(Rule):
    """``Transpose(x, (0, 1, ...)) = x``."""

    name = "remove-transpose"
    ops = frozenset({"Transpose"})

    def apply(self, op: NodeOp, rewriter: PatternRewriter) -> bool:
        perm = permutation(op)
        if perm is None or perm != tuple(range(len(perm))):
            return False
        forward(op, rewriter, [op.inputs[0]])
        return True


class SqueezeOfUnsqueeze(Rule):
    """``Squeeze(Unsqueeze(x, a), a) = x``: both count axes in the longer shape."""

    name = "squeeze-of-unsqueeze"
    ops = frozenset({"Squeeze"})

    def apply(self, op: NodeOp, rewriter: PatternRewriter) -> bool:
        inner = producer(op.inputs[0], "Unsqueeze")
        if inner is None:
            return False
        inserted, removed = axes_of(inner, self.scope), axes_of(op, self.scope)
        if not inserted or not removed or set(inserted) != set(removed):
            return False
        forward(op, rewriter, [inner.inputs[0]])
        return True


def permutation(op: NodeOp) -> tuple[int, ...] | None:
    """The permutation of a Transpose; by default the axes are reversed."""
    perm = ints_of(op.attribute("perm"))
    if perm is None:
        shape = shape_of(op.inputs[0].type)
        perm = tuple(reversed(range(len(shape)))) if shape is not None else None
    return perm if perm is not None and sorted(perm) == list(range(len(perm))) else None


def axes_of(op: NodeOp, scope: Scope) -> tuple[int, ...] | None:
    """Constant axes of a node: an attribute before operator set 13, an input since."""
    given: SSAValue | None = operand(op, 1)
    return scope.ints(given) if given is not None else ints_of(op.attribute("axes"))
