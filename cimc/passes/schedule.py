"""``schedule``: who executes what, in which segment, and where every value lies."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from cimc.errors import PassError
from cimc.ir import cim, rec
from cimc.ir.context import CompilerContext, compiler_context, target_of
from cimc.ir.types import symbol
from cimc.passes.buffers import Buffers, request_bytes
from cimc.passes.evaluate import main_function
from cimc.passes.place import middle_tile
from cimc.target.spec import Target

STAGE_ATTR = "cim.stage"


@dataclass(frozen=True)
class Schedule(ModulePass):
    """Assign operations to stages and tiles, make communication explicit, allocate scratchpads.

    *Stages* alternate between the chip (even numbers) and the host (odd): a chip operation that needs a host
    result comes in a later stage.  A partial product runs where its blocks are; every other operation runs
    where most of its operand bytes are, and one that only reads values from outside (a lookup) runs where
    the result is going.  ``cim.load`` brings values from outside onto a tile, ``cim.transfer`` moves values
    between tiles.  Every chip operation gets ``cim.stage``, ``cim.tile`` and ``cim.at``.

    Precondition: placed matrices.  Raises InfeasibleError when a scratchpad is too small.
    """

    name = "schedule"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        target = target_of(data, self.name)
        function = main_function(op)
        stages = assign_stages(function)
        tiles = _assign_tiles(op, function, stages, data, target)
        _communicate(function, stages, tiles)
        _annotate(function, stages, tiles)
        data.facts["scratchpad"] = _allocate(function, stages, tiles, target)


def is_chip(op: Operation) -> bool:
    """Whether tiles execute ``op``: everything but host operations, constants and the return."""
    return not isinstance(op, rec.HostOp | rec.ConstantOp | ReturnOp)


def assign_stages(function: FuncOp) -> dict[Operation, int]:
    """Stage of every operation: even on the chip, odd on the host (-1 = before the chip starts)."""
    stages: dict[Operation, int] = {}
    for op in function.body.block.ops:
        earliest = 0 if is_chip(op) else -1
        for operand in op.operands:
            source = operand.owner
            if not isinstance(source, Operation) or isinstance(source, rec.ConstantOp):
                continue
            before = stages[source]
            same = isinstance(op, rec.HostOp) == isinstance(source, rec.HostOp)
            earliest = max(earliest, before if same else before + 1)
        stages[op] = earliest
    return stages


def _outside(value: SSAValue, stage: int, stages: dict[Operation, int]) -> bool:
    """Whether a value reaches stage ``stage`` from outside the chip."""
    source = value.owner
    return not isinstance(source, Operation) or not is_chip(source) or stages[source] != stage


def _constant(value: SSAValue) -> bool:
    return isinstance(value.owner, rec.ConstantOp)


def streamed(op: Operation, stage: int, stages: dict[Operation, int]) -> bool:
    """Whether a lookup takes its ids straight from outside, one bag a request, without a load."""
    if not isinstance(op, cim.LookupOp) or not _outside(op.ids, stage, stages):
        return False
    if op.weights is not None and not _outside(op.weights, stage, stages):
        return False
    rank = len(rec.shape(op.ids))
    return rank == 1 or (rank == 2 and op.mode.data != "none")


def _assign_tiles(
    module: ModuleOp, function: FuncOp, stages: dict[Operation, int], data: CompilerContext, target: Target
) -> dict[Operation, int]:
    ops = [o for o in function.body.block.ops if is_chip(o)]
    placed: dict[Operation, int] = {}
    for op in ops:
        if isinstance(op, cim.MvmOp):
            blocks = data.store[f"{symbol(op.matrix)}.blocks"]
            if op.first is None:
                raise PassError("pass.precondition", "cim.mvm without blocks: run 'shard' and 'place' first")
            tile = int(blocks[op.first.value.data, cim.TILE])
            if tile < 0:
                raise PassError("pass.precondition", f"matrix {symbol(op.matrix)} is not placed")
            placed[op] = tile
    goal: dict[Operation, int] = {}
    for op in reversed(ops):
        users = [u.operation for r in op.results for u in r.uses if u.operation in stages]
        wanted = [placed.get(u, goal.get(u)) for u in users if stages[u] == stages[op]]
        goal[op] = next((w for w in wanted if w is not None), middle_tile(target))
    for op in ops:
        if op in placed:
            continue
        weight: dict[int, int] = {}
        for operand in op.operands:
            if not _constant(operand) and not _outside(operand, stages[op], stages):
                source = operand.owner
                assert isinstance(source, Operation)
                weight[placed[source]] = weight.get(placed[source], 0) + request_bytes(operand)
        placed[op] = min(weight, key=lambda t: (-weight[t], t)) if weight else goal[op]
    return placed


def _communicate(function: FuncOp, stages: dict[Operation, int], tiles: dict[Operation, int]) -> None:
    """Insert loads and transfers so that every operand of a chip operation is on its tile."""
    local: dict[tuple[SSAValue, int, int], SSAValue] = {}
    for op in list(function.body.block.ops):
        if not is_chip(op):
            continue
        stage, tile = stages[op], tiles[op]
        if streamed(op, stage, stages):
            continue
        for index, operand in enumerate(op.operands):
            if _constant(operand):
                continue
            if isinstance(op, cim.LookupOp) and operand is op.offsets:
                raise PassError(
                    "schedule.jagged-on-chip", "a bag with offsets needs ids that come from outside the chip"
                )
            key = (operand, stage, tile)
            if key not in local:
                local[key] = _bring(op, operand, stages, tiles)
            if local[key] is not operand:
                op.operands[index] = local[key]


def _bring(
    op: Operation, operand: SSAValue, stages: dict[Operation, int], tiles: dict[Operation, int]
) -> SSAValue:
    stage, tile = stages[op], tiles[op]
    if _outside(operand, stage, stages):
        new: cim.LoadOp | cim.TransferOp = cim.LoadOp(operand)
        Rewriter.insert_op(new, InsertPoint.before(op))
    else:
        source = operand.owner
        assert isinstance(source, Operation)
        if tiles[source] == tile:
            return operand
        new = cim.TransferOp(operand, tiles[source], tile)
        Rewriter.insert_op(new, InsertPoint.after(source))
    new.location = op.location
    new.result.name_hint = operand.name_hint
    stages[new], tiles[new] = stage, tile
    return new.result


def _annotate(function: FuncOp, stages: dict[Operation, int], tiles: dict[Operation, int]) -> None:
    for op in function.body.block.ops:
        if isinstance(op, ReturnOp | rec.ConstantOp):
            continue
        op.attributes[STAGE_ATTR] = IntegerAttr(stages[op], 64)
        if op in tiles:
            op.attributes[cim.TILE_ATTR] = IntegerAttr(tiles[op], 64)


@dataclass
class _Tile:
    buffers: Buffers = field(default_factory=Buffers)
    values: list[tuple[Operation, SSAValue]] = field(default_factory=list)


def _allocate(
    function: FuncOp, stages: dict[Operation, int], tiles: dict[Operation, int], target: Target
) -> dict[str, int]:
    """Addresses for all values; returns the bytes used per tile."""
    memory: dict[tuple[int, int], _Tile] = {}
    order = {op: n for n, op in enumerate(function.body.block.ops)}
    for op, at in order.items():
        if not is_chip(op):
            continue
        tile = memory.setdefault((stages[op], tiles[op]), _Tile())
        sender = None
        for operand in op.operands:
            if isinstance(op, cim.TransferOp):
                source = operand.owner
                assert isinstance(source, Operation)
                sender = memory[stages[source], tiles[source]]
                sender.buffers.use(operand, at)
            elif operand in tile.buffers:
                tile.buffers.use(operand, at)
        result: SSAValue = op.results[0]
        _place_result(op, result, tile.buffers, at)
        tile.values.append((op, result))
    end = len(order)
    for op in function.body.block.ops:
        for operand in op.operands:
            source = operand.owner
            if (
                isinstance(source, Operation)
                and is_chip(source)
                and (not is_chip(op) or stages[op] != stages[source])
            ):
                memory[stages[source], tiles[source]].buffers.use(operand, end)
    used: dict[str, int] = {}
    for (_, number), tile in memory.items():
        top = tile.buffers.assign(target.tile.scratchpad_bytes, number)
        used[str(number)] = max(used.get(str(number), 0), top)
        for op, result in tile.values:
            op.attributes[cim.ADDRESS_ATTR] = IntegerAttr(tile.buffers.address(result), 64)
    return dict(sorted(used.items(), key=lambda item: int(item[0])))


def _place_result(op: Operation, result: SSAValue, buffers: Buffers, at: int) -> None:
    if isinstance(op, rec.ReshapeOp) and op.x in buffers:
        buffers.alias(result, op.x)
    elif isinstance(op, rec.SliceOp) and op.x in buffers and leading(op.x, op.axis.value.data) == 1:
        row = request_bytes(op.x) // max(rec.shape(op.x)[op.axis.value.data], 1)
        buffers.alias(result, op.x, op.start.value.data * row)
    elif isinstance(op, rec.ConcatOp) and leading(result, op.axis.value.data) == 1:
        buffers.concatenate(result, list(op.parts), at)
    else:
        buffers.define(result, at)


def leading(value: SSAValue, axis: int) -> int:
    """Product of the extents between the batch and ``axis``: 1 if a part along ``axis`` is contiguous."""
    total = 1
    for extent in rec.shape(value)[1:axis]:
        total *= extent
    return total
