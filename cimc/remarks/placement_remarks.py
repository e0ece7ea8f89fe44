"""Remarks on the machine: where blocks lie, and who executes what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from cimc.remarks.record import OMIT, Record
from cimc.remarks.remark import Remark, beside
from cimc.remarks.table_remarks import CountsByMemory, ReadsByMemory


@dataclass(frozen=True, repr=False)
class MatrixPlacement(Record):
    """Where one matrix lives.

    Attributes:
        name: of the matrix.
        kind: ``table`` or ``dense``.
        rows, cols: of the matrix; ``bits`` of an element, in ``slices`` cells.
        blocks: parts of the size of an array.
        tiles: those that hold a block in arrays or SRAM, ascending.
        arrays: arrays that hold a block (those of tables may be shared).
        cells: cells that the blocks take, one copy each.
    """

    name: str
    kind: str
    rows: int
    cols: int
    bits: int
    slices: int
    blocks: int
    tiles: tuple[int, ...]
    arrays: int
    cells: int


@dataclass(frozen=True, repr=False)
class LayersOnMesh(Record):
    """How layers got their positions before the tables did (``place{dense=...}``).

    Attributes:
        method: that was asked for.
        produced_by: that gave the positions.
        effort: what it counted of its work.
        bit_hops: bits times mesh links that array groups exchange per request.
        bound: lower bound on it.
        gap: ``bit_hops / bound - 1``; ``None`` where the bound is 0.
    """

    method: str
    produced_by: str
    effort: Mapping[str, float]
    bit_hops: float
    bound: float
    gap: float | None


@dataclass(frozen=True, repr=False)
class TableMemories(Record):
    """Where the rows of one table are, and the reads that are expected of them.

    Attributes:
        name: of the table.
        rows: by memory, of the first group of columns.
        bytes: by memory, one copy each.
        reads: of rows per request, by memory.
        copies: further ones, of blocks.
        grouping: policy of the order of its rows; ``in_order``: as in the model.
        blocks_touched: row blocks that a request is expected to read.
        known: whether accesses of the table were known; otherwise every row counts alike.
    """

    name: str
    rows: CountsByMemory
    bytes: CountsByMemory
    reads: ReadsByMemory
    copies: int
    grouping: str
    blocks_touched: float
    known: bool


@dataclass(frozen=True, repr=False)
class ChipAssignment(Record):
    """How tables got to chips (``place{chips=...}``).

    Attributes:
        policy: ``load``, ``solve``, ``near``, ``torchrec``, ``recshard`` or ``neuroshard``.
        tables_together: of ``near``: tables that stay whole.
        crossing_bits: of ``near``: expected to cross between chips, per request.
        bottleneck_ns: of ``solve`` and the planners: time of the slowest chip per request;
            ``bound_ns``: lower bound on it.
        optimal: of ``solve``: whether it is proven that there is nothing better.
        produced_by, effort: of ``solve`` and the planners: by which method, and what it counted of its work.
    """

    policy: str
    tables_together: int | None = field(default=None, metadata=OMIT)
    crossing_bits: float | None = field(default=None, metadata=OMIT)
    bottleneck_ns: float | None = field(default=None, metadata=OMIT)
    bound_ns: float | None = field(default=None, metadata=OMIT)
    optimal: bool | None = field(default=None, metadata=OMIT)
    produced_by: str | None = field(default=None, metadata=OMIT)
    effort: Mapping[str, float] | None = field(default=None, metadata=OMIT)


@dataclass(frozen=True, repr=False)
class PlacementRemarks(Remark):
    """Of ``place``: how good the mapping is, and where every matrix lives.

    Attributes:
        strategy: that was asked for.
        seed: of what is random in it.
        produced_by: the methods that gave the solution, of several chips in their order.
        effort: what they counted of their work.
        bottleneck: load of the busiest tile: cell columns converted per request.
        bound: lower bound on it, over all placements.
        gap: ``bottleneck / bound - 1``; 0 where the bound is 0.
        hops: bits times mesh links per request, from and to the tile in the middle.
        hops_bound: lower bound on it.
        items: arrays of tables and array groups of layers that were placed.
        table_arrays: arrays that hold tables, without their copies.
        matrices: where each lives.
        copy_arrays: arrays that hold copies; ``None`` without copies.
        copies_sharing_a_tile: copies for which no other tile was left; ``None`` without copies.
        dense: how layers got their positions; ``None`` where they were placed together with tables.
        residency: memories of each table.
        chips: how tables got to chips; ``None`` where all tiles were looked at alike.
    """

    name: ClassVar[str] = "placement"
    strategy: str
    seed: int
    produced_by: str
    effort: Mapping[str, float]
    bottleneck: float
    bound: float
    gap: float
    hops: float
    hops_bound: float
    items: int
    table_arrays: int
    matrices: tuple[MatrixPlacement, ...]
    residency: tuple[TableMemories, ...] = field(metadata=beside("residency"))
    copy_arrays: int | None = field(default=None, metadata=OMIT)
    copies_sharing_a_tile: int | None = field(default=None, metadata=OMIT)
    dense: LayersOnMesh | None = field(default=None, metadata=OMIT)
    chips: ChipAssignment | None = field(default=None, metadata=beside("chips") | OMIT)

    def mapping(self) -> dict[str, Any]:
        """As JSON, without what is said of tables: the mapping alone."""
        return {key: value for key, value in self.to_json().items() if key not in ("residency", "chips")}


@dataclass(frozen=True, repr=False)
class CutOperation(Record):
    """An operation that no scratchpad holds whole: by its node, and in how many parts it is done."""

    node: str
    pieces: int


@dataclass(frozen=True, repr=False)
class MovedLookups(Record):
    """Lookups that left the tile that needs their result (``schedule{reduction_tiles=spread}``).

    Attributes:
        moved: how many of ``lookups``.
        ns_before, ns_after: time that the busiest router port or vector unit is expected to be busy, per
            request.
    """

    moved: int
    lookups: int
    ns_before: float
    ns_after: float


@dataclass(frozen=True, repr=False)
class ScheduleRemarks(Remark):
    """Of ``schedule``.

    Attributes:
        scratchpad: bytes used on each tile that executes anything, by its number.
        cut: operations that are done in parts.
        reduction_tiles: lookups that moved; ``None`` where none were to.
    """

    name: ClassVar[str] = "schedule"
    scratchpad: Mapping[int, int] = field(metadata=beside("scratchpad"))
    cut: tuple[CutOperation, ...] = field(default=(), metadata=beside("cut") | OMIT)
    reduction_tiles: MovedLookups | None = field(default=None, metadata=beside("homes") | OMIT)
