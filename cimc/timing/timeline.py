"""A simulation as a timeline in the Trace Event Format, which Perfetto and Chrome's tracing page open.

Every request is a row, every unit another one: a process per tile and one per chip's edge.  Times are in
microseconds, as the format wants.
"""

from __future__ import annotations

import json
from typing import Any

from cimc.cost.machine_units import Unit
from cimc.timing.simulation import Simulation

_REQUESTS = 0
_EDGES = 1
_KINDS = {
    "vector": "vector unit",
    "bus": "bus",
    "table sram": "table SRAM",
    "router in": "router input",
    "router out": "router output",
    "scratchpad": "scratchpad port",
    "dram": "DRAM",
    "host link": "host link",
}


def trace_events(simulation: Simulation) -> dict[str, Any]:
    """The timeline of the requests that the simulation kept, as one JSON object."""
    templates = simulation.templates
    units = templates[0].units.names()
    spans = simulation.spans
    shown = sorted(set(spans.request.tolist()))
    events: list[dict[str, Any]] = [_named("process_name", _REQUESTS, 0, "requests")]
    for request in shown:
        begin = float(simulation.played.arrival[request])
        end = float(simulation.played.finish[request])
        events.append(_named("thread_name", _REQUESTS, request, f"request {request}"))
        events.append(
            _span(
                f"request {request}", "request", begin, end - begin, _REQUESTS, request, {"request": request}
            )
        )
    used = sorted(set(spans.unit.tolist()))
    places = {number: _place(units[number]) for number in used}
    names = {pid: name for pid, name, _ in places.values()}
    events += [_named("process_name", pid, 0, names[pid]) for pid in sorted(names)]
    for number in used:
        pid, _, row = places[number]
        events.append(_named("thread_name", pid, number + 1, row))
    columns = (spans.unit, spans.request, spans.instruction, spans.start, spans.hold)
    for number, request, instruction, start, hold in zip(*(c.tolist() for c in columns), strict=True):
        template = templates[simulation.turns[request]]
        text, tile = template.texts[instruction], template.places[instruction]
        args = {"request": request, "instruction": text, "tile": tile}
        name = f"request {request}: {text.split(' ', 1)[0]}"
        events.append(_span(name, units[number].kind, start, hold, places[number][0], number + 1, args))
    about = {
        "model": simulation.program.header.model,
        "target": simulation.target.name,
        "requests": simulation.requests,
        "shown": len(shown),
    }
    return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": about}


def timeline_text(simulation: Simulation) -> str:
    """The same as a text: one event a line."""
    whole = trace_events(simulation)
    lines = ",\n".join(json.dumps(event, separators=(",", ":")) for event in whole.pop("traceEvents"))
    rest = json.dumps(whole, separators=(",", ":"))[1:]
    return f'{{"traceEvents":[\n{lines}\n],{rest}\n'


def _named(what: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name}}


def _span(
    name: str, category: str, start: float, hold: float, pid: int, tid: int, args: dict[str, Any]
) -> dict[str, Any]:
    begin, end = round(start / 1000, 6), round((start + hold) / 1000, 6)
    times = {"ts": begin, "dur": round(end - begin, 6)}  # both ends rounded: neighbours do not overlap
    return {"ph": "X", "name": name, "cat": category, **times, "pid": pid, "tid": tid, "args": args}


def _place(unit: Unit) -> tuple[int, str, str]:
    """Process number and name, and row name, of a unit."""
    if unit.kind in ("host link", "dram"):
        return _EDGES, "chip edges", f"{_KINDS[unit.kind]} of chip {unit.place}"
    row = _KINDS.get(unit.kind, unit.kind)
    if unit.kind == "array":
        row = f"array {unit.number}"
    elif unit.kind == "link":
        row = f"link to tile {unit.number}"
    return 2 + unit.place, f"tile {unit.place}", row
