"""Which operations tiles execute, and which values they must bring in."""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.func import ReturnOp
from xdsl.ir import Operation, SSAValue

from cimc.ir import cim, rec


def is_chip(op: Operation) -> bool:
    """Whether tiles execute ``op``: everything but host operations, constants and the return."""
    return not isinstance(op, rec.HostOp | rec.ConstantOp | ReturnOp)


def outside(value: SSAValue, stage: int, stages: Mapping[Operation, int]) -> bool:
    """Whether a value reaches stage ``stage`` from outside the chip."""
    source = value.owner
    return not isinstance(source, Operation) or not is_chip(source) or stages[source] != stage


def streamed(op: Operation, stage: int, stages: Mapping[Operation, int]) -> bool:
    """Whether a lookup takes its ids straight from outside, one bag a request, without a load."""
    if not isinstance(op, cim.LookupOp) or not outside(op.ids, stage, stages):
        return False
    if op.weights is not None and not outside(op.weights, stage, stages):
        return False
    rank = len(rec.shape(op.ids))
    return rank == 1 or (rank == 2 and op.mode.data != "none")
