"""Energy per request: counted events times target constants, one line per component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cimc.cost.events import Events
from cimc.support.shown import Shown, counted
from cimc.target.spec import Basis, Constant, Target

Level = Literal["array", "system"]

STRENGTH: tuple[Basis, ...] = ("measured", "simulated", "derived", "scaled", "assumed")
"""Bases from the strongest to the weakest."""


@dataclass(frozen=True)
class Component:
    """A line of the energy table: ``constant * sum(factor * events[name])``.

    ``level`` ``array`` is what publications of a macro report; ``system`` is everything around it.
    ``borrowed``: the constant was given for something else, so the basis is ``assumed`` whatever it says.
    """

    name: str
    level: Level
    constant: str
    terms: tuple[tuple[str, float], ...]
    includes: str
    borrowed: bool = False


COMPONENTS: tuple[Component, ...] = (
    Component(
        "array rows", "array", "array.row_pj", (("array.rows_driven", 1.0),),
        "driven word lines with their DACs and the cells behind them; every row of an mvm's block counts",
    ),
    Component(
        "ADC", "array", "array.conversion_pj", (("adc.conversions", 1.0),),
        "conversions, those of idle channels included where the target cannot gate them",
    ),
    Component(
        "array steps", "array", "array.step_pj", (("array.steps", 1.0),),
        "what a step costs whatever is driven or converted",
    ),
    Component(
        "shift-add", "system", "tile.shift_add_pj", (("shift_add.ops", 1.0), ("accumulate.adds", 2.0)),
        "recombination of slices and phases, sums over row blocks and activations (int32 = two 16-bit)",
    ),
    Component(
        "bus", "system", "tile.bus_pj_per_bit", (("bus.bits", 1.0),),
        "inputs and results between scratchpad and arrays: each input once, sums over row blocks once",
    ),
    Component(
        "scratchpad", "system", "tile.scratchpad_pj_per_bit",
        (("scratchpad.read_bits", 1.0), ("scratchpad.write_bits", 1.0)),
        "reads and writes of every instruction",
    ),
    Component(
        "constant memory", "system", "tile.scratchpad_pj_per_bit", (("constants.read_bits", 1.0),),
        "reads of factors, biases and constant operands, at the scratchpad's energy",
        borrowed=True,
    ),
    Component(
        "table SRAM", "system", "tile.scratchpad_pj_per_bit", (("sram.read_bits", 1.0),),
        "rows of tables that live in SRAM, at the scratchpad's energy",
        borrowed=True,
    ),
    Component(
        "DRAM", "system", "chip.dram_pj_per_bit", (("dram.read_bits", 1.0),),
        "rows of tables that live in DRAM: device and interface, whole bursts",
    ),
    Component(
        "vector unit", "system", "tile.vector_op_pj", (("vector.ops", 1.0),),
        "lane operations of all vector instructions but quant; lookups' sums and scaling",
    ),
    Component(
        "requantise", "system", "tile.requantise_pj", (("requantise.ops", 1.0),),
        "quant: activations scaled and rounded to 8 bits",
    ),
    Component(
        "router", "system", "tile.router_pj_per_bit_hop", (("router.hop_bits", 1.0),),
        "mesh hops of messages with headers, to and from the chip's edge included",
    ),
    Component(
        "host link", "system", "chip.host_link_pj_per_bit", (("host_link.bits", 1.0),),
        "inputs, ids and outputs between host and chip, and messages between chips, beyond the static power",
    ),
)  # fmt: skip

NOT_MODELLED: Mapping[str, str] = {
    "host segments": "onnxruntime on the host: neither its energy nor its time is part of any figure here",
    "instruction fetch and control": "no constant; the event 'instructions' counts them",
    "row directory": "finding slot, tile and word line of an id: no constant",
    "programming cells": "written before the first request: what that takes is said apart",
    "DRAM row activation": "no constant of its own beside the energy per bit read",
    "registers and drivers": "no constant beyond what the array's own figures include",
    "power delivery and cooling": "no constant",
}
"""What no figure includes, and why: never a silent zero."""


@dataclass(frozen=True)
class EnergyItem:
    """Energy of one component per request."""

    name: str
    level: Level
    pj: float
    count: float
    constant: str
    value: float
    unit: str
    basis: Basis
    source: str
    includes: str
    note: str | None


@dataclass(frozen=True, repr=False)
class Energy(Shown):
    """Energy of one request.

    ``basis`` is the weakest basis of the constants that contribute (``None`` if none does); ``by_basis`` the
    share of each (0..1).
    """

    items: tuple[EnergyItem, ...]
    total_pj: float
    array_pj: float
    basis: Basis | None
    by_basis: Mapping[Basis, float]

    def _brief(self) -> str:
        return f"of {counted(len(self.items), 'component')}: {sum(item.pj for item in self.items):.4g} pJ"


def constant(target: Target, path: str) -> Constant:
    """The constant at a dotted path such as ``array.row_pj``."""
    part, name = path.split(".")
    found = getattr(getattr(target, part), name)
    assert isinstance(found, Constant), path
    return found


def weakest(bases: list[Basis]) -> Basis | None:
    """The weakest of several bases; ``None`` for none: a figure that rests on no constant."""
    return STRENGTH[max(STRENGTH.index(b) for b in bases)] if bases else None


def energy_of(events: Events, target: Target) -> Energy:
    """Energy per request in pJ by component."""
    offered = {path for path, value, _ in target.fields() if isinstance(value, Constant)}
    items = tuple(_item(each, events, target) for each in COMPONENTS if each.constant in offered)
    total = sum(item.pj for item in items)
    shares = {b: sum(item.pj for item in items if item.basis == b) for b in STRENGTH}
    return Energy(
        items,
        total,
        sum(item.pj for item in items if item.level == "array"),
        weakest([item.basis for item in items if item.pj > 0]),
        {b: pj / total if total else 0.0 for b, pj in shares.items()},
    )


def _item(component: Component, events: Events, target: Target) -> EnergyItem:
    figure = constant(target, component.constant)
    count = sum(factor * events[name] for name, factor in component.terms)
    return EnergyItem(
        component.name,
        component.level,
        count * float(figure),
        count,
        component.constant,
        float(figure),
        figure.unit,
        "assumed" if component.borrowed else figure.basis,
        figure.source,
        component.includes,
        figure.note,
    )
