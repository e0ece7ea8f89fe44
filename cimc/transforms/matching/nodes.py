"""Looking at the nodes around a match."""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerType
from xdsl.ir import Attribute, Operation, SSAValue

from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import NoneType
from cimc.transforms.matching.failure import need


def show(value: SSAValue) -> str:
    """A value as messages name it."""
    if isinstance(value.owner, onnx.ConstantOp | onnx.InitializerOp):
        return f"constant {onnx.name_of(value.owner) or ''}".strip()
    if isinstance(value.owner, Operation):
        return f"the result of {onnx.name_of(value.owner) or value.owner.name}"
    return f"input {value.name_hint}" if value.name_hint else "an input"


def node_of(value: SSAValue | None, *kinds: str) -> onnx.NodeOp | None:
    """The node that makes ``value``, if it is of one of ``kinds``; looks through Identity."""
    while value is not None:
        op = value.owner
        if not isinstance(op, onnx.NodeOp):
            return None
        if op.kind == "Identity" and "Identity" not in kinds:
            value = op.inputs[0]
            continue
        return op if op.kind in kinds else None
    return None


def axis_of(op: onnx.NodeOp, rank: int, default: int) -> int:
    """The ``axis`` attribute, counted from the front; NoMatch if there is no such axis."""
    axis = onnx.int_attribute(op, "axis", default)
    need(-rank <= axis < rank, f"axis {axis} does not exist")
    return axis + rank if axis < 0 else axis


def absent(value: SSAValue) -> bool:
    """Whether ``value`` stands for an input that is left out."""
    return isinstance(value.type, NoneType)


def is_integer(element: Attribute | None) -> bool:
    """Whether ids may have this element type."""
    return isinstance(element, IntegerType) and element.width.data > 1
