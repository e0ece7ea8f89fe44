"""The binary form of instruction streams: opcode byte, then the operands in order, little-endian.

``source`` and ``dest``: u32 address (bit 31 = constant memory) and i32 stride; ``port`` and ``matrix``: u32
and i32 stride; ``count`` u32; ``step`` i32; ``float`` the float32 bits; ``choice`` one byte.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from cimc.errors import ProgramError
from cimc.isa.instructions import BY_OPCODE, INSTRUCTIONS, Field, Index, Instr, Kind, Operand, Ref

_CONSTANT = 1 << 31
_FORMATS = {
    Kind.DEST: "Ii",
    Kind.SOURCE: "Ii",
    Kind.PORT: "Ii",
    Kind.MATRIX: "Ii",
    Kind.COUNT: "I",
    Kind.STEP: "i",
    Kind.FLOAT: "f",
    Kind.CHOICE: "B",
}
_STRUCTS = {
    spec.opcode: struct.Struct("<B" + "".join(_FORMATS[f.kind] for f in spec.fields))
    for spec in BY_OPCODE.values()
}


def size_of(name: str) -> int:
    """Bytes that the binary form of an instruction takes."""
    return _STRUCTS[INSTRUCTIONS[name].opcode].size


def _numbers(entry: Field, value: Operand) -> tuple[int | float, ...]:
    if isinstance(value, Ref):
        return (value.base | (_CONSTANT if value.constant else 0), value.stride)
    if isinstance(value, Index):
        return tuple(value)
    if entry.kind is Kind.CHOICE:
        return (entry.choices.index(str(value)),)
    assert isinstance(value, int | float)
    return (value,)


def encode(stream: Iterable[Instr]) -> bytes:
    """Binary form of a stream.

    Raises:
        ProgramError: ``isa.operand-range`` when an operand does not fit its field.
    """
    out = bytearray()
    for item in stream:
        spec = item.spec
        flat: list[int | float] = [spec.opcode]
        for entry, value in zip(spec.fields, item.operands, strict=True):
            flat.extend(_numbers(entry, value))
        try:
            out += _STRUCTS[spec.opcode].pack(*flat)
        except (struct.error, ValueError) as error:
            raise ProgramError("isa.operand-range", f"{item.name}: {error}") from None
    return bytes(out)


def decode(code: bytes) -> tuple[Instr, ...]:
    """The stream of a binary form.

    Raises:
        ProgramError: ``isa.bad-code`` with the byte offset of the first thing that is no instruction.
    """
    out: list[Instr] = []
    at = 0
    while at < len(code):
        spec = BY_OPCODE.get(code[at])
        if spec is None:
            raise ProgramError("isa.bad-code", f"byte {at}: {code[at]:#04x} is no opcode")
        layout = _STRUCTS[spec.opcode]
        if at + layout.size > len(code):
            raise ProgramError("isa.bad-code", f"byte {at}: {spec.name} is cut off")
        numbers = iter(layout.unpack_from(code, at)[1:])
        operands: list[Operand] = []
        for entry in spec.fields:
            first = next(numbers)
            if entry.kind in (Kind.DEST, Kind.SOURCE):
                operands.append(Ref(first & ~_CONSTANT, next(numbers), bool(first & _CONSTANT)))
            elif entry.kind in (Kind.PORT, Kind.MATRIX):
                operands.append(Index(first, next(numbers)))
            elif entry.kind is Kind.CHOICE:
                if first >= len(entry.choices):
                    raise ProgramError(
                        "isa.bad-code", f"byte {at}: {spec.name} has no {entry.name} number {first}"
                    )
                operands.append(entry.choices[first])
            else:
                operands.append(first)
        out.append(Instr(spec.name, tuple(operands)))
        at += layout.size
    return tuple(out)
