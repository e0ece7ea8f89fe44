"""Are the places of a program's matrices legal?  Residence, copies, slots, capacities, overlaps.

The functions return what is wrong, or nothing: the verifier names the matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import printable
from cimc.ir.cim import ARRAY, COL0, COLS, OFFSET, REPLICA_FIELDS, ROW0, ROWS, TILE, WIDTHS
from cimc.ir.residence import Residence, dram_chip, residence_of, row_bits
from cimc.isa.directory import places_of, with_replicas
from cimc.isa.instructions import Instr
from cimc.isa.program import CORPUS, Matrix, Program
from cimc.target.spec import Target

Ints = NDArray[np.int64]


def wrong_place(places: Ints, matrix: Matrix, target: Target) -> str:
    """What is wrong with the places ``[n, 7]`` of a matrix, each on its own."""
    kinds = residence_of(places)
    tiles, arrays, offset = places[:, TILE], places[:, ARRAY], places[:, OFFSET]
    cells, sram, dram = (kinds == int(k) for k in Residence)
    if matrix.kind != "table" and not cells.all():
        return f"is a {matrix.kind} matrix, and has a block outside of crossbar cells"
    on_tile = (tiles >= 0) & (tiles < target.n_tiles)
    if (cells & ~(on_tile & (arrays >= 0) & (arrays < target.tile.arrays))).any():
        return "has a block on no array of the target"
    if (sram & ~on_tile).any():
        return "has a block in the SRAM of no tile of the target"
    chips = dram_chip(tiles)
    if (dram & ((chips < 0) | (chips >= target.system.chips) | (arrays != -1))).any():
        return "has a block in the DRAM of no chip of the target"
    if matrix.kind == CORPUS:  # stands across: its verifier looks at word lines and columns
        return "is a corpus, and has a block with an offset" if (offset != 0).any() else ""
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
        if matrix.kind == CORPUS:  # its arrays hold nothing else
            own = np.unique(here[:, TILE] * target.tile.arrays + here[:, ARRAY])
            wide = np.full(len(own), target.array.cols)
            cells.append(np.stack([own, np.zeros_like(own), wide, np.full(len(own), number)], axis=1))
            continue
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


def wrong_lines(matrix: Matrix, blocks: NDArray[np.int64], lines: NDArray[Any] | None, target: Target) -> str:
    """What is wrong with the word lines of a corpus, or nothing."""
    if lines is None or lines.dtype.kind != "i" or lines.shape != (len(blocks),):
        return f"has no first word lines of its {len(blocks)} blocks"
    ends = lines.astype(np.int64) + blocks[:, COLS]
    if (lines < 0).any() or (ends > target.array.rows).any():
        return "has a block beyond the word lines of its array"
    if (blocks[:, ROWS] * matrix.slices > target.array.cols).any():
        return "has a block that is wider than its array"
    order = np.lexsort((lines, *blocks[:, 5:3:-1].T))
    at, low, high = blocks[order, 4:6], lines[order], ends[order]
    same = (at[1:] == at[:-1]).all(axis=1)
    return "has two blocks on the same word lines" if (same & (low[1:] < high[:-1])).any() else ""


def wrong_order(matrix: Matrix, blocks: NDArray[np.int64]) -> str:
    """What is wrong with the order of blocks: by items, then numbers, and each number of each item once."""
    parts = int((blocks[:, ROW0] == blocks[0, ROW0]).sum())
    if len(blocks) % parts:
        return "has another number of blocks than its items need"
    table = blocks.reshape(-1, parts, blocks.shape[1])
    starts, sizes = table[:, 0, ROW0], table[:, 0, ROWS]
    cols0, cols = table[0, :, COL0], table[0, :, COLS]
    right = (
        (table[:, :, ROW0] == starts[:, None]).all()
        and (table[:, :, ROWS] == sizes[:, None]).all()
        and (table[:, :, COL0] == cols0).all()
        and (table[:, :, COLS] == cols).all()
        and (starts == np.cumsum(sizes) - sizes).all()
        and (cols0 == np.cumsum(cols) - cols).all()
        and (int(sizes.sum()), int(cols.sum())) == (matrix.rows, matrix.cols)
    )
    return "" if right else "has blocks out of order, or that do not cover it once"


def wrong_search(item: Instr, matrix: Matrix, blocks: NDArray[Any]) -> str:
    """What is wrong with blocks and sums of a ``search``, or nothing: it has all numbers of its items."""
    first, count = item.number("first"), item.number("count")
    parts = int((blocks[:, ROW0] == blocks[0, ROW0]).sum())
    if first % parts or count % parts:
        return "parts of items are on another tile"
    if item.number("width") not in WIDTHS or not 0 <= item.number("shift") < 32:
        return f"sums have {' or '.join(map(str, WIDTHS))} bits, less than 32 of them rounded off"
    return ""
