"""Remarks on tables: the order of their rows, their memories, their copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from cimc.remarks.record import Record
from cimc.remarks.remark import Remark


@dataclass(frozen=True, repr=False)
class CountsByMemory(Record):
    """How much is in crossbar cells, in table SRAM and in DRAM: rows, blocks or bytes."""

    rram: int
    sram: int
    dram: int


@dataclass(frozen=True, repr=False)
class ReadsByMemory(Record):
    """Expected row reads per request from crossbar cells, from table SRAM and from DRAM."""

    rram: float
    sram: float
    dram: float


@dataclass(frozen=True, repr=False)
class GroupingRemarks(Remark):
    """Of ``group``.

    Attributes:
        policy: by which rows were put in order.
        seed: of what is random in it.
        unread: tables that keep their order, as no access of them is known.
    """

    name: ClassVar[str] = "grouping"
    policy: str
    seed: int
    unread: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class ResidenceRemarks(Remark):
    """Of ``assign-memory``: the memory of every block of rows.

    Attributes:
        policy: by which it was chosen.
        writes: of a row, over the lifetime.
        endurance: writes that a cell survives; ``endurance_source`` says by whom.
        blocks, bytes: by memory.
        reads_per_request: by memory, as expected.
        rewritten_too_often: tables that ``writes`` keeps out of cells.
    """

    name: ClassVar[str] = "reside"
    policy: str
    writes: float
    endurance: float
    endurance_source: str
    blocks: CountsByMemory
    bytes: CountsByMemory
    reads_per_request: ReadsByMemory
    rewritten_too_often: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class ReplicationRemarks(Remark):
    """Of ``replicate``.

    Attributes:
        policy: by which blocks were copied.
        budget: share of the free arrays that copies may take, 0..1.
        free_arrays: arrays that neither layers nor tables take.
        copies: further copies in all.
        blocks_copied: blocks that have any.
        heaviest_before, heaviest: load of the block that is read most, without its copies and with them:
            cell columns converted per request.
        bound: lower bound on the load of a tile.
        effort: what the policy counted of its work.
    """

    name: ClassVar[str] = "replication"
    policy: str
    budget: float
    free_arrays: int
    copies: int
    blocks_copied: int
    heaviest_before: float
    heaviest: float
    bound: float
    effort: Mapping[str, float]
