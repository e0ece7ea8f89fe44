"""Bins grouped by distance and items by likeness."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.mapping.assignment.problem import PlacementProblem
from cimc.mapping.assignment.rings import make_classes, make_rings


def spread(
    distance: list[float], capacity: list[int], size: list[int], load: list[float]
) -> PlacementProblem:
    return PlacementProblem(
        np.array(load), np.array(size), np.array(load), np.array(capacity), np.array(distance)
    )


def test_a_ring_has_the_bins_of_one_distance_that_can_hold_something() -> None:
    rings = make_rings(spread([2, 1, 2, 1, 3], [4, 3, 1, 5, 9], [2], [1.0]), most=9)
    assert rings.of_bin.tolist() == [1, 0, 1, 0, 2]
    assert rings.distance.tolist() == [1, 2, 3]
    assert rings.bins.tolist() == [2, 1, 1]
    assert rings.capacity.tolist() == [8, 4, 9]


def test_many_rings_are_merged_with_their_neighbours() -> None:
    rings = make_rings(spread([float(d) for d in range(12)], [1] * 12, [1], [1.0]), most=3)
    assert rings.bins.tolist() == [4, 4, 4]
    assert rings.distance.tolist() == [1.5, 5.5, 9.5]
    assert (np.diff(rings.of_bin) >= 0).all()


def test_like_items_share_a_class() -> None:
    classes = make_classes(spread([1.0], [99], [1, 1, 2, 1], [5.0, 5.001, 5.0, 9.0]), most=3)
    assert classes.tolerance == 0.01
    assert sorted(classes.count.tolist()) == [1, 1, 2]
    assert classes.count @ classes.load == pytest.approx(24.001)
    assert set(classes.size.tolist()) == {1.0, 2.0}


def test_classes_grow_coarser_until_there_are_few_enough() -> None:
    sizes, loads = [*range(1, 41)], [float(k) for k in range(1, 41)]
    problem = spread([1.0], [999], sizes, loads)
    fine, coarse = make_classes(problem, most=60), make_classes(problem, most=8)
    assert len(fine.count) == 40
    assert len(coarse.count) <= 8
    assert coarse.tolerance > fine.tolerance
    for found in (fine, coarse):
        assert found.count.sum() == 40
        assert found.count @ found.size == pytest.approx(sum(sizes))


def test_items_without_load_are_alike() -> None:
    assert make_classes(spread([1.0], [9], [1, 1, 1], [0.0, 0.0, 0.0]), most=9).count.tolist() == [3]
