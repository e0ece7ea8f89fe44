"""Placement level by level: arrays, copies, chips, layers on the mesh."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cimc.cost import estimate
from cimc.errors import InfeasibleError, PassError
from cimc.ir import cim
from cimc.ir.context import CompilerContext
from cimc.isa.directory import places_of
from cimc.mapping import PlacementProblem, evaluate, solve, strategies
from cimc.sim.executor import Simulator
from cimc.target import load_target
from cimc.target.overrides import with_overrides
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.place.assign_chips import CHIP_POLICIES, assign_chips
from cimc.transforms.place.interchip_traffic import Demand
from cimc.transforms.place.pack_arrays import (
    arrays_of,
    copy_arrays,
    first_fit_count,
    largest,
    pack,
    pack_copies,
)
from cimc.transforms.place.replica_anti_affinity import spread_copies
from cimc.transforms.place.shard_list import Places
from cimc.transforms.place.solve_per_chip import solve_parts
from cimc.transforms.place.sram_dram import place_in_dram, place_in_sram
from tests.build import dlrm, dlrm_requests

TARGET = load_target("tsinghua28")
TWO = with_overrides(TARGET, {"chip.mesh": (3, 2), "system.chips": 2})


def compiled(pipeline: str, overrides: dict[str, Any]) -> tuple[Simulator, CompilerContext]:
    made, ctx = dlrm()
    assert ctx.target is not None
    ctx.target = with_overrides(ctx.target, overrides)
    Pipeline.parse(f"quantize,{pipeline},schedule,lower").run(made, ctx)
    return Simulator(ctx.program, ctx.target), ctx


def places_with(
    widths: list[int], loads: list[float], copies: list[int] | None = None, residence: int = 0
) -> Places:
    """One table of blocks, and ``copies[b]`` further copies of each."""
    extra = copies or [0] * len(widths)
    block = np.concatenate([np.arange(len(widths)), np.repeat(np.arange(len(widths)), extra)]).astype(
        np.int64
    )
    width = np.array(widths, np.int64)[block]
    uses = np.array(loads)[block] / (1 + np.array(extra))[block] / width
    count = len(block)
    return Places(
        ("t",), np.zeros(count, np.int64), np.arange(count), block, np.full(count, residence, np.int8),
        width, width * 512, uses, uses * 100,
    )  # fmt: skip


# -- arrays -------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 20), max_size=40), st.integers(20, 50))
def test_first_fit_count_is_first_fit_decreasing(widths: list[int], capacity: int) -> None:
    bins: list[int] = []
    for width in sorted(widths, reverse=True):
        for b, used in enumerate(bins):
            if used + width <= capacity:
                bins[b] += width
                break
        else:
            bins.append(width)
    assert first_fit_count(np.array(widths, np.int64), capacity) == len(bins)


@given(st.integers(0, 60), st.integers(0, 60))
def test_largest(most: int, bound: int) -> None:
    assert largest(most, lambda n: n <= bound) == min(most, bound)


@given(data=st.data())
@settings(deadline=None)
def test_packing_keeps_copies_apart(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    widths = data.draw(st.lists(st.sampled_from([16, 32, 64, 200]), min_size=n, max_size=n))
    loads = data.draw(st.lists(st.floats(0, 100), min_size=n, max_size=n))
    copies = data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    places = places_with(widths, loads, copies)
    found = pack(places, np.arange(places.count), TARGET, "greedy", 1.0, 0)
    assert found.array.min() >= 0
    assert found.array.max() < found.arrays
    assert (found.array[:n] < found.primary).all()
    assert (found.array[n:] >= found.primary).all()
    used = np.zeros((found.arrays, TARGET.array.cols), np.int64)
    for item, array, offset in zip(found.items, found.array, found.offset, strict=True):
        used[array, offset : offset + places.width[item]] += 1
    assert used.max() == 1
    assert used.sum() == places.width.sum()
    assert len({(b, a) for b, a in zip(places.block, found.array, strict=True)}) == places.count


def test_copies_go_to_the_least_loaded_array() -> None:
    array, count = pack_copies(
        np.full(4, 256, np.int64), np.array([0, 1, 2, 3]), np.array([4.0, 3.0, 2.0, 1.0]), 512
    )
    assert count == 2
    np.testing.assert_array_equal(array, [0, 1, 1, 0])


@given(data=st.data())
@settings(deadline=None, max_examples=200)
def test_copies_take_no_more_arrays_than_foretold(data: st.DataObject) -> None:
    """Chips count on it before anything is packed; for one width it is the least there is."""
    n = data.draw(st.integers(1, 8))
    widths = data.draw(st.lists(st.sampled_from([16, 64, 200]), min_size=n, max_size=n))
    loads = data.draw(st.lists(st.floats(0, 100), min_size=n, max_size=n))
    block = np.repeat(np.arange(n), data.draw(st.lists(st.integers(0, 12), min_size=n, max_size=n)))
    width, cols = np.array(widths, np.int64)[block], 256
    array, count = pack_copies(width, block, np.array(loads)[block], cols)
    assert count <= copy_arrays(width, block, cols)
    assert np.bincount(array, width, count).max(initial=0) <= cols
    assert len(set(zip(array.tolist(), block.tolist(), strict=True))) == len(block)
    if len(set(width.tolist())) == 1:
        times = np.bincount(block).max()
        assert count == max(-(-len(block) // (cols // width[0])), times)


def test_copies_are_dealt_where_the_hottest_first_leave_one_over() -> None:
    """Two arrays of two places: the coldest block's copies both need room, and one array is full."""
    block = np.array([0, 1, 2, 2])
    array, count = pack_copies(np.full(4, 2, np.int64), block, np.array([1.0, 9.0, 5.0, 5.0]), 4)
    assert count == 2
    assert array[2] != array[3]
    block = np.array([0, 1, 2, 2])
    array, count = pack_copies(np.full(4, 2, np.int64), block, np.array([9.0, 0.0, 0.0, 0.0]), 4)
    assert count == 2
    assert array[2] != array[3]


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_every_chip_can_hold_what_it_is_given(data: st.DataObject) -> None:
    """Copies of one block need an array each, however narrow they are."""
    n = data.draw(st.integers(1, 40))
    widths = data.draw(st.lists(st.sampled_from([16, 64, 200]), min_size=n, max_size=n))
    loads = data.draw(st.lists(st.floats(0, 100), min_size=n, max_size=n))
    copies = data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    places = places_with(widths, loads, copies)
    target = with_overrides(
        TARGET, {"chip.mesh": (2, 1), "tile.arrays": 4, "array.cols": 256, "system.chips": 12}
    )
    read = np.array([data.draw(st.sampled_from([1.0, 80.0]))])
    for policy, demand in (
        ("near", None),
        ("near", Demand(read, np.array([9]), np.array([640.0]))),
        ("load", None),
        ("solve", None),
    ):
        try:
            chip = assign_chips(policy, places, np.arange(places.count), [], target, 0, demand).of_item
        except InfeasibleError:
            assume(False)
        assert chip.min() >= 0
        assert chip.max() < 12
        for number in range(12):
            mine = np.flatnonzero(chip == number)
            found = pack(places, mine, target, "greedy", 1.0, 0)
            assert found.arrays <= arrays_of(places.width[mine], places.copy_of[mine], 256) <= 8


