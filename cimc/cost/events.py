"""Counted events per request: what energy is computed from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from cimc.cost.cost_model import CostModel, steps
from cimc.isa.instructions import INSTRUCTIONS
from cimc.isa.program import Program
from cimc.sim.activity import Activity
from cimc.support.shown import Shown, some
from cimc.target.spec import Target

_VECTOR = [name for name, spec in INSTRUCTIONS.items() if spec.unit == "vector" and name != "quant"]
_PER_USE = {
    "array.steps": "steps of arrays: one drive of the rows and one conversion of columns_per_step columns",
    "array.rows_driven": "weight rows driven, once per step (mvm: all rows of a block, an upper bound)",
    "adc.conversions": "ADC channels that convert; all of them in every step unless gate_unused_adc",
}

EVENTS: Mapping[str, str] = MappingProxyType(
    {
        "instructions": "instructions executed, loop brackets apart",
        **_PER_USE,
        **{f"{name}.mvm": f"{text}, by mvm" for name, text in _PER_USE.items()},
        **{f"{name}.lookup": f"{text}, by lookups" for name, text in _PER_USE.items()},
        "adc.conversions_used": "conversions whose result is used: cell columns x phases or activations",
        "shift_add.ops": "16-bit shift-and-add behind the ADC, one per used conversion",
        "accumulate.adds": "int32 additions over row blocks or activations, and corrections for offset cells",
        "mvm.blocks": "blocks driven by mvm",
        "lookup.ids": "ids looked up",
        "lookup.activations": "activations of table blocks",
        "lookup.tile_visits": "tiles that a lookup reaches, summed over lookups",
        "lookup.rows.cells": "rows of tables read from crossbar cells",
        "lookup.rows.sram": "rows of tables read from table SRAM",
        "lookup.rows.dram": "rows of tables read from DRAM",
        "sram.read_bits": "bits of rows read from table SRAM",
        "dram.read_bits": "bits read from DRAM, whole bursts",
        "scratchpad.read_bits": "bits read from scratchpads",
        "scratchpad.write_bits": "bits written to scratchpads",
        "constants.read_bits": "bits read from constant memory",
        "bus.bits": "bits between scratchpad and arrays: inputs once, sums of row blocks once",
        "bus.in_bits": "those of them that are inputs of mvm",
        "messages": "messages on the mesh, those from and to the host included",
        "router.hop_bits": "bits times mesh hops, headers included",
        "host_link.bits": "bits between a chip and the host or another chip, headers included",
        "requantise.ops": "values scaled and rounded to 8 bits (quant)",
        "vector.ops": "lane operations of vector units, quant apart",
        **{f"vector.ops.{name}": f"lane operations of {name}" for name in _VECTOR},
        **{
            f"vector.ops.{n}": f"lane operations of {n} at its reduction tile"
            for n in ("bag", "lookup", "lookupw")
        },
        "vector.ops.search": "lane operations of searches: scores, comparisons, lists",
        "searches.blocks": "blocks of corpora driven by searches",
        "searches.comparisons": "comparisons of scores, those of merging lists apart",
        **{f"{name}.search": f"{text}, by searches" for name, text in _PER_USE.items()},
    }
)
"""Names of all events and what they count."""


class Events(Shown, Mapping[str, float]):
    """Events per request; every name of :data:`EVENTS` is present, those that did not occur as 0."""

    def __init__(self, counts: Mapping[str, float]) -> None:
        unknown = set(counts) - set(EVENTS)
        if unknown:
            raise KeyError(f"no such events: {', '.join(sorted(unknown))}")
        self._counts = {name: float(counts.get(name, 0.0)) for name in EVENTS}

    def __getitem__(self, name: str) -> float:
        return self._counts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def _brief(self) -> str:
        found = [f"{name} {count:g}" for name, count in self._counts.items() if count]
        return f"per request: {some(found) or 'none'}"


def count_model(model: CostModel) -> Events:
    """Events of one request of a program whose work is known."""
    totals: dict[str, float] = {}
    for number, segment in model.segments():
        for tile, stream in sorted(segment.streams.items()):
            for step in steps(stream):
                for work, times in model.executions(number, segment, tile, step):
                    for event, amount in work.events.items():
                        totals[event] = totals.get(event, 0.0) + amount * times
    return Events(totals)


def count_events(program: Program, target: Target, activity: Activity | None = None) -> Events:
    """Events per request of ``program`` on ``target``.

    Static instructions are counted from the program, loops multiplied; lookups are means over
    ``activity.requests`` of ``activity.lookups[segment, tile, index]``, where ``segment`` counts all
    segments of the program, host ones included.

    Raises:
        CostError: ``cost.no-activity``, ``cost.bad-activity``, ``cost.not-placed``.
        ProgramError: ``program.target`` when the program was compiled for a machine of another structure.
    """
    return count_model(CostModel(program, target, activity))
