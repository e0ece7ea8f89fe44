"""Tiles of operations: next to their operands, and elsewhere where a scratchpad is full."""

from __future__ import annotations

from xdsl.ir import Block, Operation, SSAValue

from cimc.ir import rec
from cimc.ir.text import new_context
from cimc.ir.types import tensor
from cimc.target import load_target
from cimc.target.positions import middle_tile
from cimc.target.spec import Target
from cimc.transforms.schedule.assign_tiles import SLACK, Slack, _Rooms, assign_tiles, made_here

LARGE = load_target("tsinghua28")
WHOLE = Slack(1.0, 0.0)


def given(*dims: int) -> SSAValue:
    """A value from outside of the chip: four bytes an element."""
    return Block(arg_types=[tensor((-1, *dims))]).args[0]


def small(size: int) -> Target:
    return load_target(f"tsinghua28{{tile.scratchpad_bytes={size}}}")


def assigned(ops: list[Operation], target: Target = LARGE) -> list[int]:
    tiles, short = assign_tiles(dict.fromkeys(ops, 0), ops, new_context(), target, WHOLE)
    assert short is None
    return [tiles[op] for op in ops]


def relu(x: SSAValue) -> Operation:
    return rec.UnaryOp("relu", x)


def test_without_layers_all_is_in_the_middle() -> None:
    first = relu(given(8))
    second = relu(first.results[0])
    assert assigned([first, second]) == [middle_tile(LARGE)] * 2


def test_what_finds_no_room_goes_to_the_nearest_tile() -> None:
    x = [given(16) for _ in range(4)]
    first = [relu(v) for v in x]  # 64 bytes in, 64 out
    last = rec.ConcatOp([op.results[0] for op in first], 1)
    target = small(160)
    tiles, short = assign_tiles(
        dict.fromkeys([*first, last], 0), [*first, last], new_context(), target, WHOLE
    )
    assert len({tiles[op] for op in first}) > 1
    middle = middle_tile(target)
    assert all(target.hops(middle, tiles[op]) <= 2 for op in first)
    assert short is not None  # the concatenation of 256 bytes fits nowhere
    assert short.bound == 160
    assert short.demand > 160


def test_a_share_may_be_held_back() -> None:
    op = relu(given(16))
    stages = {op: 0}
    for slack, fits in ((Slack(1.0, 0.0), True), (Slack(0.5, 0.0), False)):
        _, short = assign_tiles(stages, [op], new_context(), small(128), slack)
        assert (short is None) == fits


def test_views_take_no_room_of_their_own() -> None:
    first = relu(given(16))
    view = rec.ReshapeOp(first.results[0], (-1, 4, 4))
    part = rec.SliceOp(view.results[0], 1, 1, 3)
    assert len(set(assigned([first, view, part], small(128)))) == 1


def test_values_are_let_go_when_nothing_reads_them() -> None:
    """A chain of any length needs two values at a time."""
    ops: list[Operation] = [relu(given(16))]
    for _ in range(70):
        ops.append(relu(ops[-1].results[0]))
    assert len(set(assigned(ops, small(128)))) == 1


def test_what_is_tried_holds_back_more_and_more() -> None:
    assert [s.fill for s in SLACK] == sorted((s.fill for s in SLACK), reverse=True)
    assert all(0 < s.fill < 1 and 0 <= s.free < 1 for s in SLACK)


def test_made_here_is_made_by_this_stage_on_the_chip() -> None:
    op = relu(given(4))
    assert made_here(op.results[0], {op: 2}, 2)
    assert not made_here(op.results[0], {op: 2}, 4)
    assert not made_here(given(4), {}, 2)


# -- rooms ---------------------------------------------------------------------------------------

KEY = (0, 5)


def test_a_room_holds_values_until_their_last_use() -> None:
    rooms, (a, b) = _Rooms(100), (given(1), given(1))
    rooms.hold(KEY, a, 60, 3)
    rooms.hold(KEY, b, 30, 9)
    assert not rooms.missing(KEY, a)
    assert rooms.missing((0, 6), a)
    assert [rooms.used(KEY, at) for at in (0, 3, 4, 10)] == [90, 90, 30, 0]
    assert rooms.fits(KEY, 0, 10)
    assert not rooms.fits(KEY, 0, 11)
    assert not rooms.fits(KEY, 4, 30, free=0.5)
    assert rooms.shortage(KEY, 0, 20).demand == 110
    rooms.forget(4)
    assert rooms.missing(KEY, a)
    assert not rooms.missing(KEY, b)


def test_values_that_share_memory_count_once_and_live_as_long_as_either() -> None:
    rooms, (a, b) = _Rooms(100), (given(1), given(1))
    rooms.hold(KEY, a, 60, 3)
    rooms.share(KEY, b, a, 9)
    assert rooms.used(KEY, 0) == 60
    assert rooms.used(KEY, 9) == 60
    rooms.drop(KEY, a)
    assert rooms.used(KEY, 0) == 60
    rooms.drop(KEY, b)
    assert rooms.used(KEY, 0) == 0
