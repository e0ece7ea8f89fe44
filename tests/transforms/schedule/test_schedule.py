"""When results are sent on to the tiles that need them."""

from __future__ import annotations

from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region

from cimc.ir import cim, rec
from cimc.ir.types import i64, tensor
from cimc.target import load_target
from cimc.target.overrides import with_overrides
from cimc.transforms.schedule.schedule import _apart, _communicate

TARGET = load_target("tsinghua28")


def test_lookups_on_one_tile_do_not_wait_for_sends_of_one_another() -> None:
    block = Block(arg_types=[tensor((-1, 40), i64)])
    lookups = [
        cim.LookupOp("t", block.args[0], None, None, mode="sum", layout="fixed", scale=0.5, dim=4)
        for _ in range(3)
    ]
    joined = rec.ConcatOp([op.result for op in lookups], 1)
    block.add_ops([*lookups, joined, ReturnOp(joined.result)])
    function = FuncOp("main", ((tensor((-1, 40), i64),), (joined.result.type,)), Region(block))
    chip: list[Operation] = [*lookups, joined]
    stages: dict[Operation, int] = dict.fromkeys(chip, 0)
    tiles: dict[Operation, int] = {**dict.fromkeys(chip[:2], 3), lookups[2]: 5, joined: 5}
    late = _apart(chip, stages, tiles, TARGET)
    assert late == frozenset(lookups[:2])
    assert not _apart(chip, stages, tiles, with_overrides(TARGET, {"tile.scratchpad_bytes": 64}))
    _communicate(function, stages, tiles, late)
    names = [op.name for op in block.ops]
    assert names[:5] == ["cim.lookup"] * 3 + ["cim.transfer"] * 2
