"""How the figures of a target follow a change of its structure, from the point at which they are pinned.

A publication gives one point; a law gives the ratio between two.  :func:`scaled` applies the laws to all
constants that a change of structure concerns, or refuses: a variant keeps no figure that has become wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cimc.errors import TargetError
from cimc.target.components import adc, on_chip_memory, rows
from cimc.target.spec import Array, Constant, Target, Tile

LAWS = {
    "adc-energy": f"energy per conversion by bits: {adc.SURVEY}; below 4 bits {adc.ZIGZAG}",
    "adc-area": f"area of converters by bits and number, {adc.ZIGZAG}; the rest in proportion to cells",
    "step-time": f"settling by rows, {adc.ZIGZAG}; successive approximation: a cycle a bit",
    "row-energy": f"{rows.CURRENT}: in proportion to columns; {rows.DOUBLING}",
    "step-energy": f"DACs in proportion to rows, {rows.DOUBLING}; digital part in proportion to converters",
    "memory": f"energy and area by size, {on_chip_memory.CACTI}; leakage in proportion to size",
    "wire": "energy of a wire in proportion to its length, the side of the tile",
    "clock": "a tenth of the power of what is added, at full rate",
}
"""Names of the laws, and what each says with its source."""

_ARRAY = ("rows", "cols", "columns_per_step", "converters", "adc_bits", "dac_bits")


@dataclass(frozen=True)
class Scaled:
    """A constant's new value, and the law that gave it."""

    value: float
    law: str


