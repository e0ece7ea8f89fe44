"""Local search on the hops under a limit on the bin loads: first mend what is over it, then descend."""

from __future__ import annotations

import numpy as np

from cimc.mapping.balance import Searched, excess
from cimc.mapping.exchange import Layout, Moves, Score, best_moves
from cimc.mapping.problem import FloatArray, IntArray, PlacementProblem

# The descent ends when this many rounds together save less than this share of the hops.
_PATIENCE = 10
_PROGRESS = 1e-4
# Bins meet others whose rank by distance is this close, as a share of all bins.  Nearby bins mend an
# overload at little cost in hops; what they cannot take moves further.
_MENDING_WINDOWS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
# A window is given up for the next after this many rounds in a row that each remove less than this
# share of the overload; at the end what is left meets the bins with the most room below the limit.
_MENDING_PATIENCE = 4
_MENDING_PROGRESS = 0.05
_MENDING_ROUNDS = 100
_DESCENT_WINDOWS = (0.05, 0.2, 1.0)
# Single exchanges of the most overloaded bin with any other, after the rounds in pairs.
_SINGLES = 50
# What one of them costs beside its candidates, in candidates per item.
_REFRESH = 4


def descend(
    problem: PlacementProblem, assignment: IntArray, *, limit: float, rounds: int, effort: int, seed: int
) -> Searched:
    """Fewer hops by moves and swaps, at bin loads of at most ``limit``.

    In each round all bins meet in random pairs, and every pair makes its best exchange.  Loads above
    the limit are mended first, at the least cost in hops that the pairs offer; it may not succeed, so
    the caller looks at the bottleneck of what comes back.

    Args:
        problem: the problem.
        assignment: int64[n], complete and within capacity.
        limit: largest load that a bin should have.
        rounds: stop the descent after this many rounds.
        effort: stop after this many candidates were scored.
        seed: of the random pairs.
    """
    layout = Layout(problem, assignment)
    if problem.n_items == 0 or problem.n_bins < 2:
        return Searched(layout.assignment, 0, 0, 0)
    pairs = _Pairs(problem, seed)
    tried, made = _mend(layout, pairs, limit, effort)
    done, cost = 0, [_hops(layout)]
    while done < rounds and tried < effort:
        left, right = pairs.draw(_DESCENT_WINDOWS[done % len(_DESCENT_WINDOWS)])
        moves, scored = best_moves(layout, left, right, _shorter(layout, limit), offset=done)
        moves = moves.accepted()
        layout.exchange(moves)
        tried, made, done = tried + scored, made + moves.left.size, done + 1
        cost.append(_hops(layout))
        if done >= _PATIENCE and cost[-1 - _PATIENCE] - cost[-1] <= _PROGRESS * cost[-1]:
            break
    return Searched(layout.assignment, tried, made, done)


class _Pairs:
    """Random disjoint pairs of bins at similar distances."""

    def __init__(self, problem: PlacementProblem, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        order = np.argsort(problem.distance, kind="stable")
        self._rank = np.empty(order.size)
        self._rank[order] = np.arange(order.size)

    def draw(self, window: float) -> tuple[IntArray, IntArray]:
        """Pairs whose ranks by distance differ by up to about ``window`` (a share of all bins)."""
        m = self._rank.size
        # At least a few bins wide, or small problems would meet the same neighbour again and again.
        jitter = max(window * m, 4.0) * self._random.random(m)
        order = np.argsort(self._rank + jitter, kind="stable")
        return order[: m - m % 2 : 2], order[1::2]

    def heavy_light(self, load: FloatArray, limit: float) -> tuple[IntArray, IntArray]:
        """The bins above ``limit``, heaviest first, each with a random one of the lightest bins."""
        order = np.argsort(-load, kind="stable")
        over = min(int(np.count_nonzero(load > limit)), load.size // 2)
        # Among twice as many light bins as needed, so that the partners differ from round to round.
        light = order[max(over, load.size - 2 * over) :]
        return order[:over], self._random.permutation(light)[:over]


def _mend(layout: Layout, pairs: _Pairs, limit: float, effort: int) -> tuple[int, int]:
    """Work off loads above ``limit``: in pairs, ever further apart, then the worst bin with any other."""
    tried = made = 0
    for window in (*_MENDING_WINDOWS, None):
        stalled = 0
        for turn in range(_MENDING_ROUNDS):
            before = excess(layout.load, limit)
            if before == 0.0 or tried >= effort:
                return tried, made
            if stalled >= _MENDING_PATIENCE:
                break
            left, right = pairs.heavy_light(layout.load, limit) if window is None else pairs.draw(window)
            over = (layout.load[left] > limit) | (layout.load[right] > limit)
            moves, scored = best_moves(layout, left[over], right[over], _lighter(layout, limit), offset=turn)
            moves = moves.accepted()
            layout.exchange(moves)
            tried, made = tried + scored, made + moves.left.size
            slow = before - excess(layout.load, limit) < _MENDING_PROGRESS * before
            stalled = stalled + 1 if slow else 0
    for turn in range(_SINGLES):
        worst = int(np.argmax(layout.load))
        if layout.load[worst] <= limit or tried >= effort:
            break
        others = np.flatnonzero(np.arange(layout.load.size) != worst)
        left = np.full(others.size, worst)
        moves, scored = best_moves(layout, left, others, _lighter(layout, limit), offset=turn)
        best: Moves = moves.best()
        tried += scored + _REFRESH * layout.problem.n_items
        if best.score[0] <= 0:
            break
        layout.exchange(best)
        made += 1
    return tried, made


def _hops(layout: Layout) -> float:
    return float(np.sum(layout.problem.traffic * layout.problem.distance[layout.assignment]))


def _shorter(layout: Layout, limit: float) -> Score:
    """Score: the hops saved, if neither bin ends above the limit (or above where it was)."""
    problem, load = layout.problem, layout.load
    distance = problem.distance
    tiny = 1e-12 * float(problem.traffic.max(initial=0.0)) * float(distance.max())
    ceiling = np.maximum(load, limit)

    def score(
        left: IntArray, right: IntArray, load_moved: FloatArray, traffic_moved: FloatArray
    ) -> FloatArray:
        saved = traffic_moved * (distance[left] - distance[right]) - tiny
        allowed = (load[left] - load_moved <= ceiling[left]) & (load[right] + load_moved <= ceiling[right])
        return np.where(allowed, saved, -np.inf)

    return score


def _lighter(layout: Layout, limit: float) -> Score:
    """Score: the overload removed, less the hops it costs at a price where hops count second."""
    problem, load = layout.problem, layout.load
    distance = problem.distance
    # What a unit of average load costs at the longest distance, ten times over.
    per_load = float(problem.traffic.sum()) / float(problem.load.sum())
    price = 10.0 * per_load * max(1.0, float(distance.max()))

    def score(
        left: IntArray, right: IntArray, load_moved: FloatArray, traffic_moved: FloatArray
    ) -> FloatArray:
        def over(moved: FloatArray | float) -> tuple[FloatArray, FloatArray]:
            one = np.maximum(load[left] - moved - limit, 0.0)
            other = np.maximum(load[right] + moved - limit, 0.0)
            return one + other, np.maximum(one, other)

        (total, worst), (total_after, worst_after) = over(0.0), over(load_moved)
        removed = (total - total_after) + (worst - worst_after)
        saved = traffic_moved * (distance[left] - distance[right])
        mends = (total_after <= total) & (worst_after < worst * (1 - 1e-9))
        return np.where(mends, np.maximum(price * removed + saved, 1e-300), -np.inf)

    return score
