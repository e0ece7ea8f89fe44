"""Where lookups are reduced: flows over routers, and which lookups start first."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.ir import Block, SSAValue

from cimc.ir import cim, rec
from cimc.ir.text import new_context, parse_ir
from cimc.ir.types import i64, tensor
from cimc.target import load_target
from cimc.target.spec import Target
from cimc.transforms.schedule.reduction_tiles import _IN, _OUT, _VECTOR, _Flow, hoist, spread_reduction_tiles

TARGET = load_target("tsinghua28")


def ids() -> SSAValue:
    return Block(arg_types=[tensor((-1, 40), i64)]).args[0]


def lookup(of: SSAValue) -> cim.LookupOp:
    return cim.LookupOp("t", of, None, None, mode="sum", layout="fixed", scale=0.5, dim=4)


def flow() -> _Flow:
    return _Flow(
        lookup(ids()),
        np.array([2, 5]),
        np.array([10.0, 20.0]),
        np.array([3.0, 4.0]),
        bag=7.0,
        result=1.0,
        pooling=6.0,
    )


# -- flows ---------------------------------------------------------------------------------------


def test_a_flow_keeps_routers_of_owners_and_its_tile_busy() -> None:
    busy = np.zeros((3, TARGET.n_tiles))
    flow().add(busy, 9, 9, 1.0)
    assert busy[_IN, [2, 5]].tolist() == [10, 20]
    assert busy[_OUT, [2, 5]].tolist() == [3, 4]
    assert busy[_IN, 9] == 7 + 3 + 4
    assert busy[_OUT, 9] == 30
    assert busy[_VECTOR, 9] == 6


def test_rows_of_the_tile_itself_cross_no_router_but_the_result_does() -> None:
    busy = np.zeros((3, TARGET.n_tiles))
    flow().add(busy, 5, 9, 1.0)
    assert busy[_IN, 5] == 7 + 3
    assert busy[_OUT, 5] == 10 + 1
    assert busy[_IN, 9] == 1
    assert busy[_VECTOR].tolist() == [6.0 if t == 5 else 0.0 for t in range(TARGET.n_tiles)]


def test_a_flow_taken_back_leaves_nothing() -> None:
    busy = np.zeros((3, TARGET.n_tiles))
    for sign in (1.0, -1.0):
        flow().add(busy, 5, 9, sign)
    assert not busy.any()


# -- order ---------------------------------------------------------------------------------------


def test_lookups_that_moved_start_first_in_their_order() -> None:
    block = Block(arg_types=[tensor((-1, 40), i64), tensor((-1, 4))])
    first = rec.UnaryOp("relu", block.args[1])
    a, b = lookup(block.args[0]), lookup(block.args[0])
    block.add_ops([first, a, b])
    hoist([a, b])
    assert list(block.ops) == [a, b, first]


def test_what_makes_the_ids_comes_before() -> None:
    block = Block(arg_types=[tensor((-1, 40), i64), tensor((-1, 4))])
    first = rec.UnaryOp("relu", block.args[1])
    made = rec.ReshapeOp(block.args[0], (-1, 40))
    op = lookup(made.results[0])
    last = rec.UnaryOp("relu", first.results[0])
    block.add_ops([first, made, last, op])
    hoist([op])
    assert list(block.ops) == [first, made, op, last]


# -- the choice ----------------------------------------------------------------------------------

TEXT = """
cim.table "t" rows 1024 cols 4 bits 8 data @t.int scales @t.scales
cim.shards @t slices 2 blocks <[[0, 512, 0, 4], [512, 512, 0, 4]]>
cim.pooling @t rows 8 step 1
cim.placement @t blocks <[[2, 0, 0], [5, 0, 0]]>
func.func @main(%ids: tensor<?x40xi64>, %more: tensor<?x40xi64>) -> tensor<?x4xf32> {
  %a = cim.lookup @t "sum" "fixed" %ids scale 0.5 dim 4 : tensor<?x40xi64> -> tensor<?x4xf32>
  %b = cim.lookup @t "sum" "fixed" %more scale 0.5 dim 4 : tensor<?x40xi64> -> tensor<?x4xf32>
  %y = rec.binary "add" %a, %b : tensor<?x4xf32>, tensor<?x4xf32> -> tensor<?x4xf32>
  func.return %y : tensor<?x4xf32>
}
"""


def spread(target: Target) -> tuple[set[int], object]:
    """The tiles of two lookups in a table on tiles 2 and 5, whose sum is needed on tile 60."""
    ctx = new_context()
    ctx.target = target
    made = parse_ir(TEXT, ctx)
    lookups = [op for op in made.walk() if isinstance(op, cim.LookupOp)]
    chip = [op for op in made.walk() if isinstance(op, cim.LookupOp | rec.BinaryOp)]
    tiles, remark = spread_reduction_tiles(
        chip, dict.fromkeys(chip, 0), dict.fromkeys(chip, 60), lookups, ctx, target
    )
    return set(tiles.values()), remark


def test_lookups_move_to_owners_of_their_rows_where_that_relieves_a_tile() -> None:
    tiles, remark = spread(load_target("tsinghua28{tile.link_gbps=0.1}"))
    assert tiles
    assert tiles <= {2, 5}
    assert remark.lookups == 2  # type: ignore[attr-defined]
    assert remark.ns_after < remark.ns_before  # type: ignore[attr-defined]


@pytest.mark.parametrize("fields", ["array.step_ns=1000000", "tile.scratchpad_bytes=16 tile.link_gbps=0.1"])
def test_nothing_moves_where_arrays_are_busier_or_there_is_no_room(fields: str) -> None:
    tiles, remark = spread(load_target(f"tsinghua28{{{fields}}}"))
    assert tiles == set()
    assert remark.ns_after == remark.ns_before  # type: ignore[attr-defined]
