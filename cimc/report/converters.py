"""What the compiler decided about converters: ADC ranges of the layers, pooling of the tables."""

from __future__ import annotations

from typing import Any

from cimc.isa.program import Program
from cimc.remarks import LayerRanges, LookupPrice, TablePooling
from cimc.report.blocks import Block, facts, table
from cimc.support.quantities import count, joules, percent, seconds


def to_json(program: Program) -> dict[str, Any]:
    """``adc_ranges``, an object per layer, and ``pooling``, one per table."""
    said: dict[str, Any] = {"adc_ranges": [], "pooling": []}
    for each in (program.remarks.converters, program.remarks.sharding):
        said |= {} if each is None else each.to_json()
    return said


def blocks(program: Program) -> list[Block]:
    """The same for people: a line per layer, and one per kind of lookup."""
    steps, sharding = program.remarks.converters, program.remarks.sharding
    out: list[Block] = []
    if steps is not None and steps.adc_ranges:
        out.append(
            table(
                "ADC ranges (SQNR of the layer's output on its calibration inputs)",
                ("layer", "ranges", ">step", ">inputs", ">clipped", ">SQNR"),
                (_layer(each) for each in steps.adc_ranges),
            )
        )
    if sharding is not None and sharding.pooling:
        groups: dict[tuple[str, str, int, int], list[TablePooling]] = {}
        for each in sharding.pooling:
            key = (each.decision, each.reason, each.chunk_rows, each.error_bound)
            groups.setdefault(key, []).append(each)
        lines: list[tuple[str, object]] = []
        for (decision, reason, rows, bound), members in groups.items():
            lines += _lookups(decision, reason, rows, bound, members)
        out.append(facts("Lookups (modelled: arrays alone, expected per lookup)", lines))
    return out


def _layer(each: LayerRanges) -> tuple[object, ...]:
    low, high = each.step_min, each.step_max
    quality = "-" if not each.samples else "no loss" if each.sqnr_db is None else f"{each.sqnr_db:.1f} dB"
    clipped = "-" if each.clipped is None else f"{100 * each.clipped:.2g} %"
    steps = str(low) if low == high else f"{low}-{high}"
    return (each.layer, each.ranges, steps, each.samples or "-", clipped, quality)


def _lookups(
    decision: str, reason: str, rows: int, bound: int, members: list[TablePooling]
) -> list[tuple[str, object]]:
    tables = f"{count(len(members))} table{'s' * (len(members) != 1)}"
    error = "exactly" if bound == 0 else f"within {bound} of the table's integers"
    how = f"added up {count(rows)} rows at a time" if decision == "pool" else "read one row at a time"
    lines: list[tuple[str, object]] = [(decision, f"{tables} {how}, {error}: {reason}")]
    pooled = [each.pool for each in members if each.pool is not None]
    if len(pooled) == len(members):
        read = [each.read for each in members]
        prices = " against ".join(
            f"{joules(sum(p.pj for p in found))} and {seconds(sum(p.ns for p in found))} of array time {text}"
            for found, text in ((pooled, "pooled"), (read, "row by row"))
        )
        lines.append(("", f"one lookup in each: {prices}{_saving(pooled, read)}"))
    return lines


def _saving(pooled: list[LookupPrice], read: list[LookupPrice]) -> str:
    less, more = sum(each.pj for each in pooled), sum(each.pj for each in read)
    return f" ({percent(1 - less / more)} less energy)" if more > 0 and less < more else ""
