"""How much of a program's conversions cannot clip: the summary of its certificates."""

from __future__ import annotations

from typing import Any

import numpy as np

from cimc.isa.certificate import shares, unpack
from cimc.isa.program import Matrix, Program
from cimc.report.blocks import Block, facts
from cimc.support.quantities import percent


def to_json(program: Program) -> dict[str, Any]:
    """Units (slices of columns of arrays) and conversions a request, in all and certified, also per layer."""
    layers = {}
    for number, matrix in enumerate(program.matrices):
        if matrix.kind == "dense":
            layers[matrix.name] = _layer(program, number, matrix)
    total = {key: sum(layer[key] for layer in layers.values()) for key in _KEYS}
    return {**total, "layers": layers}


_KEYS = ("units", "units_certified", "conversions", "conversions_certified")


def blocks(program: Program) -> list[Block]:
    """The same for people; nothing for a program without layers."""
    found = to_json(program)
    if not found["units"]:
        return []

    def share(part: str) -> str:
        return percent(found[f"{part}_certified"] / found[part]) if found[part] else "none"

    return [
        facts(
            "Clip-free certificate",
            [
                ("column slices", f"{share('units')} of {found['units']:,} cannot clip"),
                ("conversions", f"{share('conversions')} of {found['conversions']:,} a request"),
            ],
        )
    ]


def _layer(program: Program, number: int, matrix: Matrix) -> dict[str, int]:
    table = program.data[f"{matrix.name}.blocks"]
    phases = program.data[f"{matrix.name}.ranges"].shape[2]
    packed = program.data.get(f"{matrix.name}.certificate")
    certified, units = (
        (0, matrix.slices * int(table[:, 3].sum()))
        if packed is None
        else shares(packed, table, matrix.slices)
    )
    per_block = np.zeros(len(table), np.int64)
    if packed is not None:
        per_block[:] = [part.sum() for part in unpack(packed, table, matrix.slices)]
    uses = _uses(program, number, len(table))
    return {
        "units": units,
        "units_certified": certified,
        "conversions": int((uses * table[:, 3]).sum()) * matrix.slices * phases,
        "conversions_certified": int((uses * per_block).sum()) * phases,
    }


def _uses(program: Program, number: int, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How often a request fires each block of matrix ``number``."""
    uses = np.zeros(count, np.int64)
    for segment in program.chip_segments:
        for stream in segment.streams.values():
            times = 1
            for item in stream:
                if item.name == "loop":
                    times = item.number("count")
                elif item.name == "end":
                    times = 1
                elif item.name == "mvm":
                    index = item.index("matrix")
                    fired = sum(index.at(i) == number for i in range(times))
                    first = item.number("first")
                    uses[first : first + item.number("count")] += fired
    return uses
