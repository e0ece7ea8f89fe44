"""Which tile executes which operation, with an eye on the room that is left in each scratchpad."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from xdsl.ir import Operation, SSAValue

from cimc.analysis.request_size import request_bytes
from cimc.errors import Shortage
from cimc.ir import cim, rec
from cimc.ir.context import CompilerContext
from cimc.ir.types import symbol
from cimc.target.positions import middle_tile
from cimc.target.spec import Target


@dataclass(frozen=True)
class Slack:
    """How full scratchpads may get: the share counted on, the rest being lost between buffers, and the share
    of tiles with layers that other values leave free for them."""

    fill: float
    free: float


SLACK = tuple(Slack(fill, free) for fill in (0.95, 0.9, 0.85, 0.8) for free in (0.0, 0.5, 0.75))
"""What is tried one after the other where the scratchpads are nearly full."""
JOINED = 0.125
"""A concatenation beyond this share of a scratchpad gets its room when the first of its parts is made."""

Stages = dict[Operation, int]


@dataclass
class _Held:
    size: int
    end: int


class _Rooms:
    """What lies in each scratchpad while operations are assigned one after the other."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._held: dict[tuple[int, int], dict[SSAValue, _Held]] = {}

    def missing(self, key: tuple[int, int], value: SSAValue) -> bool:
        return value not in self._held.get(key, {})

    def fits(self, key: tuple[int, int], at: int, extra: int, free: float = 0.0) -> bool:
        """Whether ``extra`` more bytes find room on a tile at position ``at``, with a share left ``free``."""
        return self.used(key, at) + extra <= self.capacity * (1 - free)

    def used(self, key: tuple[int, int], at: int) -> int:
        """Bytes that lie on a tile at position ``at``."""
        held = self._held.get(key, {})
        return sum(h.size for h in {id(h): h for h in held.values() if h.end >= at}.values())

    def shortage(self, key: tuple[int, int], at: int, extra: int) -> Shortage:
        """What a tile lacks for ``extra`` more bytes at position ``at``."""
        return Shortage("scratchpad", self.used(key, at) + extra, self.capacity, "bytes")

    def hold(self, key: tuple[int, int], value: SSAValue, size: int, end: int) -> None:
        self._held.setdefault(key, {})[value] = _Held(size, end)

    def share(self, key: tuple[int, int], value: SSAValue, of: SSAValue, end: int) -> None:
        """``value`` lies in the memory of ``of``."""
        held = self._held[key][of]
        held.end = max(held.end, end)
        self._held[key][value] = held

    def drop(self, key: tuple[int, int], value: SSAValue) -> None:
        """What ``value`` took is part of another buffer from now on."""
        self._held[key][value] = _Held(0, -1)

    def forget(self, at: int) -> None:
        """Let go of what nothing reads from position ``at`` on."""
        for held in self._held.values():
            for value in [v for v, h in held.items() if h.end < at]:
                del held[value]


def assign_tiles(
    stages: Stages,
    chip: list[Operation],
    data: CompilerContext,
    target: Target,
    slack: Slack,
    allowed: list[int] | None = None,
) -> tuple[dict[Operation, int], Shortage | None]:
    """The tile of every chip operation, and what the first one lacks that finds no room.

    A partial product runs where its blocks are; every other operation where most of its operand bytes are,
    and one that reads only values from outside where its result is going.  Where the scratchpad has no room
    for that, the nearest tile that has, of those ``allowed`` (all, if absent).
    """
    tiles_there = list(range(target.n_tiles)) if allowed is None else allowed
    middle = middle_tile(target) if allowed is None else allowed[0]
    declared = {m.symbol: m for m in cim.matrices_beside(chip)}
    fixed: dict[Operation, int] = {
        op: _tile_of_blocks(op, declared, data) for op in chip if isinstance(op, cim.MvmOp | cim.SearchOp)
    }
    busy = {(stages[op], tile) for op, tile in fixed.items()}
    short: Shortage | None = None
    goal: dict[Operation, int] = {}
    for op in reversed(chip):
        users = [u.operation for r in op.results for u in r.uses if u.operation in stages]
        wanted = [fixed.get(u, goal.get(u)) for u in users if stages[u] == stages[op]]
        goal[op] = next((w for w in wanted if w is not None), middle)
    tiles: dict[Operation, int] = {**fixed}
    whole_on: dict[Operation, int] = {}
    rooms = _Rooms(int(slack.fill * target.tile.scratchpad_bytes))
    order = {op: n for n, op in enumerate(chip)}
    for at, op in enumerate(chip):
        stage, result = stages[op], op.results[0]
        if at % 64 == 0:
            rooms.forget(at)
        operands = _stored(op, stage, stages)
        weight: dict[int, int] = {}
        for value in operands:
            if made_here(value, stages, stage):
                owner = value.owner
                assert isinstance(owner, Operation)
                weight[tiles[owner]] = weight.get(tiles[owner], 0) + request_bytes(value)
        ranked = sorted(weight, key=lambda t: (-weight[t], t)) if weight else [goal[op]]
        whole = _joined_in(result, stage, stages, target)
        need = _Need(op, operands, whole)
        if op in whole_on:
            ranked = [whole_on[op]]
        if whole is not None and whole not in whole_on:
            size = request_bytes(whole.results[0])

            def place(tile: int, at: int = at, size: int = size, stage: int = stage) -> bool:
                return rooms.fits((stage, tile), at, size, slack.free if (stage, tile) in busy else 0.0)

            found = _first(ranked, place, tiles_there, target)
            whole_on[whole] = ranked[0] if found is None else found
            end = _last(whole.results[0], stage, stages, order)
            rooms.hold((stage, whole_on[whole]), whole.results[0], size, end)
        whole_tile = None if whole is None else whole_on[whole]

        def room(
            tile: int,
            at: int = at,
            need: _Need = need,
            stage: int = stage,
            whole_tile: int | None = whole_tile,
        ) -> bool:
            free = slack.free if (stage, tile) in busy and need.op not in fixed else 0.0
            return rooms.fits((stage, tile), at, need.extra(rooms, (stage, tile), whole_tile), free)

        found = None
        if op not in fixed:
            found = _first(ranked, room, tiles_there, target)
            tiles[op] = ranked[0] if found is None else found
        key = (stage, tiles[op])
        if short is None and found is None and not (op in fixed and room(fixed[op])):
            short = rooms.shortage(key, at, need.extra(rooms, key, whole_tile))
        for value in operands:
            if rooms.missing(key, value):
                rooms.hold(key, value, request_bytes(value), _last(value, stage, stages, order))
        end = _last(result, stage, stages, order)
        if _is_view(op) and op.operands[0] in operands:
            rooms.share(key, result, op.operands[0], end)
        elif whole is not None and whole_on[whole] == tiles[op]:
            rooms.share(key, result, whole.results[0], end)
        elif rooms.missing(key, result):
            for part in operands if isinstance(op, rec.ConcatOp) else ():
                rooms.drop(key, part)
            rooms.hold(key, result, request_bytes(result), end)
    return tiles, short


