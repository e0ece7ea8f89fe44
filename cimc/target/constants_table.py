"""A target as rows of a table: what ``cimc targets`` and the documentation print."""

from __future__ import annotations

from typing import Any, NamedTuple

from cimc.target.spec import Array, Constant, Target

_STRUCTURE_UNITS = {
    "array.dac_bits": "b",
    "array.adc_bits": "b",
    "array.adc_min_lsb": "cell level x input level",
    "array.adc_max_lsb": "cell level x input level",
    "tile.scratchpad_bytes": "B",
    "tile.table_sram_bytes": "B",
    "chip.dram_bytes": "B",
    "chip.dram_burst_bytes": "B",
}


class Row(NamedTuple):
    """One figure: dotted path, value, unit ("" for counts), basis, and source with its note."""

    path: str
    value: bool | int | float | str
    unit: str
    basis: str
    source: str


class Field(NamedTuple):
    """One field of the schema: dotted path, what it means, unit or kind."""

    path: str
    kind: str
    meaning: str


def rows(target: Target) -> list[Row]:
    """Every constant and structural field of ``target``, then its operating points, in model order."""
    found = [_row(target, path, value) for path, value, _ in target.fields()]
    for point in target.operating_points:
        base = f"operating_points.{point.name}"
        label = "the point that array states" if point.default else "published alternative"
        step = point.step_ns
        found.append(Row(f"{base}.dac_bits", point.dac_bits, "b", step.basis, f"{step.source}; {label}"))
        found.append(Row(f"{base}.adc_bits", point.adc_bits, "b", step.basis, f"{step.source}; {label}"))
        found.append(_constant(f"{base}.step_ns", point.step_ns))
        found.append(_constant(f"{base}.step_pj", point.step_pj))
    return found


def _row(target: Target, path: str, value: Any) -> Row:
    if isinstance(value, Constant):
        return _constant(path, value)
    origin = target.origin(path)
    assert origin is not None  # Target refuses a structural field without a source
    shown = " x ".join(map(str, value)) if path == "chip.mesh" else value
    if path == "chip.ports":
        shown = ", ".join(f"({x}, {y})" for x, y in value)
    return Row(path, shown, _STRUCTURE_UNITS.get(path, ""), origin.basis, origin.source)


def _constant(path: str, constant: Constant) -> Row:
    source = f"{constant.source} ({constant.note})" if constant.note else constant.source
    return Row(path, constant.value, constant.unit, constant.basis, source)


def summary(target: Target) -> dict[str, Any]:
    """Headline figures of a target, JSON-ready: sizes, capacity at 8 bits, area, how much is assumed."""
    table = rows(target)
    return {
        "name": target.name,
        "title": target.title,
        "digest": target.digest,
        "array": f"{target.array.rows} x {target.array.cols}",
        "encoding": target.array.encoding,
        "cell_levels": target.array.cell_levels,
        "dac_bits": target.array.dac_bits,
        "adc_bits": target.array.adc_bits,
        "columns_per_step": target.array.columns_per_step,
        "step_ns": float(target.array.step_ns),
        "full_step_pj": full_step_pj(target.array),
        "arrays": target.n_arrays,
        "tiles": target.n_tiles,
        "chips": target.system.chips,
        "slices_8b": target.slices(8),
        "max_weight_8b": target.max_weight(8),
        "weights_8b": target.weight_capacity(8),
        "area_mm2": target.area_mm2,
        "assumed": sum(row.basis == "assumed" for row in table),
        "figures": len(table),
    }


def full_step_pj(array: Array) -> float:
    """Energy in pJ of one step with all rows driven and all its columns converted."""
    driven = array.rows * float(array.row_pj)
    converted = array.columns_per_step * float(array.conversion_pj)
    return driven + converted + float(array.step_pj)


def schema(target: Target) -> list[Field]:
    """Every field of the machine with its meaning; ``target`` only supplies the units."""
    return [Field(path, _kind(value), meaning) for path, value, meaning in target.fields()]


def _kind(value: Any) -> str:
    if isinstance(value, Constant):
        return f"constant, {value.unit}"
    kinds = {bool: "true or false", int: "integer", str: "word"}
    if isinstance(value, tuple):
        return "two integers" if isinstance(value[0], int) else "pairs of integers, or a number of them"
    return kinds[type(value)]
