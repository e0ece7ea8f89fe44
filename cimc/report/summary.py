"""What ``cimc run`` prints: placement, accuracy, time, energy and area, each with what it includes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from cimc.compare.check import Check, OutputCheck
from cimc.compare.choice_check import ChoiceCheck
from cimc.cost import Cost
from cimc.errors import printable
from cimc.host.values import described
from cimc.isa.program import Program
from cimc.report import placement
from cimc.report.blocks import Block, facts, table
from cimc.report.on_chip_share import on_chip_blocks, part
from cimc.support.plugins.origin import Plugin
from cimc.support.quantities import count, joules, percent, rate, seconds, watts
from cimc.target.spec import Target

INCLUDED = "docs/cost.md, 'What each figure includes'; --json has it beside each"
"""Where it is written what a figure includes."""

_BUSY_SHOWN = 5


@dataclass(frozen=True)
class Run:
    """A run and what came of it.

    Attributes:
        requests: how many were executed.
        wall_seconds: time that the simulator took on this machine; ``host_seconds`` of it in host segments.
        check: the comparison with the reference, if one was asked for.
    """

    program: Program
    target: Target
    mode: str
    requests: int
    outputs: Mapping[str, NDArray[Any]]
    cost: Cost
    wall_seconds: float
    host_seconds: float
    check: Check | None = None


def header_json(program: Program) -> dict[str, Any]:
    """What identifies a program."""
    header = program.header
    return {
        "model": header.model,
        "model_digest": header.model_digest,
        "target": header.target,
        "target_digest": header.target_digest,
        "pipeline": header.pipeline,
        "seed": header.seed,
        "format": header.version,
        "notes": list(header.notes),
        "plugins": [dict(zip(Plugin._fields, each, strict=True)) for each in header.plugins],
    }


def plugin_lines(program: Program) -> list[tuple[str, str]]:
    """A line for each plug-in that took part in compiling a program."""
    return [("plug-in", str(Plugin(*each))) for each in program.header.plugins]


def run_json(run: Run) -> dict[str, Any]:
    """The object of ``cimc run --json``."""
    return {
        "program": header_json(run.program),
        "mode": run.mode,
        "requests": run.requests,
        "outputs": {name: described(value) for name, value in run.outputs.items()},
        "check": None if run.check is None else run.check.to_json(),
        "placement": placement.to_json(run.program, run.target),
        "on_chip": run.cost.on_chip.to_json(),
        "cost": run.cost.to_json(),
        "simulation": {"wall_seconds": run.wall_seconds, "host_seconds": run.host_seconds},
    }


def run_blocks(run: Run) -> list[Block]:
    """The summary of a run for people."""
    header = run.program.header
    speed = rate(run.requests / max(run.wall_seconds, 1e-9))
    out: list[Block] = [
        facts(
            "Run",
            [
                ("model", header.model),
                ("target", header.target),
                ("pipeline", header.pipeline),
                *plugin_lines(run.program),
                ("requests", f"{count(run.requests)} in mode {run.mode}"),
                ("simulator", f"{run.wall_seconds:.3f} s on this machine, {speed}"),
                ("", f"of it host segments by onnxruntime: {run.host_seconds:.3f} s"),
                *(("note", text) for text in header.notes),
            ],
        ),
        *placement.blocks(run.program, run.target),
    ]
    if run.check is not None:
        out += check_blocks(run.check, run.mode)
    return [*out, *cost_blocks(run.cost)]


def program_block(program: Program) -> Block:
    """What a program is."""
    header = program.header
    lines: list[tuple[str, object]] = [
        ("model", header.model),
        ("target", header.target),
        ("inputs", ", ".join(printable(name) for name, _, _ in header.inputs)),
        ("outputs", ", ".join(printable(name) for name, _ in header.outputs)),
        ("pipeline", header.pipeline),
        *(("note", text) for text in header.notes),
    ]
    return facts("Program", lines)


def output_block(outputs: Mapping[str, Any]) -> Block:
    """Types and shapes of outputs."""
    kinds = ((name, described(value)) for name, value in outputs.items())
    rows = ((name, kind["dtype"], str(kind["shape"])) for name, kind in kinds)
    return table("Outputs", ("name", "type", "shape"), rows)


def check_blocks(check: Check, mode: str) -> list[Block]:
    """Accuracy against onnxruntime."""
    rows = [
        (
            o.name,
            _number(o.max_abs_error),
            _number(o.peak),
            _number(o.sqnr_db, ".1f", " dB"),
            _score(o.auc_reference),
            _score(o.auc),
            _drop(o),
            "passes" if not o.failures else "FAILS: " + "; ".join(o.failures),
        )
        for o in check.outputs
    ]
    lines = [("bound", str(check.bound))]
    if check.choices:
        lines.append(("", check.bound.choices()))
    lines += [("note", text) for text in check.notes]
    lines += [
        ("note", f"output '{o.name}': {o.not_finite} elements not finite in the reference are left out")
        for o in check.outputs
        if o.not_finite
    ]
    return [
        table(
            f"Accuracy: {f'mode {mode} ' if mode else ''}against onnxruntime on the original model",
            ("output", ">max abs error", ">peak", ">SQNR", ">AUC before", ">AUC after", ">AUC drop", "check"),
            rows,
        ),
        *_choices(check.choices),
        facts("", lines),
    ]


def _choices(choices: tuple[ChoiceCheck, ...]) -> list[Block]:
    """What was chosen, against what the reference would have chosen."""
    if not choices:
        return []
    rows = [
        (
            c.label,
            ", ".join(printable(o) for o in c.outputs) or "-",
            c.k,
            count(c.rows),
            f"{c.recall:.3f}",
            f"{c.worst_recall:.3f}",
            c.near_ties,
            c.other - c.near_ties,
            c.reordered,
            f"{c.margin:.3g} of {c.margin_bound:.3g}",
            f"{c.sqnr_db:.1f} dB",
            "passes" if not c.failures else "FAILS: " + "; ".join(c.failures),
        )
        for c in choices
    ]
    headings = ("chosen by", "decides", ">k", ">rows", ">recall@k", ">worst", ">near ties", ">wrong",
                ">reordered", ">margin", ">SQNR of scores", "check")  # fmt: skip
    return [
        table("Choices: outputs above are compared with a reference that chose the same", headings, rows),
        facts(
            "",
            [
                ("recall@k", "share of the items that onnxruntime chooses by itself, mean and worst row"),
                ("near ties", "items whose scores differ less than errors within the bound can"),
                ("reordered", "rows with the same items in another order: near ties among those chosen"),
                ("margin", "largest: how much worse than onnxruntime's last choice; and that of a near tie"),
                ("SQNR", "of the scores, each row less its mean, without masked ones"),
            ],
        ),
    ]


def _number(value: float, form: str = ".3g", unit: str = "") -> str:
    return "-" if math.isnan(value) else f"{value:{form}}{unit}"


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _drop(output: OutputCheck) -> str:
    if output.auc_drop is None:
        return "-"
    if output.auc_drop_low is None or output.auc_drop_high is None:
        return _score(output.auc_drop)
    return f"{_score(output.auc_drop)} [{_score(output.auc_drop_low)}, {_score(output.auc_drop_high)}]"


def cost_blocks(cost: Cost) -> list[Block]:
    """Time, energy and area; what each figure includes stands once, in ``docs/cost.md``."""
    return [*on_chip_blocks(cost.on_chip), _time(cost), *_energy(cost), _area(cost), _included(cost)]


def _included(cost: Cost) -> Block:
    """Where it is written what figures include, and what these leave out."""
    lines: list[tuple[str, object]] = [("every figure", INCLUDED)]
    if cost.host_segments:
        segments = f"{count(cost.host_segments)} host segment{'s' * (cost.host_segments > 1)} of the program"
        lines.append(("not included", segments))
    return facts("What is included", lines)


def machine_lines(
    cost: Cost, achieved: float | None, in_flight: tuple[int, float] | None = None
) -> list[tuple[str, object]]:
    """What share of what the machine could do a throughput is, and what that bound is.

    ``in_flight``: requests under way in a closed loop, and the ns that one takes if none waits.
    """
    if achieved is None or not cost.machine:
        return []
    name, bound = cost.machine[0].name, cost.machine[0].throughput_rps
    if in_flight is not None and in_flight[1] > 0 and in_flight[0] * 1e9 / in_flight[1] < bound:
        name, bound = f"{count(in_flight[0])} in flight", in_flight[0] * 1e9 / in_flight[1]
    return [("machine", f"{percent(achieved / bound)} of the {rate(bound)} that {name} could do")]


def _time(cost: Cost) -> Block:
    lines: list[tuple[str, object]] = [
        ("latency", seconds(cost.latency_ns)),
        ("throughput", rate(cost.throughput_rps)),
        ("bottleneck", cost.bottleneck or "-"),
        *machine_lines(cost, cost.throughput_rps),
    ]
    for name, ns in list(cost.busy.items())[:_BUSY_SHOWN]:
        lines.append(("busy", f"{seconds(ns)}  {name}"))
    if len(cost.busy) > _BUSY_SHOWN:
        lines.append(("", f"and {len(cost.busy) - _BUSY_SHOWN} less busy units"))
    lines.append(("basis", f"weakest constant: {cost.basis['time']}"))
    return facts(f"Time{part(cost.on_chip)} (modelled, one request)", lines)


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
        )
        for item in cost.energy.items
        if item.pj > 0
    ]
    shares = ", ".join(f"{percent(s)} {basis}" for basis, s in cost.energy.by_basis.items() if s > 0)
    idle = ", ".join(item.name for item in cost.energy.items if item.pj == 0)
    lines: list[tuple[str, object]] = [
        ("energy", joules(total)),
        ("arrays, ADCs", joules(cost.array_energy_pj)),
        ("constants", shares or "-"),
    ]
    if idle:
        lines.append(("zero", f"{idle}: no event of theirs, or a constant of 0"))
    return [
        facts(f"Energy{part(cost.on_chip)} (modelled, dynamic, one request)", lines),
        static_block(cost, cost.throughput_rps, "at the bound on throughput"),
        table(
            "Energy by component",
            ("component", "level", ">energy", ">share", ">events", ">constant", "basis"),
            rows,
        ),
    ]


def static_block(cost: Cost, load: float | None, what: str) -> Block:
    """Static power, and the energy of a request at a load of so many requests per second."""
    static = cost.static
    lines: list[tuple[str, object]] = [
        (
            "idle",
            f"{watts(static.watts)}; {watts(static.used_watts)} if what the program does not use is off",
        ),
        *((item.name, watts(item.mw / 1e3)) for item in static.items if item.mw > 0),
    ]
    total = cost.energy_at_pj(load)
    if total is not None:
        share = total - cost.energy_pj
        text = f"{joules(total)} a request: {joules(cost.energy_pj)} dynamic, {joules(share)} static"
        lines.append(("energy", f"{text}, {what} ({rate(load)})"))
    written = cost.programming
    if written.devices:
        lines.append(
            (
                "programming",
                f"{count(written.devices)} devices once, {count(written.copied)} of them in copies: "
                f"{joules(written.energy_pj)}, {seconds(written.seconds * 1e9)} one by one",
            )
        )
    if static.missing:
        lines.append(("not given", f"the target has no static power of {', '.join(static.missing)}"))
    lines.append(("basis", f"weakest constant: {static.basis or '-'}"))
    return facts("Static power (modelled, whole system)", lines)


def _area(cost: Cost) -> Block:
    area = cost.area
    used = area.counts
    lines: list[tuple[str, object]] = [
        ("system", f"{area.system_mm2:.4g} mm2"),
        (
            "used",
            f"{area.used_mm2:.4g} mm2: {count(used['arrays_used'])} of {count(used['arrays'])} arrays, "
            f"{count(used['tiles_used'])} of {count(used['tiles'])} tiles, "
            f"{count(used['chips_used'])} of {count(used['chips'])} chips",
        ),
        ("cells used", f"{percent(used['cells_used'])} of the arrays that hold something"),
        ("basis", f"weakest constant: {cost.basis['area']}"),
    ]
    return facts("Area", lines)
