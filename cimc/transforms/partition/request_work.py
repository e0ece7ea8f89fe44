"""What a request asks of an instance and of what all share, as far as it is known before anything is placed.

Figures are those of the cost model, in its terms; lookups are expected values over the accesses known to the
compilation.  Energy has its large terms (arrays, vector units, links); what scratchpads and buses take is
taken to be in proportion.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Operation, SSAValue

from cimc.analysis.request_size import request_bytes
from cimc.interpreter.evaluate import main_function
from cimc.ir import cim, rec
from cimc.ir.context import CompilerContext
from cimc.ir.types import symbol
from cimc.isa.link_widths import HEADER_BITS, WORD_BITS, id_bits
from cimc.mapping.allocation.allocation_problem import Power
from cimc.target.spec import Constant, Target
from cimc.transforms.partition.converter_parallelism import Layer
from cimc.transforms.place.shard_list import Floats, expected_touched, row_block_reads, tables_of
from cimc.transforms.schedule.chip_operations import is_chip
from cimc.transforms.schedule.reduction_tiles import lane_operations

_AROUND = 1.15
"""Energy of a request over that of its arrays, vector units and links: scratchpads, buses, constants."""


@dataclass(frozen=True)
class LookupWork:
    """One lookup: ids a request, different blocks of rows that they are in, whether each row is an answer of
    its own, the bits of an answer, and the cells of a row."""

    ids: float
    touched: float
    single: bool
    bits: float
    cells: int = 0

    def answer_bits(self, tiles: float) -> float:
        """Bits that come back where the table lies on so many tiles, one of them that which asks.

        A tile adds what it reads; blocks are taken as spread evenly.
        """
        answers = self.ids if self.single else tiles * (1.0 - (1.0 - 1.0 / tiles) ** self.touched)
        return (1.0 - 1.0 / tiles) * answers * self.bits


@dataclass(frozen=True)
class RequestWork:
    """Per request: ns of an instance's vector units, all together and along the longest chain of operations
    that wait for each other; bits between host and chip; the lookups; operations of single lanes."""

    vector_ns: float
    chain_ns: float
    bits_in: float
    bits_out: float
    lookups: tuple[LookupWork, ...]
    lane_operations: float

    def answer_bits(self, tiles: float) -> float:
        """Bits of all answers; see :meth:`LookupWork.answer_bits`."""
        return sum(lookup.answer_bits(tiles) for lookup in self.lookups)


def request_work(module: ModuleOp, data: CompilerContext, target: Target) -> RequestWork:
    """The work of a request in the function of ``module``."""
    tables = {table.symbol: table for table in tables_of(cim.matrices_of(module))}
    lanes, op_ns = target.tile.vector_lanes, float(target.tile.vector_op_ns)
    groups = lane_ops = bits_in = bits_out = 0.0
    lookups: list[LookupWork] = []
    until: dict[Operation, float] = {}
    loaded = set()
    for op in main_function(module).body.block.ops:
        if not is_chip(op):
            for value in op.operands:
                if not isinstance(value.owner, rec.ConstantOp | rec.HostOp):
                    bits_out += _bits(value)
            continue
        known = all(_known(value) for value in (*op.operands, *op.results))
        mine = float(-(-lane_operations(op) // lanes)) if known else 0.0
        groups += mine
        lane_ops += lane_operations(op) if known else 0
        before = [until.get(v.owner, 0.0) for v in op.operands if isinstance(v.owner, Operation)]
        until[op] = mine + max(before, default=0.0)
        if isinstance(op, cim.LookupOp):
            table = tables[symbol(op.table)]
            ids, touched = _reads(table, data, target)
            cols = table.cols.value.data
            single = op.mode.data in ("max", "none") or op.weights is not None or table.row_scales is not None
            cells = cols * target.slices(table.bits.value.data)
            lookups.append(LookupWork(ids, touched, single, cols * WORD_BITS + HEADER_BITS, cells))
            bits_in += ids * (id_bits(table.rows.value.data) + (WORD_BITS if op.weights is not None else 0))
            times = 2 * ids if single else max(touched - 1.0, 0.0) + 2.0
            groups += times * -(-cols // lanes)
            lane_ops += times * cols
            continue
        for value in op.operands:
            if not isinstance(value.owner, rec.ConstantOp) and not _from_chip(value) and value not in loaded:
                loaded.add(value)
                bits_in += _bits(value)
    chain = max(until.values(), default=0.0)
    return RequestWork(groups * op_ns, chain * op_ns, bits_in, bits_out, tuple(lookups), lane_ops)


def _bits(value: SSAValue) -> int:
    """Bits of one request's part of a value; none where that varies: ids on their way to a lookup."""
    return 8 * request_bytes(value) if _known(value) else 0


