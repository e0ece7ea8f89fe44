"""What the compiler decided about converters: ADC ranges of the layers, pooling of the tables."""

from __future__ import annotations

from typing import Any

from cimc.isa.program import Program
from cimc.report.blocks import Block, facts, table
from cimc.support.quantities import count, joules, percent, seconds


def to_json(program: Program) -> dict[str, Any]:
    """``adc_ranges``, an object per layer, and ``pooling``, one per table."""
    return {
        "adc_ranges": program.facts.get("adc_ranges", []),
        "pooling": program.facts.get("pooling", []),
    }


def blocks(program: Program) -> list[Block]:
    """The same for people: a line per layer, and one per kind of lookup."""
    layers, tables = program.facts.get("adc_ranges", []), program.facts.get("pooling", [])
    out: list[Block] = []
    if layers:
        out.append(
            table(
                "ADC ranges (SQNR of the layer's output on its calibration inputs)",
                ("layer", "ranges", ">step", ">inputs", ">clipped", ">SQNR"),
                (_layer(each) for each in layers),
            )
        )
    if tables:
        groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for each in tables:
            key = (each["decision"], each["reason"], each["chunk_rows"], each["error_bound"])
            groups.setdefault(key, []).append(each)
        lines: list[tuple[str, object]] = []
        for (decision, reason, rows, bound), members in groups.items():
            lines += _lookups(decision, reason, rows, bound, members)
        out.append(facts("Lookups (modelled: arrays alone, expected per lookup)", lines))
    return out


def _layer(each: dict[str, Any]) -> tuple[object, ...]:
    low, high = each["step_min"], each["step_max"]
    quality = (
        "-" if not each["samples"] else "no loss" if each["sqnr_db"] is None else f"{each['sqnr_db']:.1f} dB"
    )
    clipped = "-" if each["clipped"] is None else f"{100 * each['clipped']:.2g} %"
    return (
        each["layer"], each["ranges"], str(low) if low == high else f"{low}-{high}", each["samples"] or "-",
        clipped, quality,
    )  # fmt: skip


def _lookups(
    decision: str, reason: str, rows: int, bound: int, members: list[dict[str, Any]]
) -> list[tuple[str, object]]:
    tables = f"{count(len(members))} table{'s' * (len(members) != 1)}"
    error = "exactly" if bound == 0 else f"within {bound} of the table's integers"
    how = f"added up {count(rows)} rows at a time" if decision == "pool" else "read one row at a time"
    lines: list[tuple[str, object]] = [(decision, f"{tables} {how}, {error}: {reason}")]
    if all(each["pool"] is not None for each in members):
        ways = {way: _together(members, way) for way in ("pool", "read")}
        prices = " against ".join(
            f"{joules(pj)} and {seconds(ns)} of array time {text}"
            for (pj, ns), text in ((ways["pool"], "pooled"), (ways["read"], "row by row"))
        )
        lines.append(("", f"one lookup in each: {prices}{_saving(ways)}"))
    return lines


def _together(members: list[dict[str, Any]], way: str) -> tuple[float, float]:
    return sum(each[way]["pj"] for each in members), sum(each[way]["ns"] for each in members)


def _saving(ways: dict[str, tuple[float, float]]) -> str:
    pooled, read = ways["pool"][0], ways["read"][0]
    return f" ({percent(1 - pooled / read)} less energy)" if read > 0 and pooled < read else ""
