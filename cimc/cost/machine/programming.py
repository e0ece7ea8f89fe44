"""What it takes to write a program's cells, once, before the first request: copies are written too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cimc.cost.owners import table_places
from cimc.ir.cim import COLS, ROWS
from cimc.ir.residence import Residence, residence_of
from cimc.isa.program import Program
from cimc.target.spec import Target

PULSES = 8.52
"""Mean pulses until a cell is accepted by write-verify (Wan et al., Nature 608, 2022)."""
PULSE_PJ = 0.6
"""Energy of a set or reset pulse: the default of NVSim (Dong et al., TCAD 31, 2012), assumed of any cell."""
CELL_SECONDS = 56e-6
"""Mean time to write and verify one cell (Wan et al., 2022)."""


@dataclass(frozen=True)
class Programming:
    """Devices to be written: two a cell where weights are differential.

    ``copied``: those of them that hold a weight which another one holds as well.
    """

    devices: int
    copied: int

    @property
    def energy_pj(self) -> float:
        """Of all pulses."""
        return self.devices * PULSES * PULSE_PJ

    @property
    def seconds(self) -> float:
        """One cell after the other: how many can be written at once is not published."""
        return self.devices * CELL_SECONDS

    def to_json(self) -> dict[str, Any]:
        """The figures, with the constants that they rest on."""
        return {
            "devices": self.devices,
            "copied": self.copied,
            "energy_pj": self.energy_pj,
            "seconds_one_by_one": self.seconds,
            "pulses": PULSES,
            "pulse_pj": PULSE_PJ,
            "basis": "assumed",
        }


def programming_of(program: Program, target: Target) -> Programming:
    """The devices that ``program`` writes on ``target``.

    Raises:
        CostError: ``cost.not-placed``.
    """
    pair = 2 if target.array.encoding == "differential" else 1
    devices = copied = 0
    for matrix in program.matrices:
        places = table_places(matrix, program, target)
        primary = len(program.data[f"{matrix.name}.blocks"])
        cells = residence_of(places) == int(Residence.RRAM)
        size = places[:, ROWS] * places[:, COLS] * matrix.slices * pair * cells
        devices += int(size.sum())
        copied += int(size[primary:].sum())
    return Programming(devices, copied)
