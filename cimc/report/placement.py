"""Where every table and layer of a program lives, and what its streams hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cimc.ir.cim import ARRAY, COLS, ROWS, TILE
from cimc.ir.residence import Residence, residence_of
from cimc.isa.directory import places_of
from cimc.isa.program import ChipSegment, HostSegment, Program
from cimc.remarks import AllocationRemarks
from cimc.report import memory_assignment
from cimc.report.blocks import Block, facts, table
from cimc.support.quantities import count, joules, percent, ranges, seconds
from cimc.target.spec import Target


@dataclass(frozen=True)
class MatrixPlace:
    """Where one matrix lives.

    Attributes:
        kind: ``table``, ``layer`` or ``corpus``.
        tiles: tiles that hold a part of it in arrays or SRAM, ascending.
        arrays: arrays that hold a part of it (arrays of tables may be shared).
        cells: cells it occupies, copies of blocks included.
        utilisation: ``cells`` over the cells of those arrays, 0..1.
    """

    name: str
    kind: str
    rows: int
    cols: int
    bits: int
    slices: int
    tiles: tuple[int, ...]
    arrays: int
    cells: int
    utilisation: float


def matrix_places(program: Program, target: Target) -> tuple[MatrixPlace, ...]:
    """Every matrix of ``program``, in the order of its directory."""
    found = []
    per_array = target.array.rows * target.array.cols
    for matrix in program.matrices:
        places = places_of(program, matrix)
        blocks = places[residence_of(places) == int(Residence.RRAM)]
        arrays = len(np.unique(blocks[:, [TILE, ARRAY]], axis=0))
        cells = int((blocks[:, ROWS].astype(np.int64) * blocks[:, COLS]).sum()) * matrix.slices
        found.append(
            MatrixPlace(
                matrix.name,
                "layer" if matrix.kind == "dense" else matrix.kind,
                matrix.rows,
                matrix.cols,
                matrix.bits,
                matrix.slices,
                tuple(int(t) for t in np.unique(places[places[:, TILE] >= 0, TILE])),
                arrays,
                cells,
                cells / (arrays * per_array) if arrays else 0.0,
            )
        )
    return tuple(found)


def instructions(program: Program) -> dict[str, Any]:
    """Instruction counts of a request: ``total``, by ``kinds``, and by ``tiles`` (text key) of any instance.

    A request runs on one instance: ``total`` and ``kinds`` count a stream once, however often it exists.
    """
    tiles: Counter[int] = Counter()
    kinds: Counter[str] = Counter()
    for segment in program.chip_segments:
        for stream in segment.streams.values():
            kinds.update(item.name for item in stream)
        for tile, stream in segment.running():
            tiles[tile] += len(stream)
    return {
        "total": program.instruction_count,
        "tiles": {str(tile): tiles[tile] for tile in sorted(tiles)},
        "kinds": dict(sorted(kinds.items())),
    }


def instances(program: Program) -> list[dict[str, Any]]:
    """Copy groups: ``segment``, number of ``instances``, and the ``tiles`` of each."""
    return [
        {"segment": number, "instances": group.count, "tiles": [list(tiles) for tiles in group.instances]}
        for number, segment in enumerate(program.segments)
        if isinstance(segment, ChipSegment)
        for group in segment.copies
    ]


def hosts(program: Program) -> list[dict[str, Any]]:
    """Host segments: where in the order, how many ONNX nodes, and why."""
    return [
        {"segment": number, "nodes": s.nodes, "reasons": list(s.reasons)}
        for number, s in enumerate(program.segments)
        if isinstance(s, HostSegment)
    ]


def to_json(program: Program, target: Target) -> dict[str, Any]:
    """Matrices, instructions, segments and quality of the mapping."""
    said = program.remarks.placement
    quality = {} if said is None else {k: v for k, v in said.mapping().items() if k != "matrices"}
    return {
        "matrices": [
            {**asdict(place), "tiles": list(place.tiles)} for place in matrix_places(program, target)
        ],
        "instructions": instructions(program),
        "copies": instances(program),
        "allocation": None if (decided := program.remarks.allocation) is None else decided.to_json(),
        "segments": len(program.segments),
        "host_segments": hosts(program),
        "mapping": quality,
        **memory_assignment.to_json(program),
    }


def blocks(program: Program, target: Target) -> list[Block]:
    """The same for people."""
    found_places = matrix_places(program, target)
    out: list[Block] = [
        table(
            "Where it lives",
            ("kind", "name", ">rows", ">cols", ">bits", ">arrays", ">cells used", "tiles"),
            (
                (
                    h.kind,
                    h.name,
                    f"{h.rows:,}",
                    h.cols,
                    h.bits,
                    h.arrays,
                    percent(h.utilisation),
                    _tiles(h.tiles),
                )
                for h in found_places
            ),
        )
    ]
    out += [*_instances(program), *memory_assignment.blocks(program)]
    counted = instructions(program)
    per_tile = ", ".join(f"{tile}: {number}" for tile, number in counted["tiles"].items())
    segments = len(program.chip_segments)
    lines: list[tuple[str, object]] = [
        ("in all", f"{count(counted['total'])} in {segments} chip segment{'s' * (segments != 1)}"),
        ("per tile", per_tile or "-"),
        ("kinds", ", ".join(f"{kind} {number}" for kind, number in counted["kinds"].items()) or "-"),
    ]
    for host in hosts(program):
        lines.append((f"segment {host['segment']}", f"host: {host['nodes']} ONNX nodes by onnxruntime"))
        lines += [("", f"because {reason}") for reason in host["reasons"]]
    out.append(facts("Instructions (static, one request)", lines))
    return out


def _instances(program: Program) -> list[Block]:
    """How often the dense part exists, where, and why so often."""
    lines: list[tuple[str, object]] = []
    for group in instances(program):
        number, tiles = group["instances"], group["tiles"]
        of_segment = f" of segment {group['segment']}" if len(program.segments) > 1 else ""
        lines.append(("instances", f"{number}{of_segment}: request k runs on number k mod {number}"))
        lines.append(("on tiles", ", ".join("+".join(map(str, each)) for each in tiles)))
    said = program.remarks.allocation
    if said is not None:
        if not lines:
            lines.append(("instances", "1"))
        lines += [
            ("decided", f"{said.instances} of layers and vector work, {said.places} of the rows read most"),
            ("", f"for {_wanted(said)}, by {said.produced_by}"),
            ("expected", f"busiest unit {seconds(said.busy_ns)} a request, {seconds(said.latency_ns)} alone"),
            *_at_load(said),
        ]
    return [facts("Copies", lines)] if lines else []


def _wanted(said: AllocationRemarks) -> str:
    """The objective and its load, in words."""
    what = {"edp": "energy times latency"}.get(said.objective, said.objective)
    if said.rate_rps is not None:
        load = f"{said.rate_rps:,.6g} requests a second"
    else:
        load = "one request alone" if said.load == 1 else f"{count(said.load)} requests in flight"
    bound = "" if said.p99_us is None else f", p99 at most {said.p99_us:,.6g} us"
    return f"{what} with {load}{bound}"


def _at_load(said: AllocationRemarks) -> list[tuple[str, object]]:
    """What is expected at the load, and how much better it could be."""
    what = {"energy": "energy of a request", "edp": "energy times latency"}.get(said.objective)
    gap = f"by this estimate, whatever is copied: gap {percent(said.gap)}"
    lines: list[tuple[str, object]] = []
    if said.rate_rps is None:
        lines.append(("", f"{count(said.load)} requests in {seconds(said.period_ns)}"))
    elif said.response_ns is not None:
        lines.append(("", f"{seconds(said.response_ns)} at this rate"))
    if what is None:
        return [*lines, ("bound", f"{seconds(said.bound_ns)} at least {gap}")]
    if said.energy_pj is not None:
        lines.append(("", f"{joules(said.energy_pj)} a request, static power of what is used included"))
    return [*lines, ("bound", f"on {what} {gap}")]


def _tiles(tiles: tuple[int, ...]) -> str:
    if not tiles:
        return "-"
    shown = ranges(list(tiles))
    return shown if len(shown) <= 60 else f"{len(tiles)} tiles of {tiles[0]}-{tiles[-1]}"
