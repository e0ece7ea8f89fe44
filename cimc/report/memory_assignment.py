"""What compilation decided about tables: residence, copies, grouping, and the reads it expects."""

from __future__ import annotations

from typing import Any

from cimc.isa.program import Program
from cimc.report.blocks import Block, facts, table
from cimc.support.quantities import count, percent, size

_KINDS = (("rram", "cells"), ("sram", "SRAM"), ("dram", "DRAM"))
_DECISIONS = ("grouping", "reside", "replication", "chips", "homes")


def to_json(program: Program) -> dict[str, Any]:
    """``tables``: an entry per table; ``decisions``: what the passes that ran say about themselves."""
    return {
        "tables": list(program.facts.get("residency", [])),
        "decisions": {name: program.facts[name] for name in _DECISIONS if name in program.facts},
    }


def blocks(program: Program) -> list[Block]:
    """The same for people; nothing for a program without tables."""
    found = program.facts.get("residency", [])
    if not found:
        return []
    out: list[Block] = [
        table(
            "Tables",
            ("name", ">in cells", ">SRAM", ">DRAM", ">bytes", ">copies", "grouping", ">reads", ">blocks"),
            (
                (
                    t["name"],
                    *(count(t["rows"][kind]) for kind, _ in _KINDS),
                    size(sum(t["bytes"].values())),
                    count(t["copies"]),
                    t["grouping"],
                    f"{sum(t['reads'].values()):.2f}",
                    f"{t['blocks_touched']:.2f}" + ("" if t["known"] else " ?"),
                )
                for t in found
            ),
        )
    ]
    lines: list[tuple[str, object]] = [
        ("columns", "rows by memory; reads of rows and row blocks touched per request, as expected"),
    ]
    if not all(t["known"] for t in found):
        lines.append(("", "?: no accesses are known; every row counts alike"))
    lines += _memories(found)
    lines += _mapping(program)
    return [*out, facts("Mapping", lines)]


def _memories(found: list[dict[str, Any]]) -> list[tuple[str, object]]:
    rows = {kind: sum(t["rows"][kind] for t in found) for kind, _ in _KINDS}
    held = {kind: sum(t["bytes"][kind] for t in found) for kind, _ in _KINDS}
    reads = {kind: sum(t["reads"][kind] for t in found) for kind, _ in _KINDS}
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
    copied = program.facts.get("replication")
    if copied is not None:
        lines.append(
            (
                "copies",
                f"{count(copied['copies'])} of {count(copied['blocks_copied'])} blocks ({copied['policy']})",
            )
        )
    chosen = program.facts.get("homes")
    if chosen is not None:
        lines.append(
            (
                "homes",
                f"{chosen['moved']} of {chosen['lookups']} lookups moved; busiest router port or vector unit "
                f"expected to be busy for {chosen['ns_after']:,.0f} ns instead of {chosen['ns_before']:,.0f}",
            )
        )
    placed = program.facts.get("placement", {})
    if placed.get("bound"):
        lines.append(
            (
                "bottleneck",
                f"busiest tile {placed['bottleneck']:,.1f} cell columns converted per request, "
                f"lower bound {placed['bound']:,.1f} ({percent(placed['gap'])} above), {placed['strategy']}",
            )
        )
    return lines
