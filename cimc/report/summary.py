"""What ``cimc run`` prints: placement, accuracy, time, energy and area, each with what it includes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cimc.report import placement
from cimc.report.blocks import Block, facts, table
from cimc.report.check import Check
from cimc.report.units import count, joules, percent, rate, seconds

if TYPE_CHECKING:
    from cimc.api import Program, Result
    from cimc.cost import Cost

_BUSY_SHOWN = 5


def header_json(program: Program) -> dict[str, Any]:
    """What identifies a program."""
    header = program.data.header
    return {
        "model": header.model,
        "model_digest": header.model_digest,
        "target": header.target,
        "target_digest": header.target_digest,
        "pipeline": header.pipeline,
        "seed": header.seed,
        "format": header.version,
        "notes": list(header.notes),
    }


def run_json(
    program: Program, result: Result, mode: str, wall_seconds: float, check: Check | None
) -> dict[str, Any]:
    """The object of ``cimc run --json``."""
    return {
        "program": header_json(program),
        "mode": mode,
        "requests": result.activity.requests,
        "outputs": {
            name: {"dtype": str(array.dtype), "shape": list(array.shape)}
            for name, array in result.outputs.items()
        },
        "check": None if check is None else check.to_json(),
        "placement": placement.to_json(program.data, program.target),
        "cost": result.cost.to_json(),
        "simulation": {"wall_seconds": wall_seconds, "host_seconds": result.activity.host_seconds},
    }


def run_blocks(
    program: Program, result: Result, mode: str, wall_seconds: float, check: Check | None
) -> list[Block]:
    """The summary of a run for people."""
    header = program.data.header
    requests = result.activity.requests
    out: list[Block] = [
        facts(
            "Run",
            [
                ("model", header.model),
                ("target", header.target),
                ("pipeline", header.pipeline),
                ("requests", f"{count(requests)} in mode {mode}"),
                (
                    "simulator",
                    f"{wall_seconds:.3f} s on this machine ({rate(requests / max(wall_seconds, 1e-9))}), "
                    f"host segments {result.activity.host_seconds:.3f} s of it",
                ),
                *(("note", text) for text in header.notes),
            ],
        ),
        *placement.blocks(program.data, program.target),
    ]
    if check is not None:
        out += check_blocks(check, mode)
    return [*out, *cost_blocks(result.cost)]


def check_blocks(check: Check, mode: str) -> list[Block]:
    """Accuracy against onnxruntime."""
    rows = [
        (
            o.name,
            f"{o.max_abs_error:.3g}",
            f"{o.peak:.3g}",
            f"{o.sqnr_db:.1f} dB",
            _score(o.auc_reference),
            _score(o.auc),
            "passes" if not o.failures else "FAILS: " + "; ".join(o.failures),
        )
        for o in check.outputs
    ]
    lines = [("bound", str(check.bound)), *(("note", text) for text in check.notes)]
    lines += [
        ("note", f"output '{o.name}': {o.not_finite} elements not finite in the reference are left out")
        for o in check.outputs
        if o.not_finite
    ]
    return [
        table(
            f"Accuracy: mode {mode} against onnxruntime on the original model",
            ("output", ">max abs error", ">peak", ">SQNR", ">AUC before", ">AUC after", "check"),
            rows,
        ),
        facts("", lines),
    ]


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def cost_blocks(cost: Cost) -> list[Block]:
    """Time, energy and area."""
    return [_time(cost), *_energy(cost), _area(cost)]


def _time(cost: Cost) -> Block:
    lines: list[tuple[str, object]] = [
        ("latency", seconds(cost.latency_ns)),
        ("", f"includes: {cost.includes['latency_ns']}"),
        ("throughput", rate(cost.throughput_rps)),
        ("", f"includes: {cost.includes['throughput_rps']}"),
        ("bottleneck", cost.bottleneck or "-"),
    ]
    for name, ns in list(cost.busy.items())[:_BUSY_SHOWN]:
        lines.append(("busy", f"{seconds(ns)}  {name}"))
    if len(cost.busy) > _BUSY_SHOWN:
        lines.append(("", f"and {len(cost.busy) - _BUSY_SHOWN} less busy units"))
    lines.append(("basis", f"weakest constant: {cost.basis['time']}"))
    return facts("Time (modelled, one request)", lines)


def _energy(cost: Cost) -> list[Block]:
    total = cost.energy_pj
    rows = [
        (
            item.name,
            item.level,
            joules(item.pj),
            percent(item.pj / total) if total else "-",
            count(round(item.count, 2)),
            f"{item.value:g} {item.unit}",
            item.basis,
            item.includes,
        )
        for item in cost.energy.items
        if item.pj > 0
    ]
    shares = ", ".join(f"{percent(s)} {basis}" for basis, s in cost.energy.by_basis.items() if s > 0)
    idle = ", ".join(item.name for item in cost.energy.items if item.pj == 0)
    lines: list[tuple[str, object]] = [
        ("energy", joules(total)),
        ("", f"includes: {cost.includes['energy_pj']}"),
        ("arrays, ADCs", joules(cost.array_energy_pj)),
        ("", f"includes: {cost.includes['array_energy_pj']}"),
        ("constants", shares or "-"),
    ]
    if idle:
        lines.append(("zero", f"{idle}: no event of theirs, or a constant of 0"))
    return [
        facts("Energy (modelled, dynamic, one request)", lines),
        table(
            "Energy by component",
            ("component", "level", ">energy", ">share", ">events", ">constant", "basis", "includes"),
            rows,
        ),
    ]


def _area(cost: Cost) -> Block:
    area = cost.area
    used = area.counts
    lines: list[tuple[str, object]] = [
        ("system", f"{area.system_mm2:.4g} mm2"),
        ("", f"includes: {cost.includes['area_system_mm2']}"),
        (
            "used",
            f"{area.used_mm2:.4g} mm2: {count(used['arrays_used'])} of {count(used['arrays'])} arrays, "
            f"{count(used['tiles_used'])} of {count(used['tiles'])} tiles, "
            f"{count(used['chips_used'])} of {count(used['chips'])} chips",
        ),
        ("", f"includes: {cost.includes['area_used_mm2']}"),
        ("cells used", f"{percent(used['cells_used'])} of the arrays that hold something"),
        ("basis", f"weakest constant: {cost.basis['area']}"),
    ]
    return facts("Area", lines)
