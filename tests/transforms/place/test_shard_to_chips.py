"""Published planners as policies of chips: room, copies, and what they are worth against whole tables."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.errors import InfeasibleError, PassError
from cimc.ir.residence import Residence
from cimc.target.load_target import load_target
from cimc.target.variants import with_overrides
from cimc.transforms.place.assign_chips import CHIP_POLICIES, assign_chips
from cimc.transforms.place.interchip_traffic import Demand
from cimc.transforms.place.pack_arrays import arrays_of
from cimc.transforms.place.shard_list import Places

PLANNERS = ("neuroshard", "recshard", "torchrec")
CHIP = {"chip.mesh": (2, 1), "tile.arrays": 6, "array.cols": 256, "system.chips": 4}
TARGET = with_overrides(load_target("tsinghua28"), CHIP)


def tables(blocks: list[int], copies: int = 0) -> Places:
    """Tables of blocks 64 columns wide, with falling reads; ``copies`` of the first block of each."""
    table = np.repeat(np.arange(len(blocks)), [n + copies for n in blocks])
    entry = np.concatenate([np.arange(n + copies) for n in blocks])
    before = np.cumsum([0, *blocks])
    block = before[table] + np.where(entry < np.array(blocks)[table], entry, 0)
    uses = (
        2.0
        / (1 + np.where(entry < np.array(blocks)[table], entry, 0))
        / (1 + copies * (block == before[table]))
    )
    count = len(table)
    return Places(
        tuple(f"t{n}" for n in range(len(blocks))), table, entry, block,
        np.full(count, int(Residence.RRAM), np.int8), np.full(count, 64), np.full(count, 64 * 512),
        uses, uses * 300,
    )  # fmt: skip


def demand(places: Places) -> Demand:
    reads = np.bincount(places.matrix, places.uses)
    return Demand(reads, np.full(len(reads), 12), np.full(len(reads), 400.0))


@pytest.mark.parametrize("policy", PLANNERS)
@pytest.mark.parametrize("copies", [0, 2])
def test_a_planner_fills_no_chip_beyond_its_arrays(policy: str, copies: int) -> None:
    places = tables([20, 9, 5, 1, 1], copies)
    items = np.arange(places.count)
    found = assign_chips(policy, places, items, [], TARGET, 0, demand(places))
    for chip in range(4):
        mine = found.of_item == chip
        assert arrays_of(places.width[mine], places.copy_of[mine], 256) <= 12
    assert found.remark.policy == policy
    assert found.remark.bottleneck_ns is not None
    assert found.remark.bound_ns is not None
    assert found.remark.bound_ns <= found.remark.bottleneck_ns
    again = assign_chips(policy, places, items, [], TARGET, 0, demand(places))
    assert again.of_item.tolist() == found.of_item.tolist()


@pytest.mark.parametrize("policy", PLANNERS)
def test_what_all_chips_cannot_hold_is_refused(policy: str) -> None:
    places = tables([200, 9])
    with pytest.raises(InfeasibleError) as caught:
        assign_chips(policy, places, np.arange(places.count), [], TARGET, 0, demand(places))
    assert caught.value.shortage.demand == 50 + 3
    assert caught.value.shortage.bound == 48


def test_planners_need_to_know_what_requests_ask_for() -> None:
    places = tables([3])
    with pytest.raises(PassError) as caught:
        assign_chips("torchrec", places, np.arange(3), [], TARGET, 0)
    assert caught.value.code == "place.option"
    assert set(PLANNERS) < set(CHIP_POLICIES)
