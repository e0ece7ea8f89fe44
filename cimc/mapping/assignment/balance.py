"""Local search on the bottleneck: exchange items between heavy and light bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimc.mapping.assignment.exchange import Layout, Score, best_moves
from cimc.mapping.assignment.problem import PlacementProblem
from cimc.mapping.dtypes import FloatArray, IntArray

# Bulk rounds end after this many in a row that each remove less than this share of the excess load.
_PATIENCE = 5
_STALL = 1e-2
_ROUNDS = 200
_CANDIDATES = 64
# Bringing the layout up to date after a single move costs about as much as scoring this many
# candidates for each item; counted as such, so that the effort is honest on large problems.
_REFRESH = 4


@dataclass(frozen=True, eq=False)
class Searched:
    """The assignment found and what it took."""

    assignment: IntArray
    moves_tried: int
    moves_made: int
    rounds: int


def balance(problem: PlacementProblem, assignment: IntArray, *, target: float, effort: int) -> Searched:
    """Lower the largest bin load by moves and swaps until it is at most ``target``.

    First rounds in which every heavy bin meets a light one, all pairs at once; then single moves that
    each improve the heaviest bin, until it cannot be improved with any other bin.

    Args:
        problem: the problem.
        assignment: int64[n], complete and within capacity.
        target: stop at this bottleneck.
        effort: stop after this many candidates were scored.
    """
    layout = Layout(problem, assignment)
    if problem.n_items == 0 or problem.n_bins < 2:
        return Searched(layout.assignment, 0, 0, 0)
    everywhere = np.zeros(problem.n_bins, dtype=np.int64)
    tried, made, rounds = _in_bulk(layout, everywhere, target, effort)
    more_tried, more_made = _heaviest_bin(layout, target, effort - tried)
    return Searched(layout.assignment, tried + more_tried, made + more_made, rounds)


def levelling(load: FloatArray) -> Score:
    """Score: by how much the larger load of the two bins falls."""
    tiny = 1e-12 * float(load.max(initial=0.0))

    def score(
        left: IntArray, right: IntArray, load_moved: FloatArray, traffic_moved: FloatArray
    ) -> FloatArray:
        # The pair is level when half of its difference has moved; distance from that is what is left.
        half = (load[left] - load[right]) / 2
        return np.abs(half) - np.abs(half - load_moved) - tiny

    return score


def _in_bulk(layout: Layout, group: IntArray, target: float, effort: int) -> tuple[int, int, int]:
    tried = made = stalled = 0
    above = excess(layout.load, target)
    for rounds in range(_ROUNDS):
        if above == 0.0 or tried >= effort or stalled >= _PATIENCE:
            return tried, made, rounds
        heavy, light = rank_pairs(layout.load, group, rounds)
        moves, scored = best_moves(layout, heavy, light, levelling(layout.load), offset=rounds)
        moves = moves.accepted()
        layout.exchange(moves)
        tried, made = tried + scored, made + moves.left.size
        before, above = above, excess(layout.load, target)
        stalled = stalled + 1 if before - above < _STALL * before else 0
    return tried, made, _ROUNDS


def excess(load: FloatArray, target: float) -> float:
    """The load above ``target``, over all bins: unlike the largest load it shows every bin's progress."""
    return float(np.sum(np.maximum(load - target, 0.0)))


def rank_pairs(load: FloatArray, group: IntArray, shift: int) -> tuple[IntArray, IntArray]:
    """Within each group the heaviest bin with the lightest, the second with the second, and so on.

    Args:
        load: float64[m], load of each bin.
        group: int64[m], 0-based group of each bin.
        shift: moves the light half by up to seven places, so that two bins that cannot help each
            other do not meet in every round.

    Returns:
        int64[p] heavy and int64[p] light bins, all different.
    """
    order = np.lexsort((-load, group))
    count = np.bincount(group)
    start = np.cumsum(count) - count
    half = count // 2
    owner = np.repeat(np.arange(count.size), half)
    rank = np.arange(owner.size) - np.repeat(np.cumsum(half) - half, half)
    partner = (rank + shift % np.minimum(7, np.maximum(half[owner], 1))) % np.maximum(half[owner], 1)
    heavy = order[start[owner] + rank]
    light = order[start[owner] + count[owner] - 1 - partner]
    return heavy, light


def _heaviest_bin(layout: Layout, target: float, effort: int) -> tuple[int, int]:
    tried = made = 0
    while tried < effort:
        heaviest = int(np.argmax(layout.load))
        if layout.load[heaviest] <= target:
            break
        by_load = np.argsort(layout.load, kind="stable")
        others = by_load[by_load != heaviest]
        # A few light bins are enough most of the time; all of them only when they are not.
        for chosen in (others[:_CANDIDATES], others[_CANDIDATES:]):
            if chosen.size == 0:
                continue
            left = np.full(chosen.size, heaviest)
            moves, scored = best_moves(layout, left, chosen, levelling(layout.load), offset=made)
            tried += scored
            best = moves.best()
            if best.score[0] > 0:
                layout.exchange(best)
                made += 1
                tried += _REFRESH * layout.problem.n_items
                break
        else:
            break
    return tried, made
