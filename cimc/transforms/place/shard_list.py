"""All places of all tables in one flat list: what each takes, and what requests are expected to do to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.ir import cim
from cimc.ir.context import CompilerContext
from cimc.ir.residence import Residence, residence_of, row_bits
from cimc.isa.directory import with_replicas
from cimc.isa.link_widths import HEADER_BITS, WORD_BITS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """Places of the tables, in the order of the matrices; a table's blocks first, then their copies.

    Attributes, one entry per place:
        matrix: position in ``names``.
        entry: number within its table, as in :class:`~cimc.isa.directory.RowDirectory`.
        block: the primary block it holds, numbered over all tables; copies share it.
        residence: as marked, values of :class:`~cimc.ir.residence.Residence`.
        width: cell columns, where it lies in crossbar cells.
        nbytes: bytes, where it lies in SRAM or DRAM.
        uses: expected row reads per request; copies share those of their block evenly.
        traffic: bits per request that come from it: a row of results with a header for each read.
        tile: first column of it in its table: tables wider than an array have several column tiles.
    """

    names: tuple[str, ...]
    matrix: Ints
    entry: Ints
    block: Ints
    residence: NDArray[np.int8]
    width: Ints
    nbytes: Ints
    uses: Floats
    traffic: Floats
    tile: Ints | None = None

    @property
    def column(self) -> Ints:
        """``tile``, or 0 where it is not given."""
        return np.zeros(self.count, np.int64) if self.tile is None else self.tile

    @property
    def count(self) -> int:
        """Number of places."""
        return len(self.entry)

    @property
    def load(self) -> Floats:
        """Expected converted cell columns per request of each place, were it in cells."""
        return self.uses * self.width

    @property
    def copy_of(self) -> Ints:
        """``block`` for copies, -1 for the blocks themselves, which come before their copies."""
        out = self.block.copy()
        out[np.unique(self.block, return_index=True)[1]] = -1
        return out

    def where(self, residence: Residence) -> Ints:
        """Positions of the places with a residence, ascending."""
        return np.flatnonzero(self.residence == int(residence))

    @classmethod
    def collect(cls, matrices: list[cim.MatrixOp], data: CompilerContext) -> Places:
        """Places of sharded tables (of other matrices none)."""
        tables = tables_of(matrices)
        parts: list[tuple[NDArray[Any], ...]] = []
        before = 0
        for position, matrix in enumerate(tables):
            blocks, copied = matrix.block_table(data.store), matrix.replica_table(data.store)
            places = with_replicas(blocks, copied)
            block = np.concatenate([np.arange(len(blocks)), copied[:, 0]]).astype(np.int64)
            cols = places[:, cim.COLS]
            each = expected_uses(matrix, data)[block] / np.bincount(block)[block]
            parts.append(
                (
                    np.full(len(places), position),
                    np.arange(len(places)),
                    before + block,
                    residence_of(places),
                    cols * matrix.shards().slices.value.data,
                    places[:, cim.ROWS] * row_bits(cols, matrix.bits.value.data) // 8,
                    each,
                    each * (HEADER_BITS + cols * WORD_BITS),
                    places[:, cim.COL0],
                )
            )
            before += len(blocks)
        columns = [np.concatenate([p[i] for p in parts]) if parts else np.zeros(0) for i in range(9)]
        number, entry, block, residence, width, nbytes = (c.astype(np.int64) for c in columns[:6])
        names = tuple(m.sym_name.data for m in tables)
        uses, traffic = (c.astype(np.float64) for c in columns[6:8])
        return cls(
            names, number, entry, block, residence.astype(np.int8), width, nbytes, uses, traffic,
            columns[8].astype(np.int64),
        )  # fmt: skip


def expected_uses(matrix: cim.TableOp, data: CompilerContext) -> Floats:
    """Expected row reads per request of each block of a sharded table, float64 ``[blocks]``.

    See :func:`row_block_reads`; one read per request, the same for every row, where no accesses are known.
    """
    blocks = matrix.block_table(data.store)
    height = int(blocks[0, cim.ROWS])
    reads = row_block_reads(matrix, height, data)
    if reads is None:
        high = len(np.unique(blocks[:, cim.ROW0]))
        reads = np.full(high, 1 / high)
    uses: Floats = reads[blocks[:, cim.ROW0] // height]
    return uses


def row_block_reads(matrix: cim.TableOp, height: int, data: CompilerContext) -> Floats | None:
    """Expected row reads per request of each ``height`` storage rows of a table; None: nothing is known.

    From the accesses known to the compilation, in the order that ``group`` gave the rows.  Rows that no
    known access read are read too: they share the mass that Good and Turing's estimate gives to what was
    not seen, the share of reads whose row was read only once (Good, Biometrika 40, 1953).  A short sample of
    a large table so counts for little, a long trace for what it says.
    """
    name, rows = matrix.sym_name.data, matrix.rows.value.data
    access = data.access.get(name)
    inside = np.zeros(0, np.bool_) if access is None else (access.ids >= 0) & (access.ids < rows)
    if access is None or not inside.any():
        return None
    high = -(-rows // height)
    ids, counts = access.ids[inside], access.counts[inside]
    slots = matrix.slots(data.store)
    block = (ids if slots is None else slots[ids]) // height
    reads = np.bincount(block, counts, high)
    size = np.minimum(height, rows - np.arange(high) * height)
    unseen = size - np.bincount(block, minlength=high)
    if unseen.any():
        missed = float(counts[counts == 1].sum() / counts.sum())
        reads = reads * (1.0 - missed) + counts.sum() * missed * unseen / unseen.sum()
    per_request: Floats = reads / max(access.requests, 1)
    return per_request


def expected_touched(uses: Floats) -> float:
    """Expected number of different row blocks that a request reads, of one table.

    ``uses``: expected reads per request of each row block.  The reads of a request are taken as independent:
    with ``n`` reads, of which a share ``p`` goes to a block, it is read with probability ``1 - (1 - p)^n``.
    """
    reads = float(uses.sum())
    if reads <= 0:
        return 0.0
    share = uses / reads
    return float(np.sum(1.0 - (1.0 - share) ** max(reads, 1.0)) * min(reads, 1.0))


def tables_of(matrices: list[cim.MatrixOp]) -> list[cim.TableOp]:
    """The tables among matrices."""
    return [m for m in matrices if isinstance(m, cim.TableOp)]
