"""Reduction tiles of lookups: several where that relieves the busiest router or vector unit.

A lookup's reduction tile takes the ids in, asks the owners, adds their answers and scales the sum; what it
sends on is one pooled vector.  With all of them on the tile that needs the vectors, that tile's router also
carries ids and partial answers, and its vector unit does all the adding.  All figures are expected ns per
request that a unit is busy, in the terms of the cost model (one header a message, one operation time for
each group of lanes).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation, SSAValue

from cimc.analysis.request_size import element_bytes, request_bytes
from cimc.ir import cim, rec
from cimc.ir.context import CompilerContext
from cimc.ir.residence import Residence, residence_of
from cimc.ir.types import symbol
from cimc.isa.directory import serving_tiles, with_replicas
from cimc.isa.link_widths import HEADER_BITS, WORD_BITS, id_bits
from cimc.remarks import MovedLookups
from cimc.target.spec import Target
from cimc.transforms.place.shard_list import Floats, Ints, expected_uses, tables_of
from cimc.transforms.schedule.activation_widths import narrow_bits

_CANDIDATES = 8
"""Owners of a table that are tried as reduction tile, the busiest first."""
_TRIED = 32
"""Lookups that are tried for each move, those that keep theirs busiest first."""
_FILL = 0.5
"""Share of a scratchpad that results may take, none sharing memory, on a tile that becomes one."""
_LEAST = 1e-6
_NEARLY = 1.1
"""Times the least: among first tiles that are busy up to this the one in the middle of the rows is chosen."""
_IN, _OUT, _VECTOR = range(3)
"""Units of a tile: router input, router output, vector unit."""


@dataclass(frozen=True)
class _Flow:
    """One lookup: where its ids are answered, and how long that keeps units busy; ns per request.

    ``tile`` owners' routers ``[n]``; ``out``, ``back``: messages to and from each; ``bag``: from the host;
    ``result``: to the consumer; ``pooling``: that tile's vector unit.
    """

    op: cim.LookupOp
    tile: Ints
    out: Floats
    back: Floats
    bag: float
    result: float
    pooling: float

    @property
    def weight(self) -> float:
        """How much it keeps its reduction tile busy, more or less."""
        return self.bag + float(self.back.sum() + self.out.sum()) + self.pooling

    def add(self, busy: Floats, reduction_tile: int, consumer: int, sign: float) -> None:
        """Add the flow with its reduction tile on a tile to ``busy`` (see :func:`_others`)."""
        far = self.tile != reduction_tile
        np.add.at(busy[_IN], self.tile[far], sign * self.out[far])
        np.add.at(busy[_OUT], self.tile[far], sign * self.back[far])
        busy[_IN, reduction_tile] += sign * (self.bag + float(self.back[far].sum()))
        busy[_OUT, reduction_tile] += sign * float(self.out[far].sum())
        busy[_VECTOR, reduction_tile] += sign * self.pooling
        if reduction_tile != consumer:
            busy[_OUT, reduction_tile] += sign * self.result
            busy[_IN, consumer] += sign * self.result


def spread_reduction_tiles(
    chip: list[Operation],
    stages: dict[Operation, int],
    tiles: dict[Operation, int],
    lookups: list[cim.LookupOp],
    data: CompilerContext,
    target: Target,
) -> tuple[dict[Operation, int], MovedLookups]:
    """New reduction tiles for some of ``lookups`` (those whose ids stream in from outside).

    First, a lookup whose rows are on another chip is reduced there, where that saves crossing more than a
    result.  Then, while a router port or a vector unit is the busiest unit (arrays are the others looked at),
    one of the lookups that have it as reduction tile moves to an owner of its rows: the one that leaves the
    units of the two tiles least busy.

    Returns:
        The tile of each lookup that moves, and the busiest of these units before and after, ns per request.
    """
    busy = _others(chip, stages, tiles, lookups, target)
    flows = [_flow(op, data, target) for op in lookups]
    consumer = [tiles[f.op] for f in flows]
    held = _held(chip, stages, tiles)
    reduction_tile = _on_their_chips(busy, flows, consumer, held, stages, target)
    before = float(busy.max(initial=0.0))
    enough = _busiest_array_ns(chip, data, target)
    while busy.max(initial=0.0) > max(enough, before * _LEAST):
        at = int(busy.argmax()) % target.n_tiles
        move = _best_move(busy, at, flows, reduction_tile, consumer, held, stages, target)
        if move is None:
            break
        number, there = move
        flow = flows[number]
        flow.add(busy, reduction_tile[number], consumer[number], -1.0)
        flow.add(busy, there, consumer[number], 1.0)
        key = (stages[flow.op], there)
        held[key] = held.get(key, 0) + request_bytes(flow.op.result)
        reduction_tile[number] = there
    moved: dict[Operation, int] = {
        f.op: there for f, there, old in zip(flows, reduction_tile, consumer, strict=True) if there != old
    }
    after = float(busy.max(initial=0.0))
    return moved, MovedLookups(len(moved), len(flows), before, after)


def deal_lookups(
    chip: list[Operation],
    stages: dict[Operation, int],
    tiles: dict[Operation, int],
    lookups: list[cim.LookupOp],
    beside: list[int],
    count: int,
    data: CompilerContext,
    target: Target,
) -> tuple[dict[Operation, int], MovedLookups | None]:
    """Deal the ``lookups`` of each of ``count`` instances over the tile that needs them and tiles ``beside``.

    Those have nothing else to do; they are on chips of their own, by whose ports answers come in.  Of the
    lookups whose answers mostly come from other chips anyway the heaviest goes first, each to the tile whose
    units it leaves least busy.  Where arrays are busier than the tile that needs them all stay there.

    Returns:
        As :func:`spread_reduction_tiles`, of units of the instance alone.
    """
    others, enough = _others(chip, stages, tiles, lookups, target), _busiest_array_ns(chip, data, target)
    flows = [_flow(op, data, target) for op in lookups]
    # rows with several places are at hand, others on the chip of one instance at the most
    afar = [float(_flow(op, data, target, copied=False).back.sum()) * (1 - 1 / count) for op in lookups]
    away = {
        flow.op
        for flow, far in zip(flows, afar, strict=True)
        if far > float(flow.back.sum()) - far + flow.result
    }
    busy = {t: others[:, t].copy() for t in {*(tiles[op] for op in lookups), *beside}}

    def work(flow: _Flow, at: int) -> Floats:
        back = float(flow.back.sum())
        return np.array([flow.bag + back, flow.result if at != tiles[flow.op] else 0.0, flow.pooling])

    whole = {t: b.copy() for t, b in busy.items()}
    for flow in flows:
        whole[tiles[flow.op]] += work(flow, tiles[flow.op])
    before = max((float(b.max()) for b in whole.values()), default=0.0)
    if before <= enough:
        return {}, MovedLookups(0, len(flows), before, before)
    moved: dict[Operation, int] = {}
    held = dict.fromkeys(beside, 0)
    for flow in sorted(flows, key=lambda f: -f.weight):
        consumer, size = tiles[flow.op], request_bytes(flow.op.result)
        room = _FILL * target.tile.scratchpad_bytes - size
        reach = {consumer: float((busy[consumer] + work(flow, consumer)).max())}
        for t in (t for t in beside if held[t] <= room and flow.op in away):
            there = float((busy[t] + work(flow, t)).max())
            reach[t] = max(there, float(busy[consumer][_IN]) + flow.result)
        at = min(reach, key=lambda t: reach[t])
        busy[at] += work(flow, at)
        if at != consumer:
            busy[consumer][_IN] += flow.result
            moved[flow.op], held[at] = at, held[at] + size
    after = max(float(b.max()) for b in busy.values())
    return moved, MovedLookups(len(moved), len(flows), before, after)


def hoist(moved: Iterable[Operation]) -> None:
    """Let lookups that do not run where their result is needed start first.

    They only read values from outside of the chip, so nothing but what makes these (host segments) has to
    come before them.
    """
    for op in reversed(list(moved)):  # each goes first, so they keep their order
        block = op.parent_block()
        assert block is not None
        made = {v.owner for v in op.operands if isinstance(v.owner, Operation)}
        last = next((o for o in reversed(list(block.ops)) if o in made), None)
        op.detach()  # type: ignore[no-untyped-call]
        if last is not None:
            block.insert_op_after(op, last)
        elif block.first_op is not None:
            block.insert_op_before(op, block.first_op)


def _on_their_chips(
    busy: Floats,
    flows: list[_Flow],
    consumer: list[int],
    held: dict[tuple[int, int], int],
    stages: dict[Operation, int],
    target: Target,
) -> list[int]:
    """A first reduction tile for each lookup: the consumer, or a tile on the chip from which the least
    crosses.

    Adds the flows to ``busy`` and the results of those away from the consumer to ``held``.
    """
    room = _FILL * target.tile.scratchpad_bytes
    reduction_tile = list(consumer)
    for number, flow in enumerate(flows):
        at = consumer[number]
        chip = flow.tile // target.tiles_per_chip
        sent = np.bincount(chip, flow.out + flow.back, target.system.chips)
        there = int(sent.argmax())
        here = at // target.tiles_per_chip
        key, size = stages[flow.op], request_bytes(flow.op.result)
        fits = [
            tile
            for tile in np.unique(flow.tile[chip == there]).tolist()
            if size + held.get((key, tile), 0) <= room
        ]
        if there != here and sent[there] - sent[here] > 2 * flow.result and fits:
            at = _centre(busy, flow, fits, consumer[number], target)
            held[key, at] = held.get((key, at), 0) + size
            reduction_tile[number] = at
        flow.add(busy, at, consumer[number], 1.0)
    return reduction_tile


def _centre(busy: Floats, flow: _Flow, fits: list[int], consumer: int, target: Target) -> int:
    """Of the tiles ``fits`` whose units would be least busy, or nearly, the one nearest to the rows."""
    reach = {}
    for tile in fits:
        trial = busy.copy()
        flow.add(trial, tile, consumer, 1.0)
        reach[tile] = float(trial[:, tile].max())
    near = _NEARLY * min(reach.values())
    same = flow.tile // target.tiles_per_chip == fits[0] // target.tiles_per_chip
    sent = list(zip(flow.tile[same].tolist(), (flow.out + flow.back)[same].tolist(), strict=True))

    def bit_hops(tile: int) -> float:
        total: float = sum(bits * target.hops(owner, tile) for owner, bits in sent)
        return total

    return min((t for t in fits if reach[t] <= near), key=lambda t: (bit_hops(t), t))


def _best_move(
    busy: Floats,
    at: int,
    flows: list[_Flow],
    reduction_tile: list[int],
    consumer: list[int],
    held: dict[tuple[int, int], int],
    stages: dict[Operation, int],
    target: Target,
) -> tuple[int, int] | None:
    """The lookup with its reduction tile on tile ``at`` and its new one that help the most; None if none
    does."""
    room, busiest = _FILL * target.tile.scratchpad_bytes, float(busy.max())
    best: tuple[float, float, int, int] | None = None
    here = [n for n in range(len(flows)) if reduction_tile[n] == at]
    for number in sorted(here, key=lambda n: (-flows[n].weight, n))[:_TRIED]:
        flow = flows[number]
        order = np.lexsort((flow.tile, -(flow.out + flow.back)))
        for there in flow.tile[order[:_CANDIDATES]].tolist():
            size = request_bytes(flow.op.result) + held.get((stages[flow.op], there), 0)
            if there == at or size > room:
                continue
            trial = busy.copy()
            flow.add(trial, at, consumer[number], -1.0)
            flow.add(trial, there, consumer[number], 1.0)
            reach = float(trial[:, (at, there)].max())
            if reach >= busiest * (1 - _LEAST) or trial.max() > busiest:
                continue
            hops = float(target.hops(there, consumer[number]))
            found = (reach, hops, number, there)
            best = found if best is None else min(best, found)
    return None if best is None else best[2:]


def _flow(op: cim.LookupOp, data: CompilerContext, target: Target, copied: bool = True) -> _Flow:
    """The flow of a lookup; without what it asks of blocks that have several places, if not ``copied``."""
    tables = tables_of(cim.matrices_beside([op]))
    matrix = next(m for m in tables if m.symbol == symbol(op.table))
    places, uses = _expected(matrix, data)
    if not copied:
        several = np.concatenate([np.arange(matrix.shards().count), matrix.replica_table(data.store)[:, 0]])
        uses = uses * (np.bincount(several)[several] == 1)
    total = float(uses[places[:, cim.COL0] == 0].sum())
    # DRAM and a tile of cells may share a router: they answer apart
    owner = serving_tiles(places, target) * 2 + (residence_of(places) == int(Residence.DRAM))
    keys, part = np.unique(owner, return_inverse=True)
    groups = np.unique(places[:, cim.COL0])
    ids, columns = np.zeros(len(keys)), np.zeros(len(keys))
    for col0 in groups.tolist():
        mine = places[:, cim.COL0] == col0
        reads = np.bincount(part[mine], uses[mine], len(keys))
        ids = np.maximum(ids, reads)
        columns[reads > 0] += int(places[mine, cim.COLS][0])
    share = ids / total if total > 0 else ids
    single = op.mode.data in ("max", "none") or op.weights is not None or matrix.row_scales is not None
    visits = (1.0 - (1.0 - np.minimum(share, 1.0)) ** max(total, 1.0)) * min(total, 1.0)
    answers = np.where(single | (keys % 2 == 1), ids, visits)
    # rows from DRAM come in whole bytes, everything else as i32
    word = np.where(keys % 2 == 1, matrix.bits.value.data, WORD_BITS)
    # rows one by one are scaled each; else partial vectors are added, and their sum is scaled
    times = 2 * total if single else max(float(answers.sum()) - 1.0, 0.0) + 2.0
    link, width = float(target.tile.link_gbps), id_bits(matrix.rows.value.data)
    used = ids > 0
    return _Flow(
        op,
        (keys // 2)[used],
        (ids * width + visits * HEADER_BITS)[used] / link,
        (answers * columns * word + visits * HEADER_BITS)[used] / link,
        total * (width + (WORD_BITS if op.weights is not None else 0)) / link,
        (request_bytes(op.result) * 8 + HEADER_BITS) / link,
        times * -(-matrix.cols.value.data // target.tile.vector_lanes) * float(target.tile.vector_op_ns),
    )


def _expected(matrix: cim.TableOp, data: CompilerContext) -> tuple[Ints, Floats]:
    """Places of a table, copies too, ``[n, 7]``, and the expected row reads per request of each."""
    blocks, copied = matrix.block_table(data.store), matrix.replica_table(data.store)
    block = np.concatenate([np.arange(len(blocks)), copied[:, 0]]).astype(np.int64)
    uses: Floats = expected_uses(matrix, data)[block] / np.bincount(block)[block]
    return with_replicas(blocks, copied), uses


def _others(
    chip: list[Operation],
    stages: dict[Operation, int],
    tiles: dict[Operation, int],
    lookups: list[cim.LookupOp],
    target: Target,
) -> Floats:
    """ns per request that everything but ``lookups`` keeps the units of each tile busy, ``[3, tiles]``."""
    busy = np.zeros((3, target.n_tiles))
    link = float(target.tile.link_gbps)
    apart = set(lookups)
    seen: set[tuple[Any, int, int]] = set()
    for op in chip:
        if op in apart:
            continue
        groups = -(-lane_operations(op) // target.tile.vector_lanes)
        busy[_VECTOR, tiles[op]] += groups * float(target.tile.vector_op_ns)
        for value in op.operands:
            source = value.owner
            key = (value, stages[op], tiles[op])
            if isinstance(source, rec.ConstantOp) or key in seen:
                continue
            seen.add(key)
            ns = (_bits(op, value) + HEADER_BITS) / link
            here = isinstance(source, Operation) and source in tiles and stages[source] == stages[op]
            if not here:
                busy[_IN, tiles[op]] += ns
            elif isinstance(source, Operation) and tiles[source] != tiles[op]:
                busy[_IN, tiles[op]] += ns
                busy[_OUT, tiles[source]] += ns
    return busy


def _bits(op: Operation, value: SSAValue) -> int:
    """Bits of an operand on its way to ``op``."""
    if isinstance(op, cim.LoadQuantizedOp):
        return request_bytes(op.result) * op.bits.value.data
    return request_bytes(value) * (narrow_bits(value) or 8)


def lane_operations(op: Operation) -> int:
    """Operations of the vector unit for one request, roughly: those of a lane per element of the result."""
    elements = request_bytes(op.results[0]) // element_bytes(op.results[0])
    if isinstance(op, rec.DotInteractionOp):
        return 2 * elements * rec.shape(op.x)[-1]
    if isinstance(op, rec.MatmulOp):
        return 2 * elements * rec.shape(op.a)[-1]
    if isinstance(op, rec.ReduceOp):
        return request_bytes(op.x) // element_bytes(op.x)
    if isinstance(
        op,
        cim.MvmOp
        | cim.LookupOp
        | cim.LoadQuantizedOp
        | rec.ReshapeOp
        | rec.ConcatOp
        | rec.SliceOp
        | rec.HitsOp,
    ):
        return 0  # mostly no more than another name for the same memory
    return 3 * elements if isinstance(op, cim.DequantizeOp) else elements


def _held(
    chip: list[Operation], stages: dict[Operation, int], tiles: dict[Operation, int]
) -> dict[tuple[int, int], int]:
    """Bytes of all results on each (stage, tile): what its scratchpad holds at the very most."""
    held: dict[tuple[int, int], int] = {}
    for op in chip:
        key = (stages[op], tiles[op])
        held[key] = held.get(key, 0) + request_bytes(op.results[0])
    return held


def _busiest_array_ns(chip: list[Operation], data: CompilerContext, target: Target) -> float:
    """ns per request of the busiest array, as far as lookups and layers are expected to use it."""
    busy = np.zeros((target.n_tiles, target.tile.arrays))
    matrices = cim.matrices_beside(chip)
    layers = {m.symbol: m for m in matrices if isinstance(m, cim.WeightsOp)}
    for op in chip:
        if isinstance(op, cim.MvmOp):
            layer = layers[symbol(op.matrix)]
            times = target.input_phases(*layer.inputs)
            for extent in rec.shape(op.x)[1:-1]:
                times *= extent
            blocks = layer.block_table(data.store)[op.blocks()]
            _fire(busy, blocks, np.full(len(blocks), times), layer, target)
    for table in tables_of(matrices):
        places, uses = _expected(table, data)
        cells = residence_of(places) == int(Residence.RRAM)
        _fire(busy, places[cells], uses[cells], table, target)
    return float(busy.max(initial=0.0)) * float(target.array.step_ns)


def _fire(
    busy: Floats, blocks: NDArray[Any], times: NDArray[Any], matrix: cim.MatrixOp, target: Target
) -> None:
    width = blocks[:, cim.COLS].astype(np.int64) * matrix.shards().slices.value.data
    steps = -(-width // target.array.columns_per_step)
    np.add.at(busy, (blocks[:, cim.TILE], blocks[:, cim.ARRAY]), times * steps)
