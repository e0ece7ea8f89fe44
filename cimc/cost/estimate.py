"""The whole estimate of a program: time, energy, area and events, each with what it includes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cimc.cost.area import Area, area_of
from cimc.cost.cost_model import CostModel
from cimc.cost.energy import NOT_MODELLED, Energy, constant, energy_of, weakest
from cimc.cost.events import Events, count_model
from cimc.cost.list_schedule import Span, time_model
from cimc.cost.machine.machine_bounds import MachineBound, machine_bounds
from cimc.cost.machine.programming import Programming, programming_of
from cimc.cost.machine_units import KINDS, contents, label
from cimc.cost.on_chip import OnChip, on_chip
from cimc.cost.static_power import StaticPower, static_power_of
from cimc.isa.program import HostSegment, Program
from cimc.sim.activity import Activity
from cimc.support.shown import Shown
from cimc.target.spec import Basis, Target

COUNTED_FROM = (
    "array.columns_per_step",
    "array.dac_bits",
    "array.gate_unused_adc",
    "array.signed_inputs",
    "tile.vector_lanes",
    "chip.mesh",
    "chip.ports",
)
"""Structural fields that the counts and the schedule depend on."""


@dataclass(frozen=True, repr=False)
class Cost(Shown):
    """What one request of a program costs on a target.

    Attributes:
        target, target_digest: the target whose constants were used.
        requests: requests over which lookups were averaged (0 without lookups).
        host_segments: stretches that run on the host and are in no figure.
        latency_ns: one request alone on the machine.
        segment_ns: its part in each chip segment.
        throughput_rps: requests per second of a steady stream; ``None`` when the chip does nothing.
        bottleneck: the unit that sets it (``""`` when the chip does nothing).
        machine: what limits any mapping of the same work on the whole machine, the tightest bound first.
        busy: ns each unit is busy per request, busiest first.
        energy_pj: dynamic energy per request.
        array_energy_pj: the part of arrays and ADCs.
        energy: its breakdown.
        static: power that does not depend on the load.
        programming: what writing its cells takes, once, before the first request; in no figure a request.
        not_modelled: what has no constant, and why.
        area: system and used area.
        events: counted events per request.
        basis: the weakest basis behind ``time``, ``energy`` and ``area`` (``None``: no constant used); the
            weakest structural one behind the ``counts``.
        structure: basis of each structural field that counts depend on.
        includes: for every figure, what it includes and what not.
        timeline: spans of one request; not part of :meth:`to_json`.
        on_chip: the share of the model's work that these figures are of.
    """

    target: str
    target_digest: str
    requests: int
    host_segments: int
    latency_ns: float
    segment_ns: tuple[float, ...]
    throughput_rps: float | None
    bottleneck: str
    machine: tuple[MachineBound, ...]
    busy: Mapping[str, float]
    energy_pj: float
    array_energy_pj: float
    energy: Energy
    static: StaticPower
    programming: Programming
    not_modelled: Mapping[str, str]
    area: Area
    events: Events
    basis: Mapping[str, Basis | None]
    structure: Mapping[str, Basis]
    includes: Mapping[str, str]
    timeline: tuple[Span, ...] = dataclasses.field(repr=False)
    on_chip: OnChip

    def _brief(self) -> str:
        rate = "-" if self.throughput_rps is None else f"{self.throughput_rps:.4g}"
        return (
            f"on {self.target}: latency {self.latency_ns:.4g} ns, {rate} requests/s, "
            f"{self.energy_pj:.4g} pJ a request, {self.area.system_mm2:.4g} mm2"
        )

    @property
    def machine_share(self) -> float | None:
        """``throughput_rps`` as a share of what the whole machine could do; ``None`` without work."""
        if self.throughput_rps is None or not self.machine:
            return None
        return self.throughput_rps / self.machine[0].throughput_rps

    def energy_at_pj(self, rate: float | None) -> float | None:
        """Energy per request at ``rate`` requests per second with the system's static power, pJ."""
        share = self.static.per_request_pj(rate)
        return None if share is None else self.energy_pj + share

    def to_json(self) -> dict[str, Any]:
        """Everything but the timeline as plain dicts, lists, numbers and text."""
        return {
            "target": self.target,
            "target_digest": self.target_digest,
            "requests": self.requests,
            "host_segments": self.host_segments,
            "on_chip": self.on_chip.to_json(),
            "latency_ns": self.latency_ns,
            "segment_ns": list(self.segment_ns),
            "throughput_rps": self.throughput_rps,
            "bottleneck": self.bottleneck,
            "machine_bounds": [
                {"name": b.name, "ns": b.ns, "throughput_rps": b.throughput_rps} for b in self.machine
            ],
            "machine_share": self.machine_share,
            "busy_ns": dict(self.busy),
            "energy_pj": self.energy_pj,
            "array_energy_pj": self.array_energy_pj,
            "energy": {
                item.name: {k: v for k, v in dataclasses.asdict(item).items() if k != "name"}
                for item in self.energy.items
            },
            "static_power": self.static.to_json(),
            "programming": self.programming.to_json(),
            "energy_at_bound_pj": self.energy_at_pj(self.throughput_rps),
            "energy_share_by_basis": dict(self.energy.by_basis),
            "not_modelled": dict(self.not_modelled),
            "area_mm2": {
                "system": {**self.area.system, "total": self.area.system_mm2},
                "used": {**self.area.used, "total": self.area.used_mm2},
                "counts": dict(self.area.counts),
            },
            "events": dict(self.events),
            "basis": dict(self.basis),
            "structure": dict(self.structure),
            "includes": dict(self.includes),
        }


