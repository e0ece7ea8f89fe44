"""What compilation decided about tables: residence, copies, grouping, and the reads it expects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cimc.isa.program import Program
from cimc.remarks import TableMemories, json_of
from cimc.remarks.record import Record
from cimc.report.blocks import Block, facts, table
from cimc.support.quantities import count, percent, size

_KINDS = (("rram", "cells"), ("sram", "SRAM"), ("dram", "DRAM"))


def to_json(program: Program) -> dict[str, Any]:
    """``tables``: an entry per table; ``decisions``: what the passes that ran say about themselves."""
    said = program.remarks
    decisions: dict[str, Record | None] = {
        "grouping": said.grouping,
        "reside": said.residence,
        "replication": said.replication,
        "chips": None if said.placement is None else said.placement.chips,
        "homes": None if said.schedule is None else said.schedule.reduction_tiles,
    }
    return {
        "tables": [json_of(each) for each in _tables(program)],
        "decisions": {name: json_of(found) for name, found in decisions.items() if found is not None},
    }


def _tables(program: Program) -> tuple[TableMemories, ...]:
    said = program.remarks.placement
    return () if said is None else said.residency


def blocks(program: Program) -> list[Block]:
    """The same for people; nothing for a program without tables."""
    found = _tables(program)
    if not found:
        return []
    out: list[Block] = [
        table(
            "Tables",
            ("name", ">in cells", ">SRAM", ">DRAM", ">bytes", ">copies", "grouping", ">reads", ">blocks"),
            (
                (
                    t.name,
                    count(t.rows.rram),
                    count(t.rows.sram),
                    count(t.rows.dram),
                    size(t.bytes.rram + t.bytes.sram + t.bytes.dram),
                    count(t.copies),
                    t.grouping,
                    f"{t.reads.rram + t.reads.sram + t.reads.dram:.2f}",
                    f"{t.blocks_touched:.2f}" + ("" if t.known else " ?"),
                )
                for t in found
            ),
        )
    ]
    lines: list[tuple[str, object]] = [
        ("columns", "rows by memory; reads of rows and row blocks touched per request, as expected"),
    ]
    if not all(t.known for t in found):
        lines.append(("", "?: no accesses are known; every row counts alike"))
    lines += _memories(found)
    lines += _mapping(program)
    return [*out, facts("Mapping", lines)]


def _memories(found: Sequence[TableMemories]) -> list[tuple[str, object]]:
    rows: dict[str, int] = {kind: sum(getattr(t.rows, kind) for t in found) for kind, _ in _KINDS}
    held: dict[str, int] = {kind: sum(getattr(t.bytes, kind) for t in found) for kind, _ in _KINDS}
    reads: dict[str, float] = {kind: sum(getattr(t.reads, kind) for t in found) for kind, _ in _KINDS}
    total = sum(reads.values())
    return [
        (
            name,
            f"{count(rows[kind])} rows, {size(held[kind])}, "
            f"{percent(reads[kind] / total if total else 0.0)} of the expected reads",
        )
        for kind, name in _KINDS
        if rows[kind]
    ]


def _mapping(program: Program) -> list[tuple[str, object]]:
    lines: list[tuple[str, object]] = []
    said = program.remarks
    copied = said.replication
    if copied is not None:
        lines.append(
            (
                "copies",
                f"{count(copied.copies)} of {count(copied.blocks_copied)} blocks ({copied.policy})",
            )
        )
    moved = None if said.schedule is None else said.schedule.reduction_tiles
    if moved is not None:
        lines.append(
            (
                "reduction tiles",
                f"{moved.moved} of {moved.lookups} lookups moved; busiest router port or vector unit "
                f"expected to be busy for {moved.ns_after:,.0f} ns instead of {moved.ns_before:,.0f}",
            )
        )
    placed = said.placement
    if placed is not None and placed.bound:
        lines.append(
            (
                "bottleneck",
                f"busiest tile {placed.bottleneck:,.1f} cell columns converted per request, "
                f"lower bound {placed.bound:,.1f} ({percent(placed.gap)} above), {placed.strategy}",
            )
        )
    return lines
