"""Static power: what the machine takes whether it works or not, and the energy of a request at a load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cimc.cost.area import Area
from cimc.cost.energy import constant, weakest
from cimc.support.shown import Shown, counted
from cimc.target.spec import Basis, Constant, Target

PARTS: tuple[tuple[str, str, str, str], ...] = (
    ("arrays", "array.static_mw", "arrays", "converters and drivers of arrays; RRAM cells leak nothing"),
    ("scratchpads", "tile.scratchpad_static_mw", "tiles", "leakage of the tiles' buffers"),
    ("vector lanes", "tile.vector_lane_static_mw", "vector lanes", "leakage of the vector units"),
    ("routers", "tile.router_static_mw", "tiles", "leakage and clock of the mesh"),
    ("clock", "tile.clock_mw", "tiles", "clock and control of the tiles"),
    ("table SRAM", "tile.table_sram_static_mw", "table SRAM", "where the program has rows in it"),
    ("host links", "chip.host_link_static_mw", "chips", "links that are up, one end"),
    ("DRAM", "chip.dram_static_mw", "DRAM", "refresh and standby, where the program has rows in it"),
)
"""Name, constant of one, what is counted (of :class:`~cimc.cost.area.Area`), and what it is."""


@dataclass(frozen=True)
class StaticItem:
    """Static power of one kind of component: of all of them, and of those that the program uses."""

    name: str
    mw: float
    used_mw: float
    count: float
    constant: str
    value: float
    basis: Basis
    source: str
    includes: str
    note: str | None


@dataclass(frozen=True, repr=False)
class StaticPower(Shown):
    """Power that does not depend on the load.

    ``missing``: components of which the target gives none, each left out.
    """

    items: tuple[StaticItem, ...]
    missing: tuple[str, ...]

    def _brief(self) -> str:
        return f"of {counted(len(self.items), 'component')}: {self.watts:.4g} W"

    @property
    def watts(self) -> float:
        """Of the whole system."""
        return sum(item.mw for item in self.items) / 1e3

    @property
    def used_watts(self) -> float:
        """Of what the program uses, if all else were switched off."""
        return sum(item.used_mw for item in self.items) / 1e3

    @property
    def basis(self) -> Basis | None:
        """The weakest basis of the constants that contribute."""
        return weakest([item.basis for item in self.items if item.mw > 0])

    def per_request_pj(self, rate: float | None, used: bool = False) -> float | None:
        """Share of one request at ``rate`` requests per second, pJ; ``None`` without requests."""
        if not rate:
            return None
        return (self.used_watts if used else self.watts) * 1e12 / rate

    def to_json(self) -> dict[str, Any]:
        """Watts in all and by component."""
        return {
            "watts": self.watts,
            "used_watts": self.used_watts,
            "basis": self.basis,
            "missing": list(self.missing),
            "components": {
                item.name: {
                    "mw": item.mw,
                    "used_mw": item.used_mw,
                    "count": item.count,
                    "constant": item.constant,
                    "value": item.value,
                    "basis": item.basis,
                    "source": item.source,
                    "includes": item.includes,
                    "note": item.note,
                }
                for item in self.items
            },
        }


def static_power_of(target: Target, area: Area) -> StaticPower:
    """Static power of ``target``; ``area`` has how many of each component exist and are used.

    Options (table SRAM, DRAM) count where the program uses them.
    """
    offered = {path for path, value, _ in target.fields() if isinstance(value, Constant)}
    items, missing = [], []
    for name, path, what, text in PARTS:
        have, used = _counts(area.counts, what, target)
        if path not in offered:
            if have:
                missing.append(name)
            continue
        figure = constant(target, path)
        one = float(figure)
        items.append(
            StaticItem(
                name, have * one, used * one, have, path, one, figure.basis, figure.source, text, figure.note
            )
        )
    return StaticPower(tuple(items), tuple(missing))


def _counts(counts: Mapping[str, float], what: str, target: Target) -> tuple[float, float]:
    if what == "vector lanes":
        return (
            counts["tiles"] * target.tile.vector_lanes,
            counts["tiles_used"] * target.tile.vector_lanes,
        )
    return counts.get(what, 0), counts.get(f"{what.replace(' ', '_')}_used", 0)