def estimate(program: Program, target: Target, activity: Activity | None = None) -> Cost:
    """Time, energy and area of one request of ``program`` on ``target``.

    ``activity`` of a run on representative requests is needed where the program has lookups.

    Raises:
        CostError: ``cost.no-activity``, ``cost.bad-activity``, ``cost.not-placed``.
        ProgramError: ``program.target``, ``isa.invalid``.
    """
    model = CostModel(program, target, activity)
    events = count_model(model)
    timing = time_model(model)
    energy = energy_of(events, target)
    area = area_of(program, target)
    held = contents(program)
    hosts = sum(isinstance(s, HostSegment) for s in program.segments)
    structure = {path: _origin(target, path) for path in COUNTED_FROM}
    paths = sorted({path for unit in timing.busy for path in KINDS[unit.kind]})
    return Cost(
        target.name,
        target.digest,
        model.activity.requests,
        hosts,
        timing.latency_ns,
        timing.segment_ns,
        timing.throughput_rps,
        label(timing.bottleneck, held) if timing.bottleneck is not None else "",
        machine_bounds(timing.busy, target),
        {label(unit, held): ns for unit, ns in timing.busy.items()},
        energy.total_pj,
        energy.array_pj,
        energy,
        static_power_of(target, area),
        programming_of(program, target),
        NOT_MODELLED,
        area,
        events,
        {
            "time": weakest([constant(target, path).basis for path in paths]),
            "energy": energy.basis,
            "area": area.basis,
            "counts": weakest(list(structure.values())),
        },
        structure,
        includes(hosts),
        timing.timeline,
        on_chip(program, activity),
    )


def _origin(target: Target, path: str) -> Basis:
    found = target.origin(path)
    assert found is not None  # a target without a source for a structural field does not validate
    return found.basis


def includes(hosts: int) -> dict[str, str]:
    """Name of a figure -> a sentence on what is in it and what is not.

    ``hosts``: number of host segments of the program.
    """
    some = f"{hosts} host segment{'s' * (hosts > 1)} of the program" if hosts else ""
    host = f"; {some} not included" if hosts else ""
    return {
        "latency_ns": "one request alone on the machine, from the first load to the last store, with waits "
        "for operands, units and messages; not included: contention on mesh links, scratchpad bandwidth, "
        f"instruction fetch, variation between requests (lookups take their mean){host}",
        "throughput_rps": "1 / busy time of the busiest unit: a steady stream of requests that overlap "
        "perfectly, with buffers for all of them; an upper bound that ignores dependencies and the spread "
        f"of lookups around their mean{host}",
        "machine_bounds": "the same work dealt out evenly: all units of a kind together, and links across "
        "a cut of the mesh, whichever of them messages take; no mapping of this work is faster",
        "busy": "per request and unit: arrays, buses, vector units, router ports, mesh links and host links",
        "energy_pj": "dynamic energy of the components listed, for one request; not included: "
        f"{', '.join(sorted(NOT_MODELLED))}{host}",
        "static_power": "what components take that the target gives a constant for, whatever they do: "
        "leakage, clock, links that are up, DRAM refresh; of the whole system, and of the parts that the "
        "program uses if all else were off; not included: the host, voltage conversion, cooling",
        "programming": "pulses of write-verify for every device that holds a part of a weight, copies too, "
        "once; not included: charge pumps, wear, what is written anew later",
        "energy_at_bound_pj": "dynamic energy and one request's share of the system's static power at the "
        "bound on throughput: the least that a request can take; at a lower load its share grows",
        "array_energy_pj": "driven rows, conversions and fixed energy of array steps only: what the "
        "publication of a macro reports; not the system's energy",
        "energy": "counted events times the constant named in each line; all rows of an mvm count as driven",
        "energy_share_by_basis": "share of the energy whose constant is measured, simulated, derived or "
        "assumed; the counts themselves rest on the structural fields listed under 'structure'",
        "area_system_mm2": "all arrays, tiles and edge blocks of the target, used or not; not included: "
        "constant memory, DRAM, package",
        "area_used_mm2": "arrays that hold a block, tiles with such an array or with instructions, and "
        "their chips' edge blocks in full; not included: as for the system",
        "events": "means per request: static instructions from the program, lookups from a run's activity",
    }
