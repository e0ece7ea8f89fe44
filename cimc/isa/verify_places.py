"""Are the places of a program's matrices legal?  Residence, copies, slots, capacities, overlaps.

The functions return what is wrong, or nothing: the verifier names the matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import printable
from cimc.ir.cim import ARRAY, COLS, OFFSET, REPLICA_FIELDS, ROWS, TILE
from cimc.ir.residence import Residence, dram_chip, residence_of, row_bits
from cimc.isa.directory import places_of, with_replicas
from cimc.isa.program import Matrix, Program
from cimc.target.spec import Target

Ints = NDArray[np.int64]


def wrong_place(places: Ints, matrix: Matrix, target: Target) -> str:
    """What is wrong with the places ``[n, 7]`` of a matrix, each on its own."""
    kinds = residence_of(places)
    tiles, arrays, offset = places[:, TILE], places[:, ARRAY], places[:, OFFSET]
    cells, sram, dram = (kinds == int(k) for k in Residence)
    if matrix.kind == "dense" and not cells.all():
        return "is a layer, and has a block outside of crossbar cells"
    on_tile = (tiles >= 0) & (tiles < target.n_tiles)
    if (cells & ~(on_tile & (arrays >= 0) & (arrays < target.tile.arrays))).any():
        return "has a block on no array of the target"
    if (sram & ~on_tile).any():
        return "has a block in the SRAM of no tile of the target"
    chips = dram_chip(tiles)
    if (dram & ((chips < 0) | (chips >= target.system.chips) | (arrays != -1))).any():
        return "has a block in the DRAM of no chip of the target"
    ends = offset + places[:, COLS] * matrix.slices
    if (cells & ((offset < 0) | (ends > target.array.cols) | (places[:, ROWS] > target.array.rows))).any():
        return "has a block that is larger than its array"
    return "has a block in SRAM or DRAM with an offset" if (~cells & (offset != 0)).any() else ""


def wrong_slots(slots: NDArray[Any], matrix: Matrix) -> str:
    """What is wrong with the storage rows of a table: they are a permutation of its rows."""
    if matrix.kind != "table" or slots.dtype.kind != "i" or slots.shape != (matrix.rows,):
        return f"has slots that are not {matrix.rows} integers of a table"
    seen = np.zeros(matrix.rows, np.bool_)
    if slots.min() < 0 or slots.max() >= matrix.rows:
        return "has a slot outside of its rows"
    seen[slots] = True
    return "" if seen.all() else "has two rows in one slot"


def wrong_replicas(replicas: NDArray[Any], blocks: NDArray[Any], matrix: Matrix) -> str:
    """What is wrong with the list of copies of a matrix, their places apart."""
    if (
        replicas.dtype.kind != "i"
        or replicas.ndim != 2
        or replicas.shape[1] != len(REPLICA_FIELDS)
        or not len(replicas)
    ):
        return "has copies that are not [copies, 4] integers"
    of = replicas[:, 0]
    if of.min() < 0 or of.max() >= len(blocks):
        return "has a copy of a block that does not exist"
    if (residence_of(with_replicas(blocks, replicas)[len(blocks) :]) != residence_of(blocks)[of]).any():
        return "has a copy in another kind of memory than its block"
    return "has copies that are not ordered by block" if (np.diff(of) < 0).any() else ""


def wrong_sharing(program: Program, target: Target) -> str:
    """What is wrong with all places together: overlapping columns, full SRAMs and DRAMs."""
    cells: list[Ints] = []
    sram = np.zeros(target.n_tiles, np.int64)
    dram = np.zeros(target.system.chips, np.int64)
    for number, matrix in enumerate(program.matrices):
        places = places_of(program, matrix)
        kinds = residence_of(places)
        size = places[:, ROWS] * row_bits(places[:, COLS], matrix.bits) // 8
        inside = kinds == int(Residence.SRAM)
        np.add.at(sram, places[inside, TILE], size[inside])
        outside = kinds == int(Residence.DRAM)
        np.add.at(dram, dram_chip(places[outside, TILE]), size[outside])
        here = places[kinds == int(Residence.RRAM)]
        key = here[:, TILE] * target.tile.arrays + here[:, ARRAY]
        ends = here[:, OFFSET] + here[:, COLS] * matrix.slices
        cells.append(np.stack([key, here[:, OFFSET], ends, np.full(len(here), number)], axis=1))
    if sram.max(initial=0) > target.tile.table_sram_bytes:
        return (
            f"tile {int(sram.argmax())} holds {sram.max()} bytes of tables in SRAM, "
            f"the target has {target.tile.table_sram_bytes}"
        )
    if dram.max(initial=0) > target.chip.dram_bytes:
        return (
            f"chip {int(dram.argmax())} holds {dram.max()} bytes of tables in DRAM, "
            f"the target has {target.chip.dram_bytes}"
        )
    if not cells:
        return ""
    whole = np.concatenate(cells)
    whole = whole[np.lexsort((whole[:, 1], whole[:, 0]))]
    # sorted by array and first column: if any two overlap, some neighbours do
    clash = np.flatnonzero((whole[1:, 0] == whole[:-1, 0]) & (whole[1:, 1] < whole[:-1, 2]))
    if not clash.size:
        return ""
    tile, array = divmod(int(whole[clash[0], 0]), target.tile.arrays)
    names = [printable(program.matrices[int(whole[clash[0] + i, 3])].name) for i in (0, 1)]
    return f"array {array} of tile {tile}: blocks of {names[0]} and {names[1]} share columns"
