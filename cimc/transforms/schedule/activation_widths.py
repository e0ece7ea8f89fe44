"""Activations cross links as the integers that arrays take, at their width."""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import Rewriter

from cimc.ir import cim, rec
from cimc.ir.types import i8, is_float
from cimc.transforms.schedule.chip_operations import is_chip, outside

_WORD, _BYTE = 32, 8


def quantise_outside(function: FuncOp, stages: Mapping[Operation, int]) -> None:
    """Let the host quantise a float that a stage uses for nothing else.

    The integers are those that a tile would make.  Each use has its own scale and crosses by itself, so this
    is done while they take no more bits than the float would.
    """
    for op in list(function.body.block.ops):
        if not isinstance(op, cim.QuantizeOp):
            continue
        relu = _relu(op)
        x = op.x if relu is None else relu.x
        if not outside(x, stages[op], stages) or isinstance(x.owner, rec.ConstantOp):
            continue
        if not is_float(rec.element(x)):
            continue
        here = [u.operation for u in x.uses if is_chip(u.operation) and u.operation is not relu]
        here += [op] if relu is not None else []
        here = [o for o in here if stages.get(o) == stages[op]]
        integers = [o for o in here if isinstance(o, cim.QuantizeOp | cim.LoadQuantizedOp)]
        if len(integers) < len(here) or sum(o.bits.value.data for o in integers) > _WORD:
            continue
        new = cim.LoadQuantizedOp(x, op.scale.value.data, op.bits.value.data, rec.element(op.result))
        new.location = op.location
        new.result.name_hint = op.result.name_hint
        Rewriter.replace_op(op, new)
        if relu is not None:
            Rewriter.erase_op(relu)


def _relu(op: cim.QuantizeOp) -> rec.UnaryOp | None:
    """A ReLU that only ``op`` reads and that changes nothing: unsigned integers begin at 0 without it."""
    before = op.x.owner
    if op.signed or not isinstance(before, rec.UnaryOp) or before.kind.data != "relu":
        return None
    return before if len(list(before.result.uses)) == 1 else None


def narrow_bits(value: SSAValue) -> int | None:
    """Bits of the integers that ``value`` is made of, if less than a byte."""
    if rec.element(value) not in (i8, cim.u8):
        return None
    widths: set[int] = set()
    pending, seen = [value], set[SSAValue]()
    while pending:
        each = pending.pop()
        if each in seen:
            continue
        seen.add(each)
        op = each.owner
        if isinstance(op, cim.QuantizeOp | cim.LoadQuantizedOp):
            widths.add(op.bits.value.data)
        elif isinstance(op, rec.ReshapeOp | rec.SliceOp | rec.ConcatOp | cim.TransferOp):
            pending.extend(op.operands)
        else:
            return None
    widest = max(widths)
    return widest if widest < _BYTE else None
