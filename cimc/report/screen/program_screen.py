"""The first screen of ``cimc compile``."""

from __future__ import annotations

from pathlib import Path

from cimc.cost.area import area_of
from cimc.cost.on_chip import OnChip
from cimc.isa.program import Program
from cimc.remarks import AllocationRemarks, SearchRemarks
from cimc.report import placement
from cimc.report.blocks import Facts
from cimc.report.screen.answers import Line, Next, done_on_chip, fits, plural, screen
from cimc.support.quantities import count, rate, seconds, size
from cimc.target.spec import Target


def program_screen(program: Program, target: Target, on_chip: OnChip, path: Path, calibrated: bool) -> Facts:
    """Does it fit, what is on chip, what is expected; ``calibrated``: whether requests were given."""
    lines: list[Line] = [
        ("written", f"{path} ({size(path.stat().st_size)})"),
        fits(area_of(program, target).counts),
        *done_on_chip(on_chip),
        *_hosted(program),
        *_matrices(program),
        *_copies(program),
        *_searched(program.remarks.search),
    ]
    nexts: list[Next] = []
    if not on_chip.whole:
        nexts.append((f"cimc inspect {program.header.model}", "every node that stays on the host, and why"))
    if not calibrated:
        nexts.append(("--calib REQ.npz", "ranges and row frequencies of real requests, not invented ones"))
    nexts.append(
        (f"cimc run {path} --inputs REQ.npz --check {program.header.model}", "accuracy, time, energy")
    )
    if program.remarks.search is None:
        nexts.append(("--search 20", "other mappings, judged by simulation"))
    title = f"{program.header.model} on {target.name}"
    return screen(title, lines, program.header.notes, nexts)


def _hosted(program: Program) -> list[Line]:
    """What runs beside the chip, in no figure: preprocessing and trees are neither MACs nor lookups."""
    found = placement.hosts(program)
    if not found:
        return []
    nodes = plural(sum(each["nodes"] for each in found), "ONNX node")
    return [("host", f"{nodes} in {plural(len(found), 'segment')}, in no figure of time and energy")]


def _matrices(program: Program) -> list[Line]:
    """Tables, layers and corpora, counted."""
    out: list[Line] = []
    for kind, name in (("table", "tables"), ("dense", "layers"), ("corpus", "corpora")):
        of_kind = [m for m in program.matrices if m.kind == kind]
        if of_kind:
            weights = sum(m.rows * m.cols for m in of_kind)
            bits = sorted({m.bits for m in of_kind})
            widths = ", ".join(map(str, bits))
            out.append((name, f"{count(len(of_kind))}: {count(weights)} weights of {widths} bits"))
    return out


def _copies(program: Program) -> list[Line]:
    """Instances of the dense part, and what allocation expects of them."""
    groups = placement.instances(program)
    number = max((group["instances"] for group in groups), default=1)
    said: AllocationRemarks | None = program.remarks.allocation
    if said is None:
        return [("instances", count(number))]
    lines: list[Line] = [("instances", f"{count(number)} of layers and vector work, by {said.produced_by}")]
    if said.busy_ns > 0:
        expected = f"about {rate(1e9 / said.busy_ns)}, {seconds(said.latency_ns)} alone"
        lines.append(("expected", f"{expected}: an estimate from calibration, which a run replaces"))
    return lines


def _searched(said: SearchRemarks | None) -> list[Line]:
    """How many candidates were judged, and what the best changes."""
    if said is None:
        return []
    simulated = sum(each.simulated is not None for each in said.tried)
    best = next((each.changes or "the pipeline as given" for each in said.tried if each.chosen), "-")
    return [("search", f"{count(len(said.tried))} tried, {count(simulated)} simulated; best: {best}")]
