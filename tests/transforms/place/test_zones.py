"""Zones of the mesh and the instances in their middles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.errors import InfeasibleError
from cimc.target import load_target
from cimc.target.overrides import with_overrides
from cimc.transforms.place.zones import chips_beside, zones

TARGET = load_target("tsinghua28")


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 3), st.integers(1, 9), st.integers(1, 5))
def test_no_tile_twice_and_chips_in_turn(width: int, height: int, chips: int, count: int, size: int) -> None:
    target = with_overrides(TARGET, {"chip.mesh": (width, height), "system.chips": chips})
    if -(-count // chips) * size > width * height:
        with pytest.raises(InfeasibleError):
            zones(target, count, size)
        return
    found = zones(target, count, size)
    assert found.shape == (count, size)
    assert len(np.unique(found)) == count * size
    assert (found // (width * height) == (np.arange(count) % chips)[:, None]).all()


@pytest.mark.parametrize(("count", "size", "furthest"), [(16, 4, 2), (32, 2, 1), (8, 4, 2), (4, 6, 3)])
def test_tiles_of_an_instance_are_neighbours(count: int, size: int, furthest: int) -> None:
    for tiles in zones(TARGET, count, size).tolist():
        assert max(TARGET.hops(a, b) for a in tiles for b in tiles) <= furthest


def test_instances_are_spread_over_the_mesh() -> None:
    """Each in a zone of its own: one in each quarter, where there are four."""
    found = zones(TARGET, 4, 1).ravel()
    quarters = {(tile // 8 // 4, tile % 8 // 4) for tile in found.tolist()}
    assert len(quarters) == 4


def test_chips_without_an_instance_are_dealt_out() -> None:
    target = with_overrides(TARGET, {"system.chips": 7})
    assert (chips_beside(target, 2) // 64).tolist() == [[2, 4], [3, 5]]
    assert chips_beside(target, 2)[0, 0] == target.port_tile(2, 0)
    assert chips_beside(target, 4).shape == (4, 0)
    assert chips_beside(target, 14).shape == (14, 0)
