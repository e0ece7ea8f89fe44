"""Bisect rows so that bags meet few arrays, and cut bags to one side of a bisection."""

from __future__ import annotations

import numpy as np

from cimc.mapping.dtypes import BoolArray, FloatArray, IntArray
from cimc.support.jit import jit
from cimc.support.random.splitmix_jit import State, below

_CHANCES = 1 << 30


@jit
def powers(base: float, count: int) -> FloatArray:
    """base^0 .. base^(count - 1) by products, which round alike on every machine."""
    found = np.ones(count)
    for k in range(1, count):
        found[k] = found[k - 1] * base
    return found


@jit
def bisect(
    bag_start: IntArray,
    bag_row: IntArray,
    weight: IntArray,
    right: BoolArray,
    left_parts: int,
    right_parts: int,
    p: float,
    rounds: int,
    chance: float,
    state: State,
) -> float:
    """Swap rows between two sides as long as that pays; see ``cimc.mapping.social_hash.shp``.

    Args:
        bag_start: int64[bags + 1], first entry of each bag in ``bag_row``.
        bag_row: int64[k], rows of the bags.
        weight: int64[bags].
        right: bool[n], the side of each row; set to the best that was found.
        left_parts, right_parts: arrays that each side is still to be cut into.
        p: of the objective.
        rounds: of swaps, at most.
        chance: of a row to take part in a round.
        state: of the random numbers.

    Returns:
        The objective of the best sides.
    """
    n, bags = right.size, bag_start.size - 1
    longest = 0
    for b in range(bags):
        longest = max(longest, bag_start[b + 1] - bag_start[b])
    of_left = powers(1.0 - p / left_parts, longest + 1)
    of_right = powers(1.0 - p / right_parts, longest + 1)
    limit = int(chance * _CHANCES)
    best, found = np.inf, right.copy()
    saved = np.empty(n)
    mine, theirs = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    for turn in range(rounds + 1):
        cost = 0.0
        saved[:] = 0.0
        for b in range(bags):
            there = 0
            for e in range(bag_start[b], bag_start[b + 1]):
                there += right[bag_row[e]]
            here = bag_start[b + 1] - bag_start[b] - there
            w = weight[b]
            cost += w * (left_parts * (1.0 - of_left[here]) + right_parts * (1.0 - of_right[there]))
            # what a row saves by leaving one side, less what it costs on the other, over p
            to_right = w * (of_left[here - 1] - of_right[there]) if here > 0 else 0.0
            to_left = w * (of_right[there - 1] - of_left[here]) if there > 0 else 0.0
            for e in range(bag_start[b], bag_start[b + 1]):
                row = bag_row[e]
                saved[row] += to_left if right[row] else to_right
        if cost < best:
            best = cost
            found[:] = right
        if turn == rounds:
            break
        a, z = 0, 0
        for row in range(n):
            if below(state, _CHANCES) < limit:
                if right[row]:
                    theirs[z] = row
                    z += 1
                else:
                    mine[a] = row
                    a += 1
        left_order = mine[:a][np.argsort(-saved[mine[:a]], kind="mergesort")]
        right_order = theirs[:z][np.argsort(-saved[theirs[:z]], kind="mergesort")]
        swaps = 0
        for k in range(min(a, z)):
            if saved[left_order[k]] + saved[right_order[k]] <= 0.0:
                break
            right[left_order[k]] = True
            right[right_order[k]] = False
            swaps += 1
        if swaps == 0 and limit >= _CHANCES:
            break
    right[:] = found
    return best
