"""``schedule``: who executes what, in which segment, and where every value lies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from cimc.analysis.request_size import request_bytes
from cimc.errors import InfeasibleError, PassError, Shortage
from cimc.interpreter.evaluate import main_function
from cimc.ir import cim, rec
from cimc.ir.context import CompilerContext, compiler_context, target_of
from cimc.remarks import MovedLookups, ScheduleRemarks
from cimc.target.spec import Target
from cimc.transforms.schedule.activation_widths import narrow_bits, quantise_outside
from cimc.transforms.schedule.assign_tiles import SLACK, Slack, assign_tiles
from cimc.transforms.schedule.chip_operations import is_chip, outside, streamed
from cimc.transforms.schedule.issue_order import loads_first, order_by_start
from cimc.transforms.schedule.reduction_tiles import deal_lookups, hoist, spread_reduction_tiles
from cimc.transforms.schedule.scratchpad import Buffers
from cimc.transforms.schedule.tiling.apply import split_large

STAGE_ATTR = "cim.stage"


_ALL_AT_A_TIME = 0.25
"""Share of a scratchpad that results of lookups may take while they wait to be sent on."""


@dataclass(frozen=True)
class Schedule(ModulePass):
    """Assign operations to stages and tiles, make communication explicit, allocate scratchpads.

    *Stages* alternate between the chip (even numbers) and the host (odd): a chip operation that needs a host
    result comes in a later stage.  A partial product runs where its blocks are; every other operation runs
    where most of its operand bytes are, and one that only reads values from outside (a lookup) runs where
    the result is going.  ``cim.load`` brings values from outside onto a tile, ``cim.transfer`` moves values
    between tiles.  What no scratchpad holds is computed part by part (``plan.py``), and where one is full the
    next tile helps out (``assign_tiles.py``).  Where there are instances, their tiles do all the work of a
    request, in the order in which it could begin (``issue_order.py``).  Else, with
    ``reduction_tiles=spread``, lookups leave the tile that needs their result where that relieves the busiest
    router port (``reduction_tiles.py``).  Every chip operation gets ``cim.stage``, ``cim.tile``
    and ``cim.at``.

    Options:
        reduction_tiles: ``consumer`` or ``spread``, see above.
        fill: share of a scratchpad that is counted on, the rest being lost between values; 0.95 if absent.
        free: share that tiles with layers leave to these; 0 if absent.

    Where the scratchpads are nearly full, other ``fill`` and ``free`` are tried, and stand in the pipeline.

    Precondition: placed matrices.  Raises InfeasibleError when a scratchpad is too small.
    """

    name = "schedule"
    reduction_tiles: str = "consumer"
    fill: int | float | None = None
    free: int | float | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        target = target_of(data, self.name)
        for matrix in cim.matrices_of(op):
            matrix.placement()
        function = main_function(op)
        cut = split_large(op, function, data, target, assign_stages)
        quantise_outside(function, assign_stages(function))
        stages = assign_stages(function)
        chip = [o for o in function.body.block.ops if is_chip(o)]
        instances = cim.instances_of(op, data.store)
        if instances is None and cim.copies_of(op) > 1:
            raise PassError("pass.needs-place", "the instances have no tiles yet", hint="run 'place' before")
        allowed, beside = None, []
        if instances is not None:
            there = [target.coordinates(tile)[0] for tile in instances[0].tolist()]
            allowed = [t for t, chip in zip(instances[0].tolist(), there, strict=True) if chip == there[0]]
            beside = instances[0].tolist()[len(allowed) :]
        tiles, short = assign_tiles(stages, chip, data, target, self._slack, allowed)
        if short is not None and allowed is not None:
            raise InfeasibleError(_of_instance(short), subject=f"an instance of {len(allowed)} tiles")
        if short is not None and self._next() is not None:
            raise InfeasibleError(
                short, subject=f"schedule{{fill={self._slack.fill} free={self._slack.free}}}"
            )
        moved, remark = self._moved(chip, stages, tiles, data, target, allowed, beside, cim.copies_of(op))
        tiles |= moved
        ordered = False
        if allowed is None:
            hoist(moved)
        else:
            ordered = order_by_start(function, stages, len(allowed), data, target)
        _communicate(function, stages, tiles, frozenset(moved) | _apart(chip, stages, tiles, target))
        if ordered and allowed is not None:
            loads_first(function, stages, len(allowed), target)
        try:
            used = _allocate(function, stages, tiles, target, allowed is not None)
        except InfeasibleError as error:
            if allowed is None:
                raise
            raise InfeasibleError(
                _of_instance(error.shortage), subject=f"an instance of {len(allowed)} tiles"
            ) from None
        data.remark(ScheduleRemarks(used, tuple(cut), remark))
        _annotate(function, stages, tiles)

    def adjusted(self, shortage: Shortage) -> Schedule | None:
        """With more room left in the scratchpads for what is lost between values."""
        after = self._next() if shortage.resource == "scratchpad" else None
        return None if after is None else replace(self, fill=after.fill, free=after.free)

    @property
    def _slack(self) -> Slack:
        first = SLACK[0]
        fill = first.fill if self.fill is None else self.fill
        free = first.free if self.free is None else self.free
        if not (0 < fill <= 1 and 0 <= free < 1):
            raise PassError("schedule.option", f"fill={fill} free={free} are no shares of a scratchpad")
        return Slack(fill, free)

    def _next(self) -> Slack | None:
        """The slack to try after this one; None for the last, and for one that is none of those."""
        following = dict(pairwise(SLACK))
        return following.get(self._slack)

    def _moved(
        self,
        chip: list[Operation],
        stages: dict[Operation, int],
        tiles: dict[Operation, int],
        data: CompilerContext,
        target: Target,
        allowed: list[int] | None,
        beside: list[int],
        count: int,
    ) -> tuple[dict[Operation, int], MovedLookups | None]:
        """Lookups that get another reduction tile than the tile that needs their result.

        Those of one of ``count`` instances may go to tiles ``beside`` it.
        """
        if self.reduction_tiles not in ("consumer", "spread"):
            raise PassError(
                "schedule.option", f"reduction_tiles={self.reduction_tiles} is neither consumer nor spread"
            )
        if self.reduction_tiles == "consumer" or (allowed is not None and not beside):
            return {}, None
        lookups = [o for o in chip if isinstance(o, cim.LookupOp) and streamed(o, stages[o], stages)]
        if allowed is not None:
            return deal_lookups(chip, stages, tiles, lookups, beside, count, data, target)
        return spread_reduction_tiles(chip, stages, tiles, lookups, data, target)


def _of_instance(shortage: Shortage) -> Shortage:
    """What ``place`` and ``allocate`` are told: more tiles for each instance, or one instance, may help."""
    return replace(shortage, resource=cim.INSTANCE_MEMORY)


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


def _constant(value: SSAValue) -> bool:
    return isinstance(value.owner, rec.ConstantOp)


def _apart(
    chip: list[Operation], stages: dict[Operation, int], tiles: dict[Operation, int], target: Target
) -> frozenset[Operation]:
    """Lookups whose results go to another tile, of tiles that hold these results all at a time.

    A send behind each of them would let every lookup wait for the one before it.
    """
    found: dict[tuple[int, int], list[Operation]] = {}
    for op in chip:
        if isinstance(op, cim.LookupOp) and streamed(op, stages[op], stages):
            users = [use.operation for use in op.result.uses]
            if any(user in tiles and tiles[user] != tiles[op] for user in users):
                found.setdefault((stages[op], tiles[op]), []).append(op)
    room = _ALL_AT_A_TIME * target.tile.scratchpad_bytes
    fits = [ops for ops in found.values() if sum(request_bytes(op.results[0]) for op in ops) <= room]
    return frozenset(op for ops in fits for op in ops)


def _communicate(
    function: FuncOp,
    stages: dict[Operation, int],
    tiles: dict[Operation, int],
    late: frozenset[Operation] = frozenset(),
) -> None:
    """Insert loads and transfers so that every operand of a chip operation is on its tile.

    A result is sent at once, those of ``late`` operations right before they are used: a tile issues in order,
    and a send that waits for its data would hold up what comes behind it.
    """
    local: dict[tuple[SSAValue, int, int], SSAValue] = {}
    for op in list(function.body.block.ops):
        if not is_chip(op):
            continue
        stage, tile = stages[op], tiles[op]
        if streamed(op, stage, stages) or isinstance(op, cim.LoadQuantizedOp):
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
                local[key] = _bring(op, operand, stages, tiles, late)
            if local[key] is not operand:
                op.operands[index] = local[key]


def _bring(
    op: Operation,
    operand: SSAValue,
    stages: dict[Operation, int],
    tiles: dict[Operation, int],
    late: frozenset[Operation],
) -> SSAValue:
    stage, tile = stages[op], tiles[op]
    if outside(operand, stage, stages):
        new: cim.LoadOp | cim.TransferOp = cim.LoadOp(operand)
        Rewriter.insert_op(new, InsertPoint.before(op))
    else:
        source = operand.owner
        assert isinstance(source, Operation)
        if tiles[source] == tile:
            return operand
        new = cim.TransferOp(operand, tiles[source], tile, narrow_bits(operand))
        Rewriter.insert_op(new, InsertPoint.before(op) if source in late else InsertPoint.after(source))
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
    function: FuncOp,
    stages: dict[Operation, int],
    tiles: dict[Operation, int],
    target: Target,
    apart: bool = False,
) -> dict[int, int]:
    """Addresses for all values, ``apart`` where there is room; returns the bytes used per tile."""
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
    used: dict[int, int] = {}
    for (_, number), tile in memory.items():
        top = tile.buffers.assign(target.tile.scratchpad_bytes, number, apart)
        used[number] = max(used.get(number, 0), top)
        for op, result in tile.values:
            op.attributes[cim.ADDRESS_ATTR] = IntegerAttr(tile.buffers.address(result), 64)
    return dict(sorted(used.items()))


def _place_result(op: Operation, result: SSAValue, buffers: Buffers, at: int) -> None:
    if isinstance(op, rec.ReshapeOp) and op.x in buffers:
        buffers.alias(result, op.x)
    elif isinstance(op, rec.HitsOp) and op.x in buffers:
        buffers.alias(result, op.x, request_bytes(result) if op.kind.data == "ids" else 0)
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
