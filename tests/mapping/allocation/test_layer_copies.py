"""Policies of layer copies against plain oracles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.errors import PassError
from cimc.mapping.allocation.layer_copies import (
    COPY_POLICIES,
    LayerCopies,
    LayerCopiesProblem,
    copy_layers,
    copy_policies,
)
from cimc.mapping.allocation.pimcomp import REPLICATORS
from cimc.mapping.allocation.pimcomp_genetic import Individual, Search
from cimc.mapping.allocation.pimsyn import allowed, energy, in_proportion
from cimc.mapping.allocation.replicators import balance, in_rounds, rounds


def layers(
    arrays: int, sizes: list[int], uses: list[int] | None = None, core: int = 8, issue_ns: float = 0.0
) -> LayerCopiesProblem:
    """Layers of one array group each of ``sizes`` arrays."""
    one = [1] * len(sizes)
    return LayerCopiesProblem(
        np.array(one), np.array(sizes), np.array(uses or one), arrays, core, 100.0, issue_ns
    )


@st.composite
def small(draw: st.DrawFn) -> LayerCopiesProblem:
    n = draw(st.integers(1, 4))
    groups = draw(st.lists(st.integers(1, 3), min_size=n, max_size=n))
    sizes = draw(st.lists(st.integers(1, 4), min_size=n, max_size=n))
    uses = draw(st.lists(st.integers(1, 5), min_size=n, max_size=n))
    own = sum(g * s for g, s in zip(groups, sizes, strict=True))
    return LayerCopiesProblem(
        np.array(groups), np.array(sizes), np.array(uses), own + draw(st.integers(0, 60)), 8, 100.0, 30.0
    )


def plain_balance(problem: LayerCopiesProblem, windows: list[int], margin: float) -> list[int]:
    """``balance`` without a heap: the first layer with the most windows a copy, while one may be added."""
    size = problem.copy_arrays.tolist()
    copies, free = [1] * len(size), problem.arrays
    while True:
        share = [math.ceil(w / r) for w, r in zip(windows, copies, strict=True)]
        top = share.index(max(share))
        used = sum(s * r for s, r in zip(size, copies, strict=True))
        if copies[top] >= windows[top] or free <= size[top] or free <= margin * problem.arrays:
            return copies
        if used + size[top] > problem.arrays:
            return copies
        copies[top] += 1
        free -= size[top]


def test_balance_by_hand() -> None:
    # windows a copy and arrays free: 9 4, 20; 5 4, 18; 3 4, 16; 3 2, 13; 3 2, 11; 2 2, 9; half are 10
    problem = layers(20, [2, 3])
    assert balance(problem, np.array([9, 4]), 0.5).tolist() == [5, 2]
    assert balance(problem, np.array([9, 4]), 0.6).tolist() == [4, 2]
    # 2 2, 7; 2 2, 5: all 20 arrays are taken
    assert balance(problem, np.array([9, 4]), 0.0).tolist() == [7, 2]
    assert balance(problem, np.array([1, 1]), 0.0).tolist() == [1, 1]


@settings(max_examples=150, deadline=None)
@given(small(), st.integers(1, 12), st.sampled_from([0.0, 0.1, 0.5, 0.89]))
def test_balance_is_what_the_plain_rule_says(
    problem: LayerCopiesProblem, in_flight: int, margin: float
) -> None:
    windows = problem.windows(in_flight)
    found = balance(problem, windows, margin)
    assert found.tolist() == plain_balance(problem, windows.tolist(), margin)


def test_rounds_by_hand() -> None:
    assert rounds(np.array([100, 10, 25, 10])).tolist() == [4, 1, 1, 1]  # the second smallest is 25
    assert rounds(np.array([7, 7])).tolist() == [1, 1]
    problem = layers(240, [10, 10], core=16)
    # 240 / 20 / 1.2 rounds
    assert in_rounds(problem, np.array([64, 64]), np.array([1, 1])).tolist() == [10, 10]
    assert in_rounds(problem, np.array([64, 3]), np.array([1, 1])).tolist() == [10, 3]
    assert in_rounds(layers(20, [10, 10], core=16), np.array([9, 9]), np.array([1, 1])).tolist() == [1, 1]


@pytest.mark.parametrize("policy", ["pimcomp", "pimsyn_sa"])
def test_as_published_no_fully_connected_layer_is_copied(policy: str) -> None:
    assert copy_layers(layers(500, [4, 2, 3]), policy).copies.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("policy", "options"),
    [
        ("pimcomp", {"replicator": "balance", "margin": 0.0}),
        ("pimcomp", {"replicator": "W0H0"}),
        ("pimcomp", {"replicator": "uniform"}),
        ("pimcomp", {"replicator": "genetic", "population": 12}),
        ("pimcomp", {"replicator": "genetic", "population": 12, "fitness": "LL"}),
        ("pimsyn_sa", {}),
    ],
)
@settings(max_examples=25, deadline=None)
@given(problem=small(), in_flight=st.integers(1, 12))
def test_copies_fit_have_work_and_are_the_same_again(
    policy: str, options: dict[str, int | str], problem: LayerCopiesProblem, in_flight: int
) -> None:
    found = copy_layers(problem, policy, seed=3, windows=in_flight, **options)
    assert (found.copies >= 1).all()
    assert (found.copies <= problem.windows(in_flight)).all()
    assert int((found.copies * problem.copy_arrays).sum()) <= problem.arrays
    again = copy_layers(problem, policy, seed=3, windows=in_flight, **options)
    assert found.copies.tobytes() == again.copies.tobytes()
    assert found.effort == again.effort


def test_fitness_by_hand() -> None:
    problem = layers(64, [2, 2], core=8, issue_ns=60.0)
    search = Search(problem, np.array([8, 4]), "HT", 4, 0)
    # one core: 1 + 1 groups busy for 4 windows at 2 * 60 ns, then one for 4 more at 100
    held = np.zeros((8, 2), np.int64)
    held[0] = 1, 1
    assert search.cost(Individual(np.array([1, 1]), held)) == 4 * 120 + 4 * 100
    apart = np.zeros((8, 2), np.int64)
    apart[0, 0] = apart[1, 1] = 1
    assert search.cost(Individual(np.array([1, 1]), apart)) == 8 * 100
    chain = Search(problem, np.array([8, 4]), "LL", 4, 0)
    assert chain.cost(Individual(np.array([2, 1]), held)) == (4 + 4) * 100


@pytest.mark.parametrize("fitness", ["HT", "LL"])
@pytest.mark.parametrize("seed", range(4))
def test_the_genetic_search_never_ends_worse_than_it_began(fitness: str, seed: int) -> None:
    problem = LayerCopiesProblem(
        np.array([2, 3, 1]), np.array([2, 1, 3]), np.array([4, 2, 1]), 60, 8, 100.0, 40.0
    )
    ends = []
    for generations in (0, 3, 30):
        search = Search(problem, problem.windows(16), fitness, 30, seed)
        effort = search.run(generations).effort
        assert effort["fitness"] <= effort["fitness_at_start"]
        ends.append(effort["fitness"])
    assert ends[0] >= ends[1] >= ends[2]
    if fitness == "LL":  # balance leaves little to find where all cores are full
        assert ends[2] < ends[0]


@settings(max_examples=40, deadline=None)
@given(small(), st.integers(0, 99))
def test_mutations_keep_the_books(problem: LayerCopiesProblem, seed: int) -> None:
    search = Search(problem, problem.windows(9), "HT", 10, seed)
    assert search.room.sum() == problem.arrays
    for each in search.start():
        child = each
        for _ in range(20):
            child = search.mutated(child)
            assert (child.held >= 0).all()
            assert (child.held.sum(axis=0) == child.copies * problem.groups).all()
            assert (child.held @ problem.group_arrays <= search.room).all()
            assert (child.copies <= problem.windows(9)).all()


def test_annealing_starts_in_proportion_and_keeps_the_best() -> None:
    problem = layers(60, [1, 1], [4, 1])
    windows = problem.windows(10)
    start = in_proportion(problem, windows)
    assert start.tolist() == [40, 10]
    tight = layers(33, [2, 3], [4, 1])
    found = copy_layers(tight, "pimsyn_sa", windows=16, seed=1)
    assert found.effort["energy"] <= found.effort["energy_at_start"]
    assert found.effort["energy"] == energy(tight.windows(16), found.copies)
    # exhaustively: of all that are allowed none has less
    best = min(
        energy(tight.windows(16), c)
        for a in range(1, 17)
        for b in range(1, 12)
        if allowed(tight, tight.windows(16), c := np.array([a, b]))
    )
    assert found.effort["energy"] == best


def test_no_layer_has_much_fewer_copies_than_the_next() -> None:
    problem = layers(100, [1, 1])
    windows = problem.windows(30)
    assert allowed(problem, windows, np.array([6, 10]))
    assert not allowed(problem, windows, np.array([5, 10]))
    assert not allowed(problem, windows, np.array([31, 10]))


def test_bad_problems_options_and_answers_are_refused() -> None:
    for change in (
        {"groups": np.array([0])},
        {"uses": np.array([1, 1])},
        {"group_arrays": np.array([9])},
        {"arrays": 1},
    ):
        fields = {
            "groups": np.array([1]), "group_arrays": np.array([2]), "uses": np.array([1]), "arrays": 9,
            "core_arrays": 8,
        } | change  # fmt: skip
        with pytest.raises(PassError) as caught:
            LayerCopiesProblem(**fields)  # type: ignore[arg-type]
        assert caught.value.code == "mapping.bad-problem"
    problem = layers(50, [2])
    for policy, options in (
        ("pimcomp", {"replicator": "best"}),
        ("pimcomp", {"windows": 0}),
        ("pimcomp", {"margin": 1.0}),
        ("pimcomp", {"replicator": "genetic", "fitness": "XX"}),
        ("pimcomp", {"replicator": "genetic", "generations": -1}),
        ("pimcomp", {"replicator": "genetic", "population": 0}),
        ("pimsyn_sa", {"tries": -1}),
    ):
        with pytest.raises(PassError) as caught:
            copy_layers(problem, policy, **options)  # type: ignore[arg-type]
        assert caught.value.code == "mapping.bad-option"
    assert set(REPLICATORS) == {"balance", "W0H0", "uniform", "genetic"}
    assert copy_policies() == ("pimcomp", "pimsyn_sa")
    with COPY_POLICIES.restored():
        COPY_POLICIES.register("all", lambda p, /, *, seed: LayerCopies(np.full(p.layers, 99)), origin="me")
        with pytest.raises(PassError) as caught:
            copy_layers(problem, "all")
    assert caught.value.code == "mapping.invalid-solution"
