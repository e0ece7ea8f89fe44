"""How many pairs of rows bags hold, and how often the most frequent one: counted row by row, no pair kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from cimc.support.jit import jit
from cimc.support.row_bags import RowBags


def pairs_in(bags: RowBags) -> tuple[int, int]:
    """Different pairs of rows that bags hold, and how often the most frequent of them was seen.

    Time grows with the sum of the squares of the bags' lengths, memory with their sum.
    """
    if not len(bags):
        return 0, 0
    distinct, rank = np.unique(bags.rows, return_inverse=True)
    ranked = RowBags(rank.astype(np.int64, copy=False), bags.starts, bags.weights)
    pairs, most = _kernel()(ranked.starts, ranked.rows, ranked.weights, *ranked.by_row(len(distinct)))
    return int(pairs), int(most)


def _count(bag_start: Any, bag_row: Any, weight: Any, row_start: Any, row_bag: Any) -> tuple[int, int]:
    n = len(row_start) - 1
    seen = np.zeros(n, np.int64)  # bags with the row at hand and each later one
    found = np.empty(n, np.int64)
    pairs, most = 0, 0
    for row in range(n):
        number = 0
        for e in range(row_start[row], row_start[row + 1]):
            bag = row_bag[e]
            for k in range(bag_start[bag], bag_start[bag + 1]):
                other = bag_row[k]
                if other > row:
                    if seen[other] == 0:
                        found[number] = other
                        number += 1
                    seen[other] += weight[bag]
        pairs += number
        for k in range(number):
            most = max(most, seen[found[k]])
            seen[found[k]] = 0
    return pairs, most


@cache
def _kernel() -> Callable[..., tuple[int, int]]:
    return jit(_count)
