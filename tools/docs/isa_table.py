"""Writes the instruction table of ``docs/isa.md``: ``python -m tools.docs.isa_table docs/isa.md``."""

from __future__ import annotations

import sys
from pathlib import Path

from cimc.isa.encoding import size_of
from cimc.isa.instructions import INSTRUCTIONS, Field, Kind
from cimc.support.io.files import write_atomically

BEGIN, END = "<!-- instructions: begin -->", "<!-- instructions: end -->"


def _operand(entry: Field) -> str:
    kind = " \\| ".join(entry.choices) if entry.kind is Kind.CHOICE else entry.kind.value
    return f"`{entry.name}`: {kind}"


def table() -> str:
    """The instruction table in Markdown."""
    lines = [
        "| opcode | instruction | unit | operands, in order | bytes | effect |",
        "|---|---|---|---|---|---|",
    ]
    for spec in INSTRUCTIONS.values():
        operands = "; ".join(_operand(f) for f in spec.fields) or "-"
        lines.append(
            f"| {spec.opcode:#04x} | `{spec.name}` | {spec.unit} | {operands} | {size_of(spec.name)} "
            f"| {spec.meaning} |"
        )
    return "\n".join(lines)


def with_table(text: str) -> str:
    """``text`` with the table between its markers renewed."""
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    write_atomically(page, with_table(page.read_text(encoding="utf-8")))
