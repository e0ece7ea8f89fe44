"""Which operations tiles execute, and which values they must bring in."""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.func import ReturnOp
from xdsl.ir import Operation, SSAValue

from cimc.ir import rec


def is_chip(op: Operation) -> bool:
    """Whether tiles execute ``op``: everything but host operations, constants and the return."""
    return not isinstance(op, rec.HostOp | rec.ConstantOp | ReturnOp)


def outside(value: SSAValue, stage: int, stages: Mapping[Operation, int]) -> bool:
    """Whether a value reaches stage ``stage`` from outside the chip."""
    source = value.owner
    return not isinstance(source, Operation) or not is_chip(source) or stages[source] != stage