@given(data=st.data())
@settings(deadline=None, max_examples=50)
def test_copies_are_spread_over_tiles(data: st.DataObject) -> None:
    """Nothing is lost or overfull, and with room for it no two copies of a block share a tile."""
    n = data.draw(st.integers(1, 8))
    copies = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    places = places_with([64] * n, [1.0] * n, copies)
    packing = pack(places, np.arange(places.count), TARGET, "greedy", 1.0, 0)
    tiles = 2 * packing.arrays
    size = np.ones(packing.arrays, np.int64)
    capacity = np.full(tiles, 2, np.int64)
    start = np.arange(packing.arrays) // 2
    load = np.bincount(packing.array, places.load, packing.arrays)
    found, together = spread_copies(start, load, size, capacity, places, packing)
    assert together == 0
    assert np.bincount(found, minlength=tiles).max() <= 2
    on = {(int(b), int(found[a])) for b, a in zip(places.block, packing.array, strict=True)}
    assert len(on) == places.count


def test_copies_that_cannot_be_apart_are_counted() -> None:
    places = places_with([64], [1.0], [2])
    packing = pack(places, np.arange(3), TARGET, "greedy", 1.0, 0)
    start = np.zeros(packing.arrays, np.int64)
    one = np.ones(packing.arrays)
    _, together = spread_copies(start, one, one.astype(np.int64), np.array([8]), places, packing)
    assert together == 3  # three copies on one tile: three pairs


