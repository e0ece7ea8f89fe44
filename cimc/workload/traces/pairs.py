"""Rows that bags hold together: exact counts among a given set of rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.support.jit import jit

Ids = NDArray[np.int64]

_PAIR_BYTES = 4 + 9  # a count, and what finding the most frequent ones takes beside it


def rows_that_fit(wanted: int, room: int) -> int:
    """The most rows, up to ``wanted``, whose pair counts fit ``room`` bytes."""
    fitting = int((1 + (1 + 8 * max(room, 0) / _PAIR_BYTES) ** 0.5) / 2)
    return max(0, min(wanted, fitting))


class PairCounter:
    """Counts, for every two of ``rows`` (ascending), the bags that hold both.

    A triangle of counts: the pair ``i < j`` of positions in ``rows`` is at ``j (j - 1) / 2 + i``.  A bag
    counts once for a pair, however often it repeats a row.
    """

    def __init__(self, rows: Ids) -> None:
        self._rows = rows
        self._counts = np.zeros(len(rows) * (len(rows) - 1) // 2, np.uint32)

    def add(self, ids: Ids, starts: Ids) -> None:
        """Count the bags ``ids[starts[i]:starts[i + 1]]``."""
        longest = int(np.diff(starts).max(initial=0))
        if longest < 2:
            return
        at = np.searchsorted(self._rows, ids)
        known = self._rows[np.minimum(at, len(self._rows) - 1)] == ids
        _kernel()(np.where(known, at, -1).astype(np.int32), starts, self._counts, np.empty(longest, np.int32))

    def result(self, keep: int) -> tuple[Ids, Ids]:
        """The ``keep`` most frequent pairs of rows ``int64[p, 2]`` and their counts; equal ones by rows."""
        at = np.flatnonzero(self._counts)
        if len(at) > keep:
            counts = self._counts[at]
            least = np.partition(counts, len(counts) - keep)[len(counts) - keep]
            above = at[counts > least]
            at = np.concatenate([above, self._by_rows(at[counts == least])[: keep - len(above)]])
        high, low = _corner(at)
        counts64 = self._counts[at].astype(np.int64)
        order = np.lexsort((high, low, -counts64))
        pairs = np.stack([self._rows[low[order]], self._rows[high[order]]], axis=1)
        return pairs, counts64[order]

    @staticmethod
    def _by_rows(at: NDArray[np.intp]) -> NDArray[np.intp]:
        high, low = _corner(at)
        return at[np.lexsort((high, low))]


def _corner(at: NDArray[np.intp]) -> tuple[Ids, Ids]:
    """The positions ``(j, i)`` behind places of the triangle."""
    high = ((1 + np.sqrt(1 + 8 * at.astype(np.float64))) / 2).astype(np.int64)
    high -= high * (high - 1) // 2 > at  # the root may be rounded to the next integer
    high += (high + 1) * high // 2 <= at
    return high, at - high * (high - 1) // 2


def _count(at: Any, starts: Any, counts: Any, bag: Any) -> None:
    for b in range(len(starts) - 1):
        n = 0  # distinct rows of the bag, ascending; inserting costs no more than the pairs do
        for k in range(starts[b], starts[b + 1]):
            new = at[k]
            if new < 0:
                continue
            i = n
            while i > 0 and bag[i - 1] > new:
                i -= 1
            if i > 0 and bag[i - 1] == new:
                continue
            for j in range(n, i, -1):
                bag[j] = bag[j - 1]
            bag[i] = new
            n += 1
        for j in range(1, n):
            base = np.int64(bag[j]) * (bag[j] - 1) // 2
            for i in range(j):
                counts[base + bag[i]] += 1


@cache
def _kernel() -> Callable[..., None]:
    return jit(_count)
