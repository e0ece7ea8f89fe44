"""Bits that lookups are expected to send from chip to chip, given the chip of every block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp

from cimc.analysis.request_size import request_bytes
from cimc.ir import cim
from cimc.ir.context import CompilerContext
from cimc.ir.types import symbol
from cimc.isa.link_widths import HEADER_BITS, id_bits
from cimc.target.spec import Target
from cimc.transforms.place.shard_list import Places, expected_uses, tables_of

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Demand:
    """What requests want of each table: row reads, and the bits of the results; per request.

    Attributes:
        reads: float64 ``[tables]``, expected row reads.
        id_bits: int64 ``[tables]``, width of an id.
        result_bits: float64 ``[tables]``, of what all lookups on the table send on, headers included.
    """

    reads: Floats
    id_bits: Ints
    result_bits: Floats

    @classmethod
    def collect(cls, module: ModuleOp, data: CompilerContext) -> Demand:
        """Of the tables of a module, in the order of :class:`~cimc.transforms.place.shard_list.Places`."""
        tables = tables_of(cim.matrices_of(module))
        number = {m.sym_name.data: n for n, m in enumerate(tables)}
        reads = np.zeros(len(tables))
        for n, matrix in enumerate(tables):
            first = matrix.block_table(data.store)[:, cim.COL0] == 0
            reads[n] = expected_uses(matrix, data)[first].sum()
        result = np.zeros(len(tables))
        for op in module.walk():
            if isinstance(op, cim.LookupOp):
                result[number[symbol(op.table)]] += 8 * request_bytes(op.result) + HEADER_BITS
        widths = np.array([id_bits(m.rows.value.data) for m in tables], np.int64)
        return cls(reads, widths, result)


@dataclass(frozen=True)
class InterchipTraffic:
    """Expected bits per request that cross between chips, by table.

    Attributes:
        apart: float64 ``[tables]``, with each lookup's reduction tile on the chip that is cheapest.
        whole: float64 ``[tables]``, with it on the chip with most reads, were that not the first chip.
    """

    apart: Floats
    whole: Floats


class Answers(NamedTuple):
    """What blocks send where their rows are asked for by another chip, per block.

    Attributes:
        seen: float64, expected answers per request: rows of one block are added before.
        bits: float64, of one answer.
    """

    seen: Floats
    bits: Floats


def expected_answers(places: Places, items: Ints, demand: Demand) -> Answers:
    """Answers of the places ``items``."""
    reads, uses = demand.reads[places.matrix[items]], places.uses[items]
    share = np.divide(uses, reads, out=np.zeros(len(items)), where=reads > 0)
    seen = (1.0 - (1.0 - np.minimum(share, 1.0)) ** np.maximum(reads, 1.0)) * np.minimum(reads, 1.0)
    bits = np.divide(places.traffic[items], uses, out=np.zeros(len(items)), where=uses > 0)
    return Answers(seen, bits)


def interchip_traffic(
    places: Places, items: Ints, chip: Ints, demand: Demand, target: Target
) -> InterchipTraffic:
    """Traffic between chips of the tables' lookups when the places ``items`` lie on the chips ``chip``.

    The reduction tile asks the tiles with the rows on other chips, a message each, and gets vectors back, to
    which rows of one block are added before, and no more of them than a chip has tiles.  A
    reduction tile on another chip than the first, where layers are, sends the results there.
    """
    table, tables, chips = places.matrix[items], len(places.names), target.system.chips
    uses, (seen, vector) = places.uses[items], expected_answers(places, items, demand)
    at = table * chips + chip
    cells = tables * chips
    asked = np.bincount(at, uses * demand.id_bits[table] + seen * HEADER_BITS, cells)
    answers, bits = np.bincount(at, seen, cells), np.bincount(at, seen * vector, cells)
    pooled = bits * np.minimum(1.0, target.tiles_per_chip / np.maximum(answers, 1.0))
    sent = (asked + pooled).reshape(tables, chips)
    total = sent.sum(axis=1)
    whole = total - sent.max(axis=1, initial=0.0) + demand.result_bits
    return InterchipTraffic(np.minimum(total - sent[:, 0], whole), whole)
