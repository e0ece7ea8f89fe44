"""How much one request holds of a value."""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from cimc.errors import Location, PassError
from cimc.ir import rec
from cimc.ir.cim import u8
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import i8


def element_bytes(value: SSAValue) -> int:
    """Bytes of one element on the chip: quantised activations take one, everything else four."""
    return 1 if rec.element(value) in (i8, u8) else 4


def request_shape(value: SSAValue) -> tuple[int, ...]:
    """Extents of one request's part of a value.

    Raises:
        PassError: ``schedule.dynamic-shape`` when one is not known at compile time.
    """
    dims = rec.shape(value)[1:]
    if any(d < 0 for d in dims):
        op = value.owner if isinstance(value.owner, Operation) else None
        raise PassError(
            "schedule.dynamic-shape",
            f"a value of shape {['?' if d < 0 else d for d in rec.shape(value)]} varies from request to "
            "request; the scratchpad holds values of known size",
            location=Location(node=onnx.name_of(op)) if op else None,
            hint="export the model with a fixed sequence length",
        )
    return dims


def request_bytes(value: SSAValue) -> int:
    """Scratchpad bytes of one request's part of a value."""
    total = element_bytes(value)
    for extent in request_shape(value):
        total *= extent
    return total