def completed(target: Target, changes: Mapping[str, Any]) -> dict[str, Any]:
    """``changes`` with the fields that follow them: word lines of silicon, columns that one step converts."""
    more = dict(changes)
    array = target.array
    high, wide = changes.get("array.rows"), changes.get("array.cols")
    if isinstance(high, int) and "array.physical_rows" not in changes:
        more["array.physical_rows"] = high * (array.physical_rows // array.rows)
    whole = array.columns_per_step == array.cols
    if isinstance(wide, int) and (whole or wide < array.columns_per_step):
        more.setdefault("array.columns_per_step", wide)
    per_step = more.get("array.columns_per_step")
    if isinstance(per_step, int) and array.converters == array.columns_per_step:
        more.setdefault("array.converters", per_step)
    return more


def scaled(target: Target, changed: Target, given: Mapping[str, Any]) -> dict[str, Scaled]:
    """New values of the constants of ``target`` that follow the structure of ``changed``, by dotted path.

    ``given``: what the user sets, which no law touches.  Raises ``TargetError`` ``target.no-law`` where a
    constant should follow and no law says how.
    """
    found: dict[str, Scaled] = {}
    old, new = target.array, changed.array
    if any(getattr(old, name) != getattr(new, name) for name in _ARRAY):
        found |= _array(target, old, new, given)
    if target.tile.scratchpad_bytes != changed.tile.scratchpad_bytes:
        found |= _scratchpad(target, target.tile, changed.tile, given)
    if target.tile.vector_lanes != changed.tile.vector_lanes and target.tile.clock_mw is not None:
        more = changed.tile.vector_lanes - target.tile.vector_lanes
        power = more * float(target.tile.vector_op_pj) / float(target.tile.vector_op_ns)
        found["tile.clock_mw"] = Scaled(max(0.0, float(target.tile.clock_mw) + power / 10), "clock")
    if target.tile.arrays != changed.tile.arrays:
        side = math.sqrt(_tile_mm2(changed) / _tile_mm2(target)) if _tile_mm2(target) else 1.0
        found["tile.bus_pj_per_bit"] = Scaled(float(target.tile.bus_pj_per_bit) * side, "wire")
    return {path: value for path, value in found.items() if path not in given}


def _tile_mm2(target: Target) -> float:
    return float(target.tile.area_mm2) + target.tile.arrays * float(target.array.area_mm2)


def _array(target: Target, old: Array, new: Array, given: Mapping[str, Any]) -> dict[str, Scaled]:
    def same(*names: str) -> bool:
        return all(getattr(old, name) == getattr(new, name) for name in names)

    def part(name: str, whole: str, why: str) -> float:
        figure: Constant | None = getattr(old, name)
        if figure is not None:
            return float(figure)
        raise _no_law(target, f"array.{whole}", why, f"array.{name}")

    found: dict[str, Scaled] = {}

    def law(path: str, name: str, value: Callable[[], float]) -> None:
        if path not in given:
            found[path] = Scaled(value(), name)

    def energy_of_bits(path: str) -> float:
        try:
            return adc.relative_pj(new.adc_bits) / adc.relative_pj(old.adc_bits)
        except ValueError as error:
            raise _no_law(target, path, str(error)) from None

    def converters(path: str) -> float:
        return _ratio(target, path, old, new)

    def conversion() -> float:
        if not float(old.conversion_pj):
            why = "its energy per step is not split over conversions"
            raise _no_law(target, "array.conversion_pj", why)
        return float(old.conversion_pj) * energy_of_bits("array.conversion_pj")

    def row() -> float:
        if not float(old.row_pj):
            raise _no_law(target, "array.row_pj", "its energy per step is not split over rows")
        dacs, cells = 0.0, 0.0
        if not same("cols"):
            cells = part("row_cells_pj", "row_pj", "the part of the cells is not given")
        if not same("dac_bits") and (old.row_dac_pj is not None or old.step_dac_pj is None):
            dacs = part("row_dac_pj", "row_pj", "the part of the DACs is not given")
        more = cells * (new.cols / old.cols - 1)
        return float(old.row_pj) + more + dacs * (rows.dac_relative(new.dac_bits - old.dac_bits + 4) - 1)

    def step() -> float:
        total = float(old.step_pj)
        if not total:
            return 0.0
        if not float(old.row_pj):
            raise _no_law(target, "array.step_pj", "its energy is not split over rows and conversions")
        if not same("rows", "dac_bits"):
            dacs = part("step_dac_pj", "step_pj", "the part of the DACs is not given")
            times = new.rows / old.rows * rows.dac_relative(new.dac_bits - old.dac_bits + 4)
            total += dacs * (times - 1)
        if not same("converters"):
            digital = part("step_converters_pj", "step_pj", "the part behind the converters is not given")
            total += digital * (converters("array.step_pj") - 1)
        return total

    def time() -> float:
        settle = part("settle_ns", "step_ns", "its share of settling is not given")
        convert = float(old.step_ns) - settle
        slower = new.adc_bits / old.adc_bits
        if not same("columns_per_step", "converters"):
            slower *= new.columns_per_step / old.columns_per_step / converters("array.step_ns")
        if convert <= 0 and slower > 1:
            raise _no_law(target, "array.step_ns", "conversions have no time of their own to grow from")
        return settle * adc.settling(new.rows) / adc.settling(old.rows) + convert * slower

    def area() -> float:
        own = part("converters_mm2", "area_mm2", "the part of the converters is not given")
        times = adc.in_memory_um2(new.adc_bits) / adc.in_memory_um2(old.adc_bits)
        times *= converters("array.area_mm2")
        cells = new.rows * new.cols / (old.rows * old.cols)
        return (float(old.area_mm2) - own) * cells + own * times

    if not same("adc_bits"):
        law("array.conversion_pj", "adc-energy", conversion)
    if not same("cols", "dac_bits"):
        law("array.row_pj", "row-energy", row)
    if not same("rows", "dac_bits", "converters"):
        law("array.step_pj", "step-energy", step)
    if not same("rows", "adc_bits", "columns_per_step", "converters"):
        law("array.step_ns", "step-time", time)
    if not same("rows", "cols", "adc_bits", "converters"):
        law("array.area_mm2", "adc-area", area)
        if old.static_mw is not None:
            power, path = float(old.static_mw), "array.static_mw"
            law(path, "adc-energy", lambda: power * energy_of_bits(path) * converters(path))
    for name, whole, times in (
        ("row_cells_pj", "array.row_pj", new.cols / old.cols),
        ("row_dac_pj", "array.row_pj", rows.dac_relative(new.dac_bits - old.dac_bits + 4)),
        (
            "step_dac_pj", "array.step_pj",
            new.rows / old.rows * rows.dac_relative(new.dac_bits - old.dac_bits + 4),
        ),
        ("settle_ns", "array.step_ns", adc.settling(new.rows) / adc.settling(old.rows)),
    ):  # fmt: skip
        figure: Constant | None = getattr(old, name)
        if figure is not None and times != 1 and whole in found:
            found[f"array.{name}"] = Scaled(float(figure) * times, found[whole].law)
    if "array.area_mm2" in found and old.converters_mm2 is not None:
        times = adc.in_memory_um2(new.adc_bits) / adc.in_memory_um2(old.adc_bits)
        times *= converters("array.area_mm2")
        found["array.converters_mm2"] = Scaled(float(old.converters_mm2) * times, "adc-area")
    if old.step_converters_pj is not None and not same("converters"):
        digital = float(old.step_converters_pj) * converters("array.step_converters_pj")
        found["array.step_converters_pj"] = Scaled(digital, "step-energy")
    return found


def _ratio(target: Target, path: str, old: Array, new: Array) -> float:
    """Converters of ``new`` over those of ``old``, for the constant at ``path``."""
    if not old.converters or not new.converters:
        if (old.converters, old.columns_per_step) == (new.converters, new.columns_per_step):
            return 1.0
        raise _no_law(target, path, "how many converters it has is not given", "array.converters")
    return new.converters / old.converters


def _scratchpad(target: Target, old: Tile, new: Tile, given: Mapping[str, Any]) -> dict[str, Scaled]:
    before, after = old.scratchpad_bytes / 1024, new.scratchpad_bytes / 1024
    found: dict[str, Scaled] = {}

    def law(path: str, value: Callable[[], float]) -> None:
        if path in given:
            return
        try:
            found[path] = Scaled(value(), "memory")
        except ValueError as error:
            raise _no_law(target, path, str(error)) from None

    def times(of_size: Callable[[float], float]) -> float:
        return of_size(after) / of_size(before)

    read, size = on_chip_memory.read_pj_per_bit, on_chip_memory.area_um2
    law("tile.scratchpad_pj_per_bit", lambda: float(old.scratchpad_pj_per_bit) * times(read))
    if old.scratchpad_mm2 is not None:
        own = float(old.scratchpad_mm2)
        law("tile.area_mm2", lambda: float(old.area_mm2) + own * (times(size) - 1))
        law("tile.scratchpad_mm2", lambda: own * times(size))
    if old.scratchpad_static_mw is not None:
        leak = float(old.scratchpad_static_mw)
        law("tile.scratchpad_static_mw", lambda: leak * after / before)
    return found


def _no_law(target: Target, path: str, why: str, field: str = "") -> TargetError:
    known = ", ".join(point.name for point in target.operating_points)
    points = f"; published points: point={known.replace(', ', ', point=')}" if known else ""
    return TargetError(
        "target.no-law",
        f"{target.name}: no law says how {path} follows this change: {why}",
        hint=f"give {path} beside it{f', or {field} in the description' if field else ''}{points}",
    )
