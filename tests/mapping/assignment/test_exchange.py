"""Moves and swaps between bins, against all of them one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cimc.mapping.assignment.balance import balance, excess, levelling, rank_pairs
from cimc.mapping.assignment.bounds import bottleneck_bound
from cimc.mapping.assignment.exchange import Layout, Moves, best_moves, bin_loads
from cimc.mapping.assignment.judge import evaluate
from tests.mapping.assignment.placement_instances import exhaustive, planted, problems


@settings(max_examples=40)
@given(problems(max_items=5, max_bins=3), st.data())
def test_the_best_exchange_of_a_pair_of_bins(problem, data) -> None:  # type: ignore[no-untyped-def]
    every = exhaustive(problem)[0]
    assume(len(every) and problem.n_bins > 1 and problem.n_items)
    layout = Layout(problem, every[data.draw(st.integers(0, len(every) - 1))])
    before = layout.load.copy()
    score = levelling(layout.load)
    moves, tried = best_moves(layout, np.array([0]), np.array([1]), score)
    none = problem.n_items
    best = -np.inf
    mine, other = ([*np.flatnonzero(layout.assignment == b).tolist(), none] for b in (0, 1))
    for a in mine:
        for b in other:
            moved = layout.item_load[a] - layout.item_load[b]
            units = layout.item_size[a] - layout.item_size[b]
            if -layout.room[0] <= units <= layout.room[1]:
                best = max(best, float(score(np.array([0]), np.array([1]), moved, moved)[0]))
    assert moves.score[0] == best
    assert tried >= len(mine) * len(other)
    accepted = moves.accepted()
    layout.exchange(accepted)
    assert evaluate(problem, layout.assignment).violations == ()
    assert max(layout.load[:2]) <= max(before[:2]) + 1e-9
    assert accepted.left.size == (best > 0)


def test_members_of_a_full_bin_are_spread_evenly() -> None:
    problem = planted(1, 10)
    layout = Layout(problem, np.zeros(10, np.int64))
    shown = layout.members(np.array([0]), 5, 0)[0]
    by_load = np.argsort(-problem.load, kind="stable")
    assert shown[0] == problem.n_items  # no item
    assert shown[1:].tolist() == by_load[::2].tolist()
    assert layout.members(np.array([0]), 5, 1)[0][1:].tolist() == by_load[1::2].tolist()


def test_the_first_of_the_best_moves() -> None:
    two, items, score = np.array([0, 1]), np.array([3, 4]), np.array([2.0, 2.0])
    best = Moves(two, two + 2, items, items, score).best()
    assert (best.left.tolist(), best.first.tolist(), best.score.tolist()) == ([0], [3], [2.0])


def test_heavy_bins_meet_light_ones_of_their_group() -> None:
    load = np.array([5.0, 1.0, 4.0, 2.0, 9.0, 8.0])
    heavy, light = rank_pairs(load, np.array([0, 0, 0, 0, 1, 1]), 0)
    assert list(zip(heavy.tolist(), light.tolist(), strict=True)) == [(0, 1), (2, 3), (4, 5)]
    shifted = rank_pairs(load, np.array([0, 0, 0, 0, 1, 1]), 1)
    assert list(zip(*(s.tolist() for s in shifted), strict=True)) == [(0, 3), (2, 1), (4, 5)]
    assert excess(load, 4.0) == 1 + 5 + 4


def test_balance_reaches_a_planted_optimum_and_keeps_capacities() -> None:
    problem = planted(6, 12, spare=12, seed=3)
    start = np.repeat(np.arange(6), 12)  # as many items on each bin, sizes as they come
    start = start if not evaluate(problem, start).violations else np.argsort(np.argsort(problem.size)) % 6
    assert evaluate(problem, start).violations == ()
    bound = bottleneck_bound(problem)
    found = balance(problem, start, target=bound * 1.001, effort=10**7)
    after = evaluate(problem, found.assignment)
    assert after.violations == ()
    assert after.bottleneck <= bound * 1.001
    assert found.moves_made > 0
    assert bin_loads(problem, found.assignment).max() == after.bottleneck


def test_balance_without_effort_or_choice_changes_nothing() -> None:
    problem = planted(3, 4, spare=99)
    start = np.zeros(12, np.int64)
    idle = balance(problem, start, target=0.0, effort=0)
    assert (idle.assignment.tolist(), idle.moves_made) == (start.tolist(), 0)
    single = planted(1, 4)
    assert balance(single, np.zeros(4, np.int64), target=0.0, effort=99).rounds == 0
