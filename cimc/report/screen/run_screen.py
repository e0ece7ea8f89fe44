"""The first screen of ``cimc run``."""

from __future__ import annotations

from collections.abc import Sequence

from cimc.report import placement
from cimc.report.blocks import Facts
from cimc.report.screen.answers import (
    Line,
    Next,
    constants,
    done_on_chip,
    fits,
    plural,
    screen,
    served,
    spent,
)
from cimc.report.screen.verdict import verdict
from cimc.report.summary import Run
from cimc.support.quantities import count, engineering

_LOW = 0.5
"""Below this share of the machine's bound other mappings are worth a try."""


def run_screen(
    run: Run,
    program_path: str,
    inputs_path: str,
    beside: Sequence[Line] = (),
    remedies: Sequence[str] = (),
    notes: Sequence[str] = (),
    device: str = "",
) -> Facts:
    """Does it fit, what is on chip, is it accurate, how fast, for what energy.

    Args:
        run: the run.
        program_path, inputs_path: as the user named them.
        beside: ratios to a CPU.
        remedies: what would help a check that failed.
        notes: of the device, beside those of the program.
        device: in mode ``noisy``, whose cells, how old, of which seed.
    """
    cost = run.cost
    simulated = (
        f"{run.wall_seconds:.3g} s here, {engineering(run.requests / max(run.wall_seconds, 1e-9), '')}/s"
    )
    lines: list[Line] = [
        ("requests", f"{count(run.requests)}; the simulator took {simulated}"),
        *([("device", device)] if device else []),
        fits(cost.area.counts),
        *done_on_chip(cost.on_chip),
        *([] if run.check is None else verdict(run.check)),
        *served(cost),
        *spent(cost, cost.throughput_rps, "at that throughput"),
        *beside,
    ]
    nexts = _nexts(run, program_path, inputs_path, bool(beside), remedies)
    title = f"{run.program.header.model} on {run.target.name}, mode {run.mode}"
    few = _few(run)
    return screen(title, lines, [*few, *constants(cost), *run.program.header.notes, *notes], nexts)


def _few(run: Run) -> list[str]:
    """A word where requests are too few to use every copy: what is busiest then says little."""
    most = max((group["instances"] for group in placement.instances(run.program)), default=1)
    if run.requests >= most:
        return []
    asked = plural(run.requests, "request")
    return [f"{asked} cannot use all of {most} instances: the throughput is of those used alone"]


def _nexts(run: Run, program: str, inputs: str, beside: bool, remedies: Sequence[str]) -> list[Next]:
    model = run.program.header.model
    nexts: list[Next] = [("cimc compile", text) for text in remedies[:2]]
    if not run.cost.on_chip.whole:
        nexts.append((f"cimc inspect {model}", "every node that stays on the host, and why"))
    if run.check is None:
        nexts.append((f"--check {model}", "accuracy against onnxruntime"))
    share = run.cost.machine_share
    if share is not None and share < _LOW:
        nexts.append(("cimc compile --search 20", "mappings that use more of this machine"))
    nexts.append((f"cimc simulate {program} --inputs {inputs} --in-flight 64", "latencies under load"))
    if not beside:
        nexts.append((f"cimc baseline {model}", "the CPU at hand, for --baseline"))
    return nexts