def _known(value: SSAValue) -> bool:
    """Whether every request has as much of a value."""
    return isinstance(value.type, TensorType) and all(extent >= 0 for extent in rec.shape(value)[1:])


def _from_chip(value: SSAValue) -> bool:
    """Whether an operation on the chip makes a value."""
    return isinstance(value.owner, Operation) and is_chip(value.owner)


def block_reads(table: cim.TableOp, data: CompilerContext, target: Target) -> Floats:
    """Expected reads per request of each block of rows of the height of an array."""
    height, rows = target.array.rows, table.rows.value.data
    high = -(-rows // height)
    found = row_block_reads(table, height, data)
    return np.full(high, 1.0 / high) if found is None else found


def _reads(table: cim.TableOp, data: CompilerContext, target: Target) -> tuple[float, float]:
    """Ids per request, and different blocks of rows that they are in."""
    reads = block_reads(table, data, target)
    return float(reads.sum()), expected_touched(reads)


def hop_pj(bits: float, hops: float, target: Target) -> float:
    """Energy of bits on the mesh."""
    return bits * hops * float(target.tile.router_pj_per_bit_hop)


def power_of(layers: Iterable[Layer], work: RequestWork, target: Target) -> Power:
    """Dynamic energy of a request but for answers of lookups, and static power of the target's parts."""
    array, tile = target.array, target.tile
    pj = 0.0
    for layer in layers:
        often = layer.uses * layer.phases
        columns, blocks = layer.cols * layer.slices, -(-layer.rows // array.rows)
        pj += often * _activation_pj(columns, layer.rows, blocks, target)
    for lookup in work.lookups:
        times = lookup.ids if lookup.single else lookup.touched
        pj += times * _activation_pj(lookup.cells, 1, 1, target)
    width, height = target.chip.mesh
    pj += work.lane_operations * float(tile.vector_op_pj)
    outside = work.bits_in + work.bits_out + 2 * HEADER_BITS
    pj += outside * float(target.chip.host_link_pj_per_bit)
    pj += hop_pj(outside, (width + height) / 3, target)
    chips = target.system.chips
    return Power(
        _AROUND * pj,
        _mw(target, "array.static_mw"),
        _mw(target, "tile.scratchpad_static_mw")
        + _mw(target, "tile.router_static_mw")
        + _mw(target, "tile.clock_mw")
        + _mw(target, "tile.vector_lane_static_mw") * tile.vector_lanes,
        _mw(target, "chip.host_link_static_mw") * chips,
    )


def _activation_pj(columns: int, rows: int, blocks: int, target: Target) -> float:
    """Energy of one activation of ``rows`` word lines in ``blocks`` arrays, all ``columns`` of cells."""
    array = target.array
    steps = -(-columns // array.columns_per_step)
    converted = columns if array.gate_unused_adc else steps * array.columns_per_step
    return (
        steps * rows * float(array.row_pj)
        + blocks * (converted * float(array.conversion_pj) + steps * float(array.step_pj))
        + blocks * columns * float(target.tile.shift_add_pj)
    )


def _mw(target: Target, path: str) -> float:
    """A constant of static power; 0 where the target gives none."""
    found = {name: value for name, value, _ in target.fields()}.get(path)
    return float(found) if isinstance(found, Constant) else 0.0
