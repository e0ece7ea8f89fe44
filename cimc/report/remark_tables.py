"""What passes have to say, as blocks: labelled lines for each remark, and a table for each of its lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from cimc.remarks import Remark, Remarks
from cimc.remarks.record import Record
from cimc.report.blocks import Block, facts, table
from cimc.support.shown import some

_ROWS = 50


def remarks_blocks(remarks: Remarks) -> list[Block]:
    """All of them; those of plug-ins as JSON."""
    out = [block for each in remarks for block in remark_blocks(each)]
    return [*out, *([facts("Plug-ins", remarks.others)] if remarks.others else [])]


def remark_blocks(remark: Remark) -> list[Block]:
    """One of them: the first rows of its lists, and how many more there are."""
    lines: list[tuple[str, object]] = []
    tables: list[Block] = []
    title = type(remark).__name__.removesuffix("Remarks")
    for name, value in _values(remark):
        if isinstance(value, tuple) and value and isinstance(value[0], Record):
            tables.append(_table(f"{title}: {name}", value))
        elif value is not None:
            lines.append((name, _text(value)))
    return [facts(title, lines), *tables] if lines or not tables else tables


def _values(record: Record) -> list[tuple[str, Any]]:
    return [(f.name, getattr(record, f.name)) for f in fields(cast(Any, record))]


def _table(title: str, records: tuple[Record, ...]) -> Block:
    names = [name for name, _ in _values(records[0])]
    more = len(records) - _ROWS
    rows = [[_text(value) for _, value in _values(each)] for each in records[:_ROWS]]
    return table(f"{title}{f' (the first {_ROWS} of {len(records):,})' if more > 0 else ''}", names, rows)


def _text(value: Any) -> str:
    if isinstance(value, Record):
        return ", ".join(f"{name} {_text(inner)}" for name, inner in _values(value))
    if isinstance(value, Mapping):
        return some([f"{key} {_text(inner)}" for key, inner in value.items()]) or "-"
    if isinstance(value, tuple):
        return some([_text(inner) for inner in value]) or "-"
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
