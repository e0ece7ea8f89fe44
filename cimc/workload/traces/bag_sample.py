"""Whole bags within a limit: of too many a random share, of each its distinct rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cimc.support.random.draws import bits
from cimc.support.random.splitmix import key_of
from cimc.support.row_bags import RowBags

Ids = NDArray[np.int64]

LONGEST = 1024
"""Bags of more rows are left out: they touch most arrays in any order, and work grows with the square."""


class BagSample:
    """Keeps bags of 2 to :data:`LONGEST` distinct rows, as many as have ``limit`` rows together.

    Bag number b is kept where a random word of b is below a threshold.  The threshold is halved whenever
    there are too many, so that what is kept depends on the bags alone and not on how they come in chunks.
    Bags of one row say nothing about what is read together, and take no room.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._key = limit, key_of(0, "bags of a trace")
        self._parts: list[tuple[Ids, Ids, NDArray[np.uint64]]] = []  # rows, lengths, words
        self._held = self._seen = 0
        self._halvings = 0

    def add(self, ids: Ids, starts: Ids) -> None:
        """Look at the bags ``ids[starts[i]:starts[i + 1]]``, the next ones of the table."""
        number = np.arange(self._seen, self._seen + len(starts) - 1, dtype=np.int64)
        self._seen += len(number)
        word = bits(self._key, number)
        lengths = np.diff(starts)
        self._take(ids, lengths, word, (lengths >= 2) & self._below(word))
        while self._held > self._limit:
            self._halvings += 1
            before, self._parts, self._held = self._parts, [], 0
            for rows, sizes, words in before:
                self._take(rows, sizes, words, self._below(words), distinct=True)

    def _below(self, word: NDArray[np.uint64]) -> NDArray[np.bool_]:
        if self._halvings > 63:
            return np.zeros(len(word), np.bool_)
        return word >> np.uint64(64 - self._halvings) == 0 if self._halvings else np.ones(len(word), np.bool_)

    def _take(
        self,
        ids: Ids,
        lengths: Ids,
        word: NDArray[np.uint64],
        chosen: NDArray[np.bool_],
        *,
        distinct: bool = False,
    ) -> None:
        of = np.repeat(np.arange(len(lengths)), lengths)
        mine = chosen[of]
        rows, of = ids[mine], of[mine]
        if not distinct:
            order = np.lexsort((rows, of))
            rows, of = rows[order], of[order]
            first = np.ones(len(rows), np.bool_)
            first[1:] = (rows[1:] != rows[:-1]) | (of[1:] != of[:-1])
            rows, of = rows[first], of[first]
        sizes = np.bincount(of, minlength=len(lengths))
        fitting = (sizes >= 2) & (sizes <= LONGEST)
        if fitting.any():
            self._parts.append((rows[fitting[of]], sizes[fitting], word[fitting]))
            self._held += int(sizes[fitting].sum())

    def result(self) -> RowBags:
        """The bags that were kept, in their order."""
        none = np.zeros(0, np.int64)
        rows, lengths = (np.concatenate([none, *(part[k] for part in self._parts)]) for k in (0, 1))
        return RowBags.of_lengths(rows, lengths)
