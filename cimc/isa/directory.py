"""Where rows are: the row directory of a table, from ids to the places that hold their rows, and corpora.

An id becomes a *slot* (its storage row; ``NAME.slots``, or the id itself), a slot a *row block*, and a row
block, together with the number of the request, one *entry* for each group of columns: the primary block or
one of its copies.  Everything that asks where a row lies (counts, cost, timing) asks here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cimc.ir.cim import ARRAY, BLOCK_FIELDS, OFFSET, REPLICA_FIELDS, ROW0, ROWS, TILE
from cimc.ir.residence import Residence, dram_chip, residence_of
from cimc.isa.program import Matrix, Program
from cimc.target.spec import Target

Ints = NDArray[np.int64]


class Places(NamedTuple):
    """Where rows are read, one column per group of columns of the table; each ``[n, wide]``.

    ``entry``: int64, index into :attr:`RowDirectory.entries`; ``tile`` and ``array``: int64 as in a block
    table; ``residence``: int8, values of :class:`~cimc.ir.residence.Residence`.
    """

    entry: Ints
    tile: Ints
    array: Ints
    residence: NDArray[np.int8]


class RowDirectory:
    """Where each row of a table is, and which copy of it a request reads.

    Attributes:
        entries: int64 ``[blocks + copies, 7]``, block table of all places: the primary blocks in the order of
            ``NAME.blocks``, then the copies in the order of ``NAME.replicas``, with the rows and columns of
            the block that they copy.
        primary: int64 ``[blocks + copies]``, the primary block that an entry holds.
        residence: int8 ``[blocks + copies]``.
        copies: int64 ``[blocks]``, further copies of each primary block.
        high, wide: row blocks, and groups of columns, of the table; ``blocks == high * wide``.
        block_rows: slots of a row block.
    """

    def __init__(self, program: Program, matrix: Matrix) -> None:
        blocks: NDArray[Any] = program.data[f"{matrix.name}.blocks"]
        self._slots = program.data.get(f"{matrix.name}.slots")
        replicas = program.data.get(f"{matrix.name}.replicas")
        self.block_rows = matrix.block_rows
        self.wide = int((blocks[:, ROW0] == blocks[0, ROW0]).sum())
        self.high = len(blocks) // self.wide
        if replicas is None:
            replicas = np.zeros((0, len(REPLICA_FIELDS)), np.int32)
        self.entries: Ints = with_replicas(blocks, replicas)
        of: Ints = replicas[:, 0].astype(np.int64)
        self.primary: Ints = np.concatenate([np.arange(len(blocks), dtype=np.int64), of])
        self.residence = residence_of(self.entries)
        self.copies: Ints = np.bincount(of, minlength=len(blocks)).astype(np.int64)
        self._first_copy: Ints = len(blocks) + np.cumsum(self.copies) - self.copies

    def slot(self, ids: NDArray[Any]) -> Ints:
        """Storage rows of rows ``ids``; same shape, int64."""
        if self._slots is None:
            return np.asarray(ids, np.int64)
        found: Ints = self._slots[ids].astype(np.int64)
        return found

    def block(self, ids: NDArray[Any]) -> Ints:
        """Row blocks (0 .. ``high`` - 1) of rows ``ids``; same shape, int64."""
        return self.slot(ids) // self.block_rows

    def entry(self, row_block: NDArray[Any], request: NDArray[Any]) -> Ints:
        """Entries that request number ``request[n]`` reads row block ``row_block[n]`` from, ``[n, wide]``.

        Request ``k`` of a run reads copy ``k mod (1 + copies)`` of each block, copy 0 being the primary.
        """
        primary: Ints = np.asarray(row_block, np.int64)[:, None] * self.wide + np.arange(self.wide)
        if len(self.entries) == len(self.copies):
            return primary
        turn = np.asarray(request, np.int64)[:, None] % (1 + self.copies[primary])
        return np.where(turn > 0, self._first_copy[primary] + turn - 1, primary)

    def place(self, row_block: NDArray[Any], request: NDArray[Any]) -> Places:
        """Where requests ``request[n]`` read row blocks ``row_block[n]``; see :meth:`entry`."""
        entry = self.entry(row_block, request)
        return Places(entry, self.entries[entry, TILE], self.entries[entry, ARRAY], self.residence[entry])

    def share(self) -> NDArray[np.float64]:
        """Share of the requests for its block that each entry serves, float64 ``[blocks + copies]``."""
        out: NDArray[np.float64] = 1.0 / (1 + self.copies[self.primary])
        return out


def with_replicas(blocks: NDArray[Any], replicas: NDArray[Any]) -> Ints:
    """Block table of primaries ``[blocks, 7]`` and their copies ``[copies, 4]``, int64, primaries first."""
    copies = blocks[replicas[:, 0]].astype(np.int64)
    copies[:, (TILE, ARRAY, OFFSET)] = replicas[:, 1:]
    return np.concatenate([blocks.astype(np.int64), copies.reshape(-1, len(BLOCK_FIELDS))])


def blocks_at(program: Program, matrix: Matrix, turn: int) -> Ints:
    """The block table that request ``turn`` of a run uses: of each block the primary, or the copy in turn."""
    blocks: Ints = program.data[f"{matrix.name}.blocks"].astype(np.int64)
    replicas = program.data.get(f"{matrix.name}.replicas")
    if replicas is None:
        return blocks
    copies = np.bincount(replicas[:, 0], minlength=len(blocks))
    copy = turn % (1 + copies)
    of = np.flatnonzero(copy)
    chosen = (np.cumsum(copies) - copies + copy - 1)[of]
    blocks[of[:, None], (TILE, ARRAY, OFFSET)] = replicas[chosen, 1:]
    return blocks


def places_of(program: Program, matrix: Matrix) -> Ints:
    """Block table of every place that holds a part of ``matrix``: blocks, and their copies."""
    blocks: NDArray[Any] = program.data[f"{matrix.name}.blocks"]
    replicas = program.data.get(f"{matrix.name}.replicas")
    return blocks.astype(np.int64) if replicas is None else with_replicas(blocks, replicas)


def serving_tiles(entries: Ints, target: Target) -> Ints:
    """The tile whose router answers for each entry: its own, or for DRAM the one at its chip's first port."""
    port = dram_chip(entries[:, TILE]) * target.tiles_per_chip + target.port_tile(0, 0)
    tiles: Ints = np.where(residence_of(entries) == int(Residence.DRAM), port, entries[:, TILE])
    return tiles


def lines_of(blocks: int, stack: int, dim: int) -> NDArray[np.int32]:
    """First word line of each block where ``stack`` after one another share an array, int32 ``[blocks]``."""
    found: NDArray[np.int32] = (np.arange(blocks, dtype=np.int32) % stack) * np.int32(dim)
    return found


def items_of(program: Program, matrix: Matrix, first: int, count: int) -> range:
    """The items that a range of blocks holds."""
    blocks = program.data[f"{matrix.name}.blocks"][first : first + count]
    return range(int(blocks[:, ROW0].min()), int((blocks[:, ROW0] + blocks[:, ROWS]).max()))