# -- parts --------------------------------------------------------------------------------------------


def problem(n: int, target: Any, rng: np.random.Generator) -> PlacementProblem:
    return PlacementProblem(
        load=rng.random(n),
        size=np.ones(n, np.int64),
        traffic=rng.random(n),
        capacity=np.full(target.n_tiles, target.tile.arrays),
        distance=np.array([target.hops(0, t) for t in range(target.n_tiles)], np.float64),
    )


def test_one_part_is_the_whole_problem() -> None:
    made = problem(20, TWO, np.random.default_rng(0))
    none = np.full(20, -1, np.int64)
    found = solve_parts(made, none, none, TWO, "greedy", 0)
    np.testing.assert_array_equal(found.tiles, solve(made, "greedy", seed=0).assignment)


@given(st.integers(0, 2**31), st.integers(0, 40), st.integers(0, 40))
@settings(deadline=None, max_examples=30)
def test_parts_respect_chips_and_fixed_items(seed: int, first: int, second: int) -> None:
    rng = np.random.default_rng(seed)
    made = problem(first + second + 2, TWO, rng)
    chip = np.repeat([0, 1, 0], [first, second, 2])
    fixed = np.full(made.n_items, -1, np.int64)
    fixed[-2:] = [0, 4]
    found = solve_parts(made, chip, fixed, TWO, "greedy", 0).tiles
    assert not evaluate(made, found).violations
    np.testing.assert_array_equal(found // TWO.tiles_per_chip, chip)
    np.testing.assert_array_equal(found[-2:], [0, 4])
    if first <= 4 * TWO.tile.arrays:  # room beside the tiles that hold something
        assert not set(found[:first].tolist()) & {0, 4}


# -- chips --------------------------------------------------------------------------------------------

CHIPS = {"system.chips": 3, "chip.mesh": (2, 2), "tile.arrays": 4}


@pytest.mark.parametrize("chips", ["flat", "load", "solve", "near"])
@pytest.mark.parametrize(
    "more",
    [
        "",
        "assign-memory{sram=0.001},",
        "assign-memory{sram=0.001 chips=near},",
        "replicate{budget=0.5 policy=log_frequency},",
    ],
)
def test_chips_change_no_result(chips: str, more: str) -> None:
    requests = dlrm_requests(20, 4)
    simulator, ctx = compiled(f"group,shard,{more}place{{chips={chips}}}", CHIPS)
    found, activity = simulator.run(requests, "exact")
    expected, _ = compiled("shard,place", CHIPS)[0].run(requests, "exact")
    assert found["y0"].tobytes() == expected["y0"].tobytes()
    estimate(ctx.program, simulator.target, activity)


def chips_of(ctx: CompilerContext, kind: str) -> dict[str, set[int]]:
    target = ctx.target
    assert target is not None
    return {
        m.name: set((places_of(ctx.program, m)[:, cim.TILE] // target.tiles_per_chip).tolist())
        for m in ctx.program.matrices
        if m.kind == kind
    }


def test_tables_go_whole_to_chips_and_layers_to_the_first() -> None:
    _, ctx = compiled("shard,place{chips=load}", CHIPS)
    tables = chips_of(ctx, "table")
    assert all(len(chips) == 1 for chips in tables.values())
    assert len(set.union(*tables.values())) > 1
    assert set.union(*chips_of(ctx, "dense").values()) == {0}


def test_chips_by_the_solver_come_with_a_bound() -> None:
    _, ctx = compiled("shard,place{chips=solve}", CHIPS)
    said = ctx.remarks.placement.chips
    assert said.optimal
    assert 0 < said.bound_ns <= said.bottleneck_ns <= said.bound_ns * (1 + 1e-7)
    assert all(len(chips) == 1 for chips in chips_of(ctx, "table").values())


def test_hot_blocks_stay_near_the_layers() -> None:
    _, ctx = compiled("shard,place{chips=near}", CHIPS)
    assert set.union(*chips_of(ctx, "table").values()) == {0}


def test_a_table_larger_than_a_chip_is_cut() -> None:
    tiny = {
        "system.chips": 12, "chip.mesh": (1, 1), "tile.arrays": 3, "array.cols": 64,
        "array.rows": 64, "array.physical_rows": 64,
    }  # fmt: skip
    for chips in ("load", "solve", "near"):
        _, ctx = compiled(f"shard,place{{chips={chips}}}", tiny)
        assert len(chips_of(ctx, "table")["t1"]) > 1
    with pytest.raises(InfeasibleError):
        compiled("shard,place{chips=load}", {**tiny, "system.chips": 1})
    with pytest.raises(InfeasibleError, match="arrays"):
        compiled("shard,place{chips=load}", {**tiny, "system.chips": 2})


def test_memories_near_the_first_chip() -> None:
    """The places with the most traffic fill what the first chip has."""
    sram = with_overrides(TWO, {"tile.table_sram_bytes": 65536})
    loads = list(range(1, 41))
    places = places_with([32] * 40, [float(x) for x in loads], residence=1)
    distance = np.zeros(TWO.n_tiles)
    items, tiles = place_in_sram(places, distance, sram, near=True, seed=0)
    per_chip = 6 * 65536 // (32 * 512)
    chip = tiles // TWO.tiles_per_chip
    np.testing.assert_array_equal(items[chip == 0], np.arange(40 - per_chip, 40))
    shared = place_in_sram(places, distance, sram, near=False, seed=0)[1] // TWO.tiles_per_chip
    assert abs(int((shared == 0).sum()) - 20) <= 6
    dram = with_overrides(TWO, {"chip.dram_bytes": 25 * 32 * 512})
    places = places_with([32] * 40, [float(x) for x in loads], residence=2)
    items, chips = place_in_dram(places, dram, near=True, seed=0)
    np.testing.assert_array_equal(items[chips == 0], np.arange(15, 40))
    balanced = place_in_dram(places, dram, near=False, seed=0)[1]
    load = np.bincount(balanced, loads)
    assert abs(load[0] - load[1]) <= 2


@pytest.mark.parametrize("chips", CHIP_POLICIES)
def test_many_copies_of_one_block_on_small_chips(chips: str) -> None:
    """More copies of the hottest block than a chip has arrays: the first chip is not given all of them."""
    small = {"system.chips": 6, "chip.mesh": (2, 1), "tile.arrays": 4}
    copies = "replicate{budget=0.9 policy=log_frequency}"
    simulator, ctx = compiled(f"group,shard,{copies},place{{chips={chips}}}", small)
    assert ctx.remarks.replication.copies > 8
    requests = dlrm_requests(20, 4)
    expected = compiled("shard,place", small)[0].run(requests, "exact")[0]["y0"]
    assert simulator.run(requests, "exact")[0]["y0"].tobytes() == expected.tobytes()
    for matrix in ctx.program.matrices:
        taken = places_of(ctx.program, matrix)
        arrays = taken[:, cim.TILE] * 4 + taken[:, cim.ARRAY]
        pairs = set(
            zip(taken[:, cim.ROW0].tolist(), taken[:, cim.COL0].tolist(), arrays.tolist(), strict=True)
        )
        assert len(pairs) == len(taken)


@pytest.mark.parametrize("chips", ["flat", "near"])
@pytest.mark.parametrize("strategy", strategies())
def test_every_strategy_writes_each_weight_as_often_as_it_has_copies(strategy: str, chips: str) -> None:
    """No cell holds two weights, no weight is lost, and outputs are the same to the bit."""
    requests = dlrm_requests(20, 4)
    placed = f"place{{strategy={strategy} chips={chips}}}"
    simulator, ctx = compiled(f"group,shard,replicate{{budget=0.5 policy=log_frequency}},{placed}", CHIPS)
    assert ctx.remarks.replication.copies > 0
    columns: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for matrix in ctx.program.matrices:
        taken = places_of(ctx.program, matrix)
        times = np.zeros((matrix.rows, matrix.cols), np.int64)
        for row0, rows, col0, cols, tile, array, offset in taken.tolist():
            times[row0 : row0 + rows, col0 : col0 + cols] += 1
            columns.setdefault((tile, array), []).append((offset, offset + cols * matrix.slices))
        copies = ctx.program.data.get(f"{matrix.name}.replicas", np.zeros((0, 4), np.int32))[:, 0]
        wanted = np.ones_like(times)
        for row0, rows, col0, cols in taken[copies, : cim.TILE].tolist():
            wanted[row0 : row0 + rows, col0 : col0 + cols] += 1
        np.testing.assert_array_equal(times, wanted)
    for (tile, array), spans in columns.items():
        assert 0 <= tile < simulator.target.n_tiles
        assert 0 <= array < simulator.target.tile.arrays
        spans.sort()
        assert spans[-1][1] <= simulator.target.array.cols
        assert all(before <= after for (_, before), (after, _) in pairwise(spans))
    expected = compiled("shard,place", CHIPS)[0].run(requests, "exact")[0]["y0"]
    assert simulator.run(requests, "exact")[0]["y0"].tobytes() == expected.tobytes()


# -- layers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["greedy", "row_major", "anneal"])
def test_layers_on_the_mesh(method: str) -> None:
    requests = dlrm_requests(20, 4)
    simulator, ctx = compiled(f"shard,place{{dense={method}}}", {})
    expected, _ = compiled("shard,place", {})[0].run(requests, "exact")
    assert simulator.run(requests, "exact")[0]["y0"].tobytes() == expected["y0"].tobytes()
    said = ctx.remarks.placement.dense
    assert said.method == method
    assert 0 < said.bound <= said.bit_hops
    tiles = [
        tile
        for m in ctx.program.matrices
        if m.kind == "dense"
        for tile in ctx.program.data[f"{m.name}.blocks"][:, cim.TILE].tolist()
    ]
    assert len(set(tiles)) == len(tiles)  # one block each here: a tile each


def test_neighbouring_layers_are_neighbours() -> None:
    near, far = (
        compiled(f"shard,place{{dense={method}}}", {})[1].remarks.placement.dense.bit_hops
        for method in ("anneal", "row_major")
    )
    assert near <= far


def test_layers_larger_than_a_chip_are_placed_with_the_tables() -> None:
    small = {"system.chips": 8, "chip.mesh": (1, 1), "tile.arrays": 2}
    _, ctx = compiled("shard,place{dense=greedy}", small)
    assert ctx.remarks.placement.dense is None
    assert any("more arrays than a chip has" in note for note in ctx.notes)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("chips=far", "place.option"),
        ("dense=random", "mapping.unknown-strategy"),
        ("array_slack=0", "place.array-slack"),
    ],
)
def test_misuse_is_refused(options: str, code: str) -> None:
    with pytest.raises(PassError) as caught:
        compiled(f"shard,place{{{options}}}", {})
    assert caught.value.code == code
