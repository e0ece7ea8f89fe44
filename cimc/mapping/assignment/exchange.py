"""Moves and swaps between pairs of bins, scored for many pairs at once.

Both local searches (balance, hops) are this kernel with a different score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cimc.mapping.assignment.problem import PlacementProblem
from cimc.mapping.dtypes import FloatArray, IntArray

# Candidate exchanges held in memory at once.
_BLOCK = 1_000_000
# At least this many items of each bin are looked at; more where the pairs are few.
_LEAST_WIDTH = 48


def bin_loads(problem: PlacementProblem, assignment: IntArray) -> FloatArray:
    """float64[m]: the load of each bin under a complete ``assignment``."""
    load = np.bincount(assignment, weights=problem.load, minlength=problem.n_bins)
    return load.astype(np.float64, copy=False)


class Layout:
    """An assignment with the load and the room of every bin kept up to date."""

    def __init__(self, problem: PlacementProblem, assignment: IntArray) -> None:
        self.problem = problem
        self.assignment = assignment.astype(np.int64)
        self.load: FloatArray
        self.room: IntArray
        self._order: IntArray
        self._start: IntArray
        self.count: IntArray
        # Index n stands for "no item", so that a move is a swap with nothing.
        self.item_load = np.append(problem.load, 0.0)
        self.item_size = np.append(problem.size, 0)
        self.item_traffic = np.append(problem.traffic, 0.0)
        self._by_load = np.argsort(-problem.load, kind="stable")
        self.refresh()

    def refresh(self) -> None:
        """Recompute everything from the assignment (sums never drift)."""
        m = self.problem.n_bins
        self.load = bin_loads(self.problem, self.assignment)
        used = np.zeros(m, dtype=np.int64)
        np.add.at(used, self.assignment, self.problem.size)
        self.room = self.problem.capacity - used
        # By load within each bin, so that an evenly spaced choice of items has all kinds.
        self._order = self._by_load[np.argsort(self.assignment[self._by_load], kind="stable")]
        self.count = np.bincount(self.assignment, minlength=m)
        self._start = np.cumsum(self.count) - self.count

    def members(self, bins: IntArray, width: int, offset: int) -> IntArray:
        """int64[len(bins), width + 1]: items of each bin, first column and padding "no item".

        A bin with more than ``width`` items shows ``width`` of them, evenly spaced; ``offset`` selects
        which ones.
        """
        count = self.count[bins][:, None]
        k = np.arange(width)[None, :]
        spread = (k * np.maximum(count, width)) // width
        position = np.where(count > width, (spread + offset) % np.maximum(count, 1), k)
        at = np.minimum(self._start[bins][:, None] + position, max(0, self._order.size - 1))
        none = self.problem.n_items
        items = np.where(k < count, self._order[at], none) if none else np.full(at.shape, 0)
        return np.concatenate((np.full((bins.size, 1), none), items), axis=1)

    def exchange(self, moves: Moves) -> None:
        """Apply moves between disjoint pairs of bins."""
        none = self.problem.n_items
        for items, target in ((moves.first, moves.right), (moves.second, moves.left)):
            real = items != none
            self.assignment[items[real]] = target[real]
        self.refresh()


@dataclass(frozen=True, eq=False)
class Moves:
    """For each pair of bins (left, right): item ``first`` goes right, item ``second`` goes left.

    All arrays have one entry per pair; item n is "no item"; ``score`` <= 0 means "better not".
    """

    left: IntArray
    right: IntArray
    first: IntArray
    second: IntArray
    score: FloatArray

    def accepted(self) -> Moves:
        """Only the moves with a positive score."""
        keep = self.score > 0
        return Moves(self.left[keep], self.right[keep], self.first[keep], self.second[keep], self.score[keep])

    def best(self) -> Moves:
        """Only the move with the highest score (the first of equal ones)."""
        at = int(np.argmax(self.score))
        k = slice(at, at + 1)
        return Moves(self.left[k], self.right[k], self.first[k], self.second[k], self.score[k])


# (left bins, right bins, load moved right, traffic moved right) -> score; the bins have shape
# [pairs, 1, 1], what is moved has shape [pairs, items left, items right].
Score = Callable[[IntArray, IntArray, FloatArray, FloatArray], FloatArray]


def best_moves(
    layout: Layout, left: IntArray, right: IntArray, score: Score, *, offset: int = 0
) -> tuple[Moves, int]:
    """The best exchange of at most one item each way, for each pair of bins.

    Args:
        layout: the assignment.
        left, right: int64[p], the bins of each pair.
        score: value of each candidate; those without room are excluded here.
        offset: rotates which items are looked at, where a bin has more than there is effort for.

    Returns:
        One move per pair, and the number of candidates scored.
    """
    width = max(_LEAST_WIDTH, int(np.sqrt(_BLOCK / max(1, left.size))))
    first = np.full(left.size, layout.problem.n_items)
    second, value = first.copy(), np.full(left.size, -np.inf)
    widths = np.minimum(np.maximum(layout.count[left], layout.count[right]), width)
    by_width = np.argsort(widths, kind="stable")
    tried, at = 0, 0
    while at < left.size:
        # Pairs of like width together, so that padding stays small.
        rows = int(widths[by_width[at : at + 1]][0]) + 1
        chunk = by_width[at : at + max(1, _BLOCK // (rows * rows * 2))]
        w = int(widths[chunk].max())
        at += chunk.size
        a, b = left[chunk], right[chunk]
        items_a, items_b = layout.members(a, w, offset), layout.members(b, w, offset)
        flat, best = _score_block(layout, a, b, items_a, items_b, score)
        first[chunk] = items_a[np.arange(chunk.size), flat // (w + 1)]
        second[chunk] = items_b[np.arange(chunk.size), flat % (w + 1)]
        value[chunk] = best
        tried += chunk.size * (w + 1) ** 2
    return Moves(left, right, first, second, value), tried


def _score_block(
    layout: Layout, a: IntArray, b: IntArray, items_a: IntArray, items_b: IntArray, score: Score
) -> tuple[IntArray, FloatArray]:
    def moved(values: FloatArray) -> FloatArray:
        return values[items_a][:, :, None] - values[items_b][:, None, :]

    units = layout.item_size[items_a][:, :, None] - layout.item_size[items_b][:, None, :]
    fits = (units >= -layout.room[a][:, None, None]) & (units <= layout.room[b][:, None, None])
    values = score(a[:, None, None], b[:, None, None], moved(layout.item_load), moved(layout.item_traffic))
    values = np.where(fits, values, -np.inf).reshape(a.size, -1)
    flat = np.argmax(values, axis=1)
    return flat, values[np.arange(a.size), flat]