def made_here(value: SSAValue, stages: Stages, stage: int) -> bool:
    """Whether an operation of this stage makes ``value`` on the chip."""
    owner = value.owner
    return isinstance(owner, Operation) and not isinstance(owner, rec.HostOp) and stages.get(owner) == stage


def _stored(op: Operation, stage: int, stages: Stages) -> list[SSAValue]:
    """Operands that lie in the scratchpad, each once; what streams in from outside does not."""
    if isinstance(op, cim.LoadQuantizedOp):
        return []
    if isinstance(op, cim.LookupOp) and not made_here(op.ids, stages, stage):
        rank = len(rec.shape(op.ids))
        if op.layout.data != "fixed" or rank == 1 or (rank == 2 and op.mode.data != "none"):
            return []
    return [v for v in dict.fromkeys(op.operands) if not isinstance(v.owner, rec.ConstantOp)]


def _last(value: SSAValue, stage: int, stages: Stages, order: dict[Operation, int]) -> int:
    """Position of the last operation of the stage that reads a value; the end if it leaves the stage."""
    here = [order[u.operation] for u in value.uses if u.operation in order and stages[u.operation] == stage]
    if made_here(value, stages, stage) and len(here) < len(list(value.uses)):
        return len(order)
    return max(here, default=0)


@dataclass(frozen=True)
class _Need:
    """What an operation adds to a scratchpad: its operands that are not there, and its result.

    ``whole`` is the concatenation that the result is a part of, which has its room already.
    """

    op: Operation
    operands: list[SSAValue]
    whole: Operation | None

    def extra(self, rooms: _Rooms, key: tuple[int, int], whole_tile: int | None) -> int:
        """Bytes that the operation adds on the tile ``key``."""
        away = sum(request_bytes(v) for v in self.operands if rooms.missing(key, v))
        size = request_bytes(self.op.results[0])
        if _is_view(self.op) or (self.whole is not None and whole_tile == key[1]):
            return away
        if isinstance(self.op, rec.ConcatOp):
            if not rooms.missing(key, self.op.results[0]):
                return 0
            here = sum(request_bytes(v) for v in self.operands if not rooms.missing(key, v))
            return size - here
        return away + size


def _is_view(op: Operation) -> bool:
    """Whether the result of ``op`` is a part of its operand's memory."""
    if isinstance(op, rec.SliceOp):
        return all(extent == 1 for extent in rec.shape(op.x)[1 : op.axis.value.data])
    return isinstance(op, rec.ReshapeOp | rec.HitsOp)


def _joined_in(value: SSAValue, stage: int, stages: Stages, target: Target) -> Operation | None:
    """The large concatenation that ``value`` is produced in place for."""
    users = list(value.uses)
    if len(users) != 1 or not isinstance(op := users[0].operation, rec.ConcatOp) or stages[op] != stage:
        return None
    large = request_bytes(op.result) > JOINED * target.tile.scratchpad_bytes
    first = all(extent == 1 for extent in rec.shape(op.result)[1 : op.axis.value.data])
    return op if large and first else None


def _first(ranked: list[int], room: Callable[[int], bool], allowed: list[int], target: Target) -> int | None:
    """The first tile of ``ranked`` that has room, else the nearest to the first."""
    for tile in ranked:
        if room(tile):
            return tile
    ordered = sorted(allowed, key=lambda t: (target.hops(ranked[0], t), t))
    return next((t for t in ordered if room(t)), None)


def _tile_of_blocks(
    op: cim.MvmOp | cim.SearchOp, matrices: dict[str, cim.MatrixOp], data: CompilerContext
) -> int:
    first = op.blocks().start
    places = matrices[symbol(op.matrix)].placement().blocks.array(data.store, np.int32)
    return int(places[first, 0])
