"""Shapes that are known before anything runs."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, SSAValue
from xdsl.pattern_rewriter import PatternRewriter

from cimc.ir.onnx.dialect import NodeOp, int_attribute
from cimc.ir.types import DYNAMIC, shape_of
from cimc.transforms.onnx.simplify.rule import Rule, Scope, int64


class FoldShape(Rule):
    """``Shape(x)`` and ``Size(x)`` of a constant, or of a graph input with fixed extents."""

    name = "fold-shape"
    ops = frozenset({"Shape", "Size"})

    def apply(self, op: NodeOp, rewriter: PatternRewriter) -> bool:
        shape = certain_shape(op.inputs[0], self.scope)
        if shape is None:
            return False
        if op.op_type.data == "Size":
            result = np.array(np.prod(shape, dtype=object), np.int64)
        else:
            start, end = int_attribute(op, "start", 0), int_attribute(op, "end", len(shape))
            result = int64(shape[slice(start, end)])
        rewriter.replace(op, self.scope.make_constant(result, op))
        return True


class ScalarRange(Rule):
    """``Range`` takes scalars; onnxruntime lets one-element tensors pass, but not once they are constant."""

    name = "scalar-range"
    ops = frozenset({"Range"})

    def apply(self, op: NodeOp, rewriter: PatternRewriter) -> bool:
        arrays = [self.scope.constant(v) for v in op.inputs]
        if not any(a is not None and a.ndim and a.size == 1 for a in arrays):
            return False
        operands = list(op.inputs)
        for index, array in enumerate(arrays):
            if array is not None and array.ndim and array.size == 1:
                scalar = self.scope.make_constant(array.reshape(()), op)
                rewriter.insert(scalar)
                operands[index] = scalar.output
        types = [result.type for result in op.results]
        rewriter.replace(op, NodeOp("Range", operands, types, location=op.location))
        return True


def certain_shape(value: SSAValue, scope: Scope) -> tuple[int, ...] | None:
    """The extents of ``value`` where they cannot turn out different when the model runs."""
    array = scope.constant(value)
    if array is not None:
        return array.shape
    if isinstance(value, BlockArgument) and isinstance(value.block.parent_op(), FuncOp):
        shape = shape_of(value.type)
        return None if shape is None or DYNAMIC in shape else shape
    return None
