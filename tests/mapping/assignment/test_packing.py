import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.mapping import PlacementProblem
from cimc.mapping.assignment.construct import construct, heaviest_first, to_lightest, to_lightest_place
from cimc.mapping.assignment.packing import (
    UNPLACED,
    best_fit_decreasing,
    fill_each_bin,
    first_fit_decreasing,
    pack,
    search,
)
from cimc.mapping.dtypes import IntArray
from tests.mapping.assignment.placement_instances import exhaustive, planted, problems


def used(size: IntArray, assignment: IntArray, bins: int) -> IntArray:
    total = np.zeros(bins, dtype=np.int64)
    np.add.at(total, assignment[assignment != UNPLACED], size[assignment != UNPLACED])
    return total


def first_fit_by_hand(size: IntArray, capacity: IntArray) -> list[int]:
    free, found = capacity.tolist(), [UNPLACED] * size.size
    for item in np.argsort(-size, kind="stable").tolist():
        for b, room in enumerate(free):
            if room >= size[item]:
                free[b] -= size[item]
                found[item] = b
                break
    return found


vectors = st.tuples(
    st.lists(st.integers(1, 9), min_size=1, max_size=12), st.lists(st.integers(0, 20), min_size=1, max_size=5)
).map(lambda pair: (np.array(pair[0]), np.array(pair[1])))


@settings(max_examples=200, deadline=None)
@given(vectors)
def test_first_fit_is_the_textbook_one(case: tuple[IntArray, IntArray]) -> None:
    size, capacity = case
    assert first_fit_decreasing(size, capacity).tolist() == first_fit_by_hand(size, capacity)


@settings(max_examples=200, deadline=None)
@given(vectors)
def test_no_method_exceeds_a_capacity(case: tuple[IntArray, IntArray]) -> None:
    size, capacity = case
    for method in (first_fit_decreasing, best_fit_decreasing, fill_each_bin):
        assert np.all(used(size, method(size, capacity), capacity.size) <= capacity)
    found, _ = search(size, capacity)
    if found is not None:
        assert np.all(found >= 0)
        assert np.all(used(size, found, capacity.size) <= capacity)


def test_full_planted_packings_are_found() -> None:
    for seed in range(5):
        problem = planted(8, 5, seed=seed)
        assert pack(problem.size, problem.capacity).complete


def test_filling_each_bin_packs_what_first_fit_does_not() -> None:
    size, capacity = np.array([5, 4, 4, 3, 2, 2]), np.array([10, 10])
    assert np.any(first_fit_decreasing(size, capacity) == UNPLACED)
    assert np.all(fill_each_bin(size, capacity) != UNPLACED)


def test_search_proves_that_nothing_fits() -> None:
    found, exhausted = search(np.array([3, 3, 3, 3, 3]), np.array([8, 8]))
    assert found is None
    assert exhausted


@settings(max_examples=150, deadline=None)
@given(problems(max_items=5, max_bins=3))
def test_a_packing_is_found_exactly_when_there_is_one(problem: PlacementProblem) -> None:
    packing = pack(problem.size, problem.capacity)
    assert packing.complete == (len(exhaustive(problem)[0]) > 0)
    assert packing.complete or packing.proven


def test_heaviest_first_gives_the_known_lpt_schedule() -> None:
    load = np.array([7.0, 7.0, 6.0, 6.0, 5.0, 4.0, 4.0, 4.0])
    size = np.ones(8, dtype=np.int64)
    found = to_lightest(load, size, np.full(3, 8), heaviest_first(load, size))
    assert np.bincount(found, weights=load).tolist() == [16.0, 15.0, 12.0]


def test_many_full_bins_do_not_hide_the_one_with_room() -> None:
    # Sixty light bins have one unit left each, the heaviest has two.
    load = np.concatenate((np.full(60, 1.0), [50.0], np.zeros(1)))
    size = np.concatenate((np.full(60, 3), [2], [2]))
    capacity = np.full(61, 4)
    order = np.arange(62)
    found = to_lightest(load, size, capacity, order)
    assert found[61] == found[60]


def test_places_of_a_packing_are_kept() -> None:
    size = np.array([2, 2, 1, 1, 1, 1])
    packing = np.array([0, 1, 0, 0, 1, 1])
    load = np.array([9.0, 1.0, 8.0, 7.0, 1.0, 1.0])
    found = to_lightest_place(load, size, packing)
    assert np.bincount(found, weights=size).tolist() == [4.0, 4.0]
    assert found[2] != found[0]  # the heavy small item avoids the heavy large one


@pytest.mark.parametrize("seed", range(3))
def test_construction_completes_full_packings(seed: int) -> None:
    problem = planted(10, 6, seed=seed)
    packing = construct(problem.load, problem.size, problem.capacity)
    assert packing.complete
    assert np.all(used(problem.size, packing.assignment, 10) <= problem.capacity)
