"""Element types of quantised activations."""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerType, Signedness

from cimc.ir.types import i8

u8 = IntegerType(8, Signedness.UNSIGNED)


def activation_type(signed: bool) -> IntegerType:
    """Element type of quantised activations: ``i8`` signed, ``ui8`` unsigned."""
    return i8 if signed else u8
