"""Which rows are on every home: room, bounds, and what a cheaper link changes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cimc.study.planning.spread import decide, items_of, least_chips
from cimc.target.load_target import load_target
from cimc.target.overrides import with_overrides
from tests.study.planning.small_model import small

ONE = load_target("tsinghua28")
ITEMS = items_of(small(2_000_000), ONE)
DENSE = 4


def test_runs_hold_every_block_and_every_read_once() -> None:
    model = small(2_000_000)
    for number, each in enumerate(model.tables):
        mine = ITEMS.of == number
        assert ITEMS.count[mine].sum() == -(-each.rows // 512)
        assert ITEMS.reads[mine].sum() == pytest.approx(each.pooling)
        assert (ITEMS.touches[mine] <= ITEMS.reads[mine] + 1e-9).all()
        np.testing.assert_array_equal(ITEMS.first[mine], np.cumsum(ITEMS.count[mine]) - ITEMS.count[mine])


def test_what_does_not_fit_is_nothing() -> None:
    chips = least_chips(ITEMS, DENSE, ONE)
    assert decide(ITEMS, DENSE, 1e3, 32.0, chips, ONE) is not None
    wide = items_of(small(40_000_000), ONE)
    least = least_chips(wide, DENSE, ONE)
    assert least > 1
    assert decide(wide, DENSE, 1e3, 32.0, least - 1, ONE) is None


@pytest.mark.parametrize("chips", [1, 2, 5, 16])
def test_a_decision_keeps_to_the_room_and_its_bound(chips: int) -> None:
    found = decide(ITEMS, DENSE, 1e3, 32.0, chips, ONE)
    assert found is not None
    assert found.arrays <= chips * ONE.tiles_per_chip * ONE.tile.arrays
    assert 0 <= found.bound_ns <= found.period_ns
    assert 1 <= found.homes <= chips
    assert all(
        0 <= near <= -(-t.rows // 512) for near, t in zip(found.near, small(2_000_000).tables, strict=True)
    )


def test_more_chips_are_never_slower() -> None:
    periods = []
    for chips in (1, 2, 4, 8, 16):
        found = decide(ITEMS, DENSE, 1e3, 32.0, chips, ONE)
        assert found is not None
        periods.append(found.period_ns)
    assert all(b <= a * 1.02 for a, b in itertools.pairwise(periods))


def test_a_faster_link_is_never_slower() -> None:
    fast = with_overrides(ONE, {"chip.host_link_gbps": float(ONE.chip.host_link_gbps) * 4}, scale=False)
    slow, quick = (decide(ITEMS, DENSE, 1e3, 32.0, 8, target) for target in (ONE, fast))
    assert slow is not None
    assert quick is not None
    assert quick.period_ns <= slow.period_ns * 1.01
