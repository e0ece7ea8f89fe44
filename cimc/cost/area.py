"""Silicon area: of the whole system, and of the part that a program uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cimc.cost.energy import weakest
from cimc.cost.owners import table_places
from cimc.ir.cim import ARRAY, COLS, ROWS, TILE
from cimc.ir.residence import Residence, dram_chip, residence_of
from cimc.isa.program import Program
from cimc.support.shown import Shown
from cimc.target.spec import Basis, Target


@dataclass(frozen=True, repr=False)
class Area(Shown):
    """Area in mm2 by component (``arrays``, ``tiles`` without them, ``vector lanes``, ``chips`` but tiles).

    ``used``: arrays that hold a block; tiles with a block or with instructions; chips with such a tile, or
    with tables in their DRAM.  ``table SRAM``, an option, counts where the program uses it at all.
    ``counts``: how many of each exist (``arrays``, ...) and are used (``arrays_used``, ...; ``DRAM`` where
    the program uses any), and the share of cells of
    the used arrays that hold a weight slice (``cells_used``, 0..1).
    """

    system: Mapping[str, float]
    used: Mapping[str, float]
    counts: Mapping[str, float]
    basis: Basis | None

    def _brief(self) -> str:
        return f"{self.system_mm2:.4g} mm2, {self.used_mm2:.4g} mm2 of it used"

    @property
    def system_mm2(self) -> float:
        """The whole system."""
        return sum(self.system.values())

    @property
    def used_mm2(self) -> float:
        """The part that the program uses."""
        return sum(self.used.values())


def area_of(program: Program, target: Target) -> Area:
    """Area of ``target`` and of what ``program`` uses of it.

    Raises:
        CostError: ``cost.not-placed``.
    """
    arrays: set[tuple[int, int]] = set()
    sram: set[int] = set()
    drams: set[int] = set()
    cells = 0
    for matrix in program.matrices:
        places = table_places(matrix, program, target)
        kinds = residence_of(places)
        blocks = places[kinds == int(Residence.RRAM)]
        arrays |= {(int(t), int(a)) for t, a in blocks[:, (TILE, ARRAY)].tolist()}
        sram |= set(places[kinds == int(Residence.SRAM), TILE].tolist())
        drams |= set(dram_chip(places[kinds == int(Residence.DRAM), TILE]).tolist())
        cells += int((blocks[:, ROWS] * blocks[:, COLS]).sum()) * matrix.slices
    tiles = {tile for tile, _ in arrays} | sram
    for segment in program.chip_segments:
        tiles |= {tile for tile, stream in segment.running() if stream}
    chips = drams | {target.coordinates(tile)[0] for tile in tiles}
    per_array = target.array.rows * target.array.cols
    all_of = {"arrays": target.n_arrays, "tiles": target.n_tiles, "chips": target.system.chips}
    used = {"arrays": len(arrays), "tiles": len(tiles), "chips": len(chips)}
    figures = {"arrays": target.array.area_mm2, "tiles": target.tile.area_mm2, "chips": target.chip.area_mm2}
    if target.tile.vector_lane_mm2 is not None:
        lanes = target.tile.vector_lanes
        all_of["vector lanes"], used["vector lanes"] = target.n_tiles * lanes, len(tiles) * lanes
        figures["vector lanes"] = target.tile.vector_lane_mm2
    if sram and target.tile.table_sram_mm2 is not None:
        all_of["table SRAM"], used["table SRAM"] = target.n_tiles, len(sram)
        figures["table SRAM"] = target.tile.table_sram_mm2
    return Area(
        {name: count * float(figures[name]) for name, count in all_of.items()},
        {name: count * float(figures[name]) for name, count in used.items()},
        {
            **all_of,
            **{f"{name.replace(' ', '_')}_used": count for name, count in used.items()},
            **({"DRAM": target.system.chips, "DRAM_used": len(drams)} if drams else {}),
            "cells_used": cells / (len(arrays) * per_array) if arrays else 0.0,
        },
        weakest([f.basis for f in figures.values()]),
    )
