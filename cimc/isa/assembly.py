"""The text form of instructions: ``mvm dst=[256] src=[0] matrix=m3 first=0 count=7``.

Addresses stand in brackets (``c[..]`` is constant memory), a stride per loop iteration follows as ``+64i``.
Floats are printed so that they read back to the same bits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cimc.errors import Location, ProgramError
from cimc.isa.instructions import INSTRUCTIONS, Field, Index, Instr, Kind, Operand, Ref, float32

_REF = re.compile(r"(c?)\[(\d+)(?:([+-]\d+)i)?\]")
_INDEX = re.compile(r"[pm](\d+)(?:([+-]\d+)i)?")


def _stride(value: int) -> str:
    return f"{value:+d}i" if value else ""


def _format(entry: Field, value: Operand) -> str:
    if isinstance(value, Ref):
        return f"{'c' if value.constant else ''}[{value.base}{_stride(value.stride)}]"
    if isinstance(value, Index):
        return f"{'p' if entry.kind is Kind.PORT else 'm'}{value.base}{_stride(value.stride)}"
    if entry.kind is Kind.FLOAT:
        return repr(float(value))
    return str(value)


def format_instr(item: Instr) -> str:
    """One instruction as a line of assembly."""
    words = [item.name]
    words += [f"{f.name}={_format(f, v)}" for f, v in zip(item.spec.fields, item.operands, strict=True)]
    return " ".join(words)


def format_stream(stream: Iterable[Instr], indent: str = "  ") -> list[str]:
    """Lines of a stream; loop bodies are indented."""
    lines, depth = [], 0
    for item in stream:
        depth -= item.name == "end"
        lines.append(indent * (1 + max(depth, 0)) + format_instr(item))
        depth += item.name == "loop"
    return lines


def _parse(entry: Field, text: str) -> Operand:
    if entry.kind in (Kind.DEST, Kind.SOURCE):
        match = _REF.fullmatch(text)
        if match is None or (match[1] and entry.kind is Kind.DEST):
            raise ValueError(f"'{text}' is no address to {'write' if entry.kind is Kind.DEST else 'read'}")
        return Ref(int(match[2]), int(match[3] or 0), bool(match[1]))
    if entry.kind in (Kind.PORT, Kind.MATRIX):
        match = _INDEX.fullmatch(text)
        if match is None or text[0] != ("p" if entry.kind is Kind.PORT else "m"):
            raise ValueError(f"'{text}' is no {entry.kind.value}")
        return Index(int(match[1]), int(match[2] or 0))
    if entry.kind is Kind.CHOICE:
        if text not in entry.choices:
            raise ValueError(f"'{text}' is none of {', '.join(entry.choices)}")
        return text
    if entry.kind is Kind.FLOAT:
        return float32(float(text))
    return int(text)


def parse_instr(line: str, *, file: str | None = None, number: int = 0) -> Instr:
    """The instruction on a line of assembly.

    Raises:
        ProgramError: ``isa.syntax`` with the file and line number.
    """
    name, *words = line.split()
    spec = INSTRUCTIONS.get(name)
    try:
        if spec is None:
            raise ValueError(f"'{name}' is no instruction; known: {', '.join(INSTRUCTIONS)}")
        given = dict(word.split("=", 1) for word in words)
        if set(given) != set(spec.positions) or len(words) != len(given):
            raise ValueError(f"{name} takes the operands {', '.join(spec.positions)}")
        return Instr(name, tuple(_parse(f, given[f.name]) for f in spec.fields))
    except (ValueError, OverflowError) as error:
        where = f"{file or '<text>'}:{number}"
        raise ProgramError("isa.syntax", str(error), location=Location(file=where)) from None
