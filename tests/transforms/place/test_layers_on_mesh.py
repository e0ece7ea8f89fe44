"""Positions of layers that exchange data, on two layers by hand."""

from __future__ import annotations

from typing import Any

from xdsl.dialects.builtin import ModuleOp

from cimc.ir.context import CompilerContext
from cimc.ir.text import new_context, parse_ir
from cimc.target import load_target
from cimc.target.overrides import with_overrides
from cimc.target.spec import Target
from cimc.transforms.place.layers_on_mesh import DensePlacement, _traffic, place_dense
from cimc.transforms.place.pack_arrays import ArrayGroup, array_groups_of

TEXT = """
cim.weights "a" rows 6 cols 4 bits 8 data @a.int scales @a.scales inputs 8 signed 1
cim.shards @a slices 2 blocks <[[0, 6, 0, 4]]>
cim.weights "b" rows 4 cols 3 bits 8 data @b.int scales @b.scales inputs 8 signed 1
cim.shards @b slices 2 blocks <[[0, 4, 0, 3]]>
cim.table "t" rows 9 cols 3 bits 8 data @t.int scales @t.scales
cim.shards @t slices 2 blocks <[[0, 9, 0, 3]]>
cim.pooling @t rows 8 step 1
func.func @main(%x: tensor<?x6xf32>, %ids: tensor<?x2xi64>) -> tensor<?x3xf32> {
  %q = cim.quantize %x scale 0.5 bits 8 : tensor<?x6xf32> -> tensor<?x6xi8>
  %m = cim.mvm @a %q first 0 count 1 : tensor<?x6xi8> -> tensor<?x4xi32>
  %h = cim.dequantize %m factors @f : tensor<?x4xi32> -> tensor<?x4xf32>
  %p = cim.quantize %h scale 0.5 bits 8 : tensor<?x4xf32> -> tensor<?x4xi8>
  %n = cim.mvm @b %p first 0 count 1 : tensor<?x4xi8> -> tensor<?x3xi32>
  %g = cim.dequantize %n factors @f : tensor<?x3xi32> -> tensor<?x3xf32>
  %e = cim.lookup @t "sum" "fixed" %ids scale 0.5 dim 3 : tensor<?x2xi64> -> tensor<?x3xf32>
  %y = rec.binary "add" %g, %e : tensor<?x3xf32>, tensor<?x3xf32> -> tensor<?x3xf32>
  func.return %y : tensor<?x3xf32>
}
"""


def parsed(target: Target) -> tuple[ModuleOp, CompilerContext, list[ArrayGroup]]:
    ctx = new_context()
    ctx.target = target
    made = parse_ir(TEXT, ctx)
    return made, ctx, array_groups_of(made, ctx, target)


def placed(fields: dict[str, Any] | None = None, method: str = "greedy") -> DensePlacement | None:
    target = with_overrides(load_target("tsinghua28"), fields or {})
    made, _, groups = parsed(target)
    return place_dense(made, groups, target, method, 0)


def test_traffic_is_what_groups_exchange_with_one_another_and_the_port() -> None:
    made, _, groups = parsed(load_target("tsinghua28"))
    assert [(g.matrix, g.first, g.count) for g in groups] == [("a", 0, 1), ("b", 0, 1)]
    found = _traffic(made, groups)
    assert found.pairs == {(0, 1): 4 * 8 + 32}  # the activations between, as integers, and a header
    assert found.port == {0: 6 * 32 + 32, 1: 3 * 32 + 32}
    assert found.lookups == {1: 3 * 32 + 32}


def test_layers_get_tiles_of_their_own_next_to_each_other() -> None:
    found = placed()
    assert found is not None
    target = load_target("tsinghua28")
    a, b = found.tiles.tolist()
    assert a != b
    assert target.hops(a, b) == 1
    assert found.consumer == b
    assert found.remark.bit_hops >= found.remark.bound


def test_the_same_seed_gives_the_same_tiles() -> None:
    one, other = placed(method="anneal"), placed(method="anneal")
    assert one is not None
    assert other is not None
    assert one.tiles.tolist() == other.tiles.tolist()


def test_a_chip_with_too_few_arrays_has_no_placement() -> None:
    assert placed({"chip.mesh": (1, 1), "tile.arrays": 1}) is None


def test_no_layers_have_no_placement() -> None:
    target = load_target("tsinghua28")
    made, _, _ = parsed(target)
    assert place_dense(made, [], target, "greedy", 0) is None
