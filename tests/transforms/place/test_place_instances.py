"""Tables round the instances that read them, and arrays whose blocks are in turn together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.errors import InfeasibleError
from cimc.target import load_target
from cimc.target.overrides import with_overrides
from cimc.transforms.place.pack_arrays import ArrayGroup
from cimc.transforms.place.place_instances import _hops_to, pack_by_turn, place_instances
from tests.transforms.place.test_place import places_with

TARGET = load_target("tsinghua28")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 4)), min_size=1, max_size=12))
def test_arrays_hold_what_is_in_turn_together(blocks: list[tuple[int, int]]) -> None:
    widths, copies = [list(x) for x in zip(*blocks, strict=True)]
    places = places_with(widths, [1.0] * len(blocks), copies)
    items = np.arange(places.count)
    packing, turns = pack_by_turn(places, items, TARGET, "greedy", 1.0, 0)
    assert sorted(packing.items.tolist()) == items.tolist()
    assert packing.array.max() + 1 == packing.arrays == len(turns)
    filled = np.zeros(packing.arrays, np.int64)
    seen: dict[int, set[int]] = {}
    for item, array, offset in zip(packing.items, packing.array, packing.offset, strict=True):
        block = int(places.block[item])
        number, turn = turns[array]
        assert number == 1 + copies[block]
        assert turn == item - len(blocks) - sum(copies[:block]) + 1 if item >= len(blocks) else turn == 0
        seen.setdefault(block, set()).add(turn)
        filled[array] += places.width[item]
        assert offset + places.width[item] <= TARGET.array.cols
    assert all(turns == set(range(1 + copies[block])) for block, turns in seen.items())
    assert filled.max() <= TARGET.array.cols


def groups(*counts: int) -> list[ArrayGroup]:
    return [ArrayGroup("w", 0, count, 1.0, 1.0) for count in counts]


def test_a_place_an_instance_is_at_hand() -> None:
    turns = [(16, turn) for turn in range(16)]
    found = place_instances(16, 1, groups(3, 4), np.ones(16), turns, TARGET)
    assert found.tiles.shape == (16, 1)
    for array, tile in enumerate(found.table.tolist()):
        assert TARGET.hops(tile, int(found.tiles[array, 0])) <= 1


def test_a_place_a_chip_is_on_the_chip_of_its_instances() -> None:
    target = with_overrides(TARGET, {"system.chips": 3})
    turns = [(3, turn) for turn in range(3)] * 4
    found = place_instances(6, 1, groups(2), np.ones(12), turns, target)
    for array, tile in enumerate(found.table.tolist()):
        number, turn = turns[array]
        readers = {r for r in range(6) if r % math.gcd(6, number) == turn}
        assert {int(found.tiles[r, 0]) // 64 for r in readers} == {tile // 64}


def test_traffic_is_not_heaped_on_a_tile() -> None:
    found = place_instances(4, 1, groups(1), np.ones(160), [(1, 0)] * 160, TARGET)
    assert np.bincount(found.table, minlength=64).max() <= 5


def test_groups_share_tiles_in_order() -> None:
    found = place_instances(2, 1, groups(4, 4, 5, 3, 1), np.zeros(0), [], TARGET)
    assert found.slot.tolist() == [0, 0, 1, 1, 2]
    assert place_instances(2, 2, groups(*[4] * 6), np.zeros(0), [], TARGET).slot.tolist() == [
        0,
        0,
        1,
        1,
        2,
        2,
    ]
    wider = place_instances(2, 4, groups(1, 1, 1, 1), np.zeros(0), [], TARGET)
    assert wider.slot.tolist() == [0, 1, 2, 3]
    assert place_instances(2, 3, [], np.zeros(0), [], TARGET).tiles.shape == (2, 3)


@pytest.mark.parametrize(
    ("count", "sizes", "arrays"), [(65, (1,), 0), (33, (8, 1), 0), (8, (9,), 0), (64, (1,), 449)]
)
def test_what_does_not_fit_is_said(count: int, sizes: tuple[int, ...], arrays: int) -> None:
    with pytest.raises(InfeasibleError):
        place_instances(count, 1, groups(*sizes), np.ones(arrays), [(1, 0)] * arrays, TARGET)


def test_what_just_fits_is_placed() -> None:
    found = place_instances(64, 1, groups(1), np.ones(448), [(1, 0)] * 448, TARGET)
    assert (np.bincount(found.table, minlength=64) == 7).all()


def test_each_array_takes_the_tile_that_costs_least_when_its_turn_comes() -> None:
    target = with_overrides(TARGET, {"system.chips": 2})
    rng = np.random.default_rng(5)
    traffic = np.where(rng.random(600) < 0.7, 0.0, rng.random(600))
    turns = [
        (int(p), int(t) % int(p))
        for p, t in zip(rng.choice([1, 2, 4], 600), rng.integers(0, 4, 600), strict=True)
    ]
    found = place_instances(4, 1, groups(2), traffic, turns, target)
    hops, load = _hops_to(found.tiles, target), np.zeros(target.n_tiles)
    room = np.full(target.n_tiles, target.tile.arrays)
    room[found.tiles[:, 0]] -= 2
    for array in np.argsort(-traffic, kind="stable").tolist():
        number, turn = turns[array]
        cost = hops[turn::number].mean(axis=0) + load / (traffic.sum() / target.n_tiles)
        best = np.where(room > 0, cost, np.inf)
        assert best[found.table[array]] == best.min()
        room[found.table[array]] -= 1
        load[found.table[array]] += traffic[array]
