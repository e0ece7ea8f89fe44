"""Equal nodes become one, unused ones go."""

from __future__ import annotations

from collections.abc import Hashable

from xdsl.ir import Block, Operation, Region
from xdsl.rewriter import Rewriter

from cimc.ir.onnx.dialect import ConstantOp, InitializerOp, NodeOp, NoneOp

_RANDOM = frozenset(
    ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")
)
_PURE_DOMAINS = ("", "ai.onnx.ml")


def is_pure(op: Operation) -> bool:
    """Whether an operation only computes its results; operators of unknown domains may do more."""
    if isinstance(op, NodeOp):
        return (op.domain.data if op.domain else "") in _PURE_DOMAINS
    return isinstance(op, ConstantOp | InitializerOp | NoneOp)


def is_repeatable(op: Operation) -> bool:
    """Whether a second execution on the same operands gives the same results."""
    if isinstance(op, NodeOp):
        kind = op.op_type.data
        # A Dropout in training mode is random; one at inference is gone by now.
        return is_pure(op) and kind not in _RANDOM and kind != "Dropout" and not op.bodies
    return is_pure(op)


def merge_equal(region: Region) -> int:
    """Replace every operation by an equal earlier one of its block; returns how many went."""
    merged = 0
    for block in region.blocks:
        seen: dict[Hashable, Operation] = {}
        for op in list(block.ops):
            for body in op.regions:
                merged += merge_equal(body)
            if not is_repeatable(op):
                continue
            key = (
                op.name,
                tuple(op.operands),
                tuple(sorted(op.properties.items())),
                tuple(result.type for result in op.results),
            )
            first = seen.setdefault(key, op)
            if first is not op:
                Rewriter.replace_op(op, [], list(first.results))
                merged += 1
    return merged


def remove_unused(region: Region) -> int:
    """Erase operations whose results nobody uses, users first; returns how many went."""
    removed = 0
    for block in region.blocks:
        removed += _remove_unused_of(block)
    return removed


def _remove_unused_of(block: Block) -> int:
    removed = 0
    for op in reversed(list(block.ops)):
        if is_pure(op) and not any(result.first_use is not None for result in op.results):
            removed += not isinstance(op, NoneOp)
            Rewriter.erase_op(op)
            continue
        for body in op.regions:
            removed += remove_unused(body)
    return removed
