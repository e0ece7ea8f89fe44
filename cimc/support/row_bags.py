"""Bags of rows of one table as plain arrays: which rows requests read together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RowBags:
    """Bags of distinct rows; bag i is ``rows[starts[i]:starts[i + 1]]`` and was seen ``weights[i]`` times.

    Attributes:
        rows: int64[k], rows of all bags back to back.
        starts: int64[bags + 1], from 0 to k.
        weights: int64[bags], at least 1.
    """

    rows: Ints
    starts: Ints
    weights: Ints

    @classmethod
    def of_lengths(cls, rows: Ints, lengths: Ints, weights: Ints | None = None) -> RowBags:
        """From the lengths of the bags; each was seen once where no weights are given."""
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
        return cls(rows, starts, np.ones(len(lengths), np.int64) if weights is None else weights)

    @classmethod
    def of_pairs(cls, pairs: Ints, counts: Ints) -> RowBags:
        """Bags of two rows each: ``pairs`` int64[p, 2], seen ``counts`` int64[p] times."""
        return cls.of_lengths(pairs.reshape(-1), np.full(len(counts), 2, np.int64), counts)

    @classmethod
    def none(cls) -> RowBags:
        """No bag at all."""
        return cls.of_lengths(np.zeros(0, np.int64), np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def lengths(self) -> Ints:
        """int64[bags], rows of each bag."""
        return np.diff(self.starts)

    @property
    def bag_of(self) -> Ints:
        """int64[k], the bag of each entry of ``rows``."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    def by_row(self, rows: int) -> tuple[Ints, Ints]:
        """The bags of each row: row r is in bags ``bag[start[r]:start[r + 1]]``, ascending.

        Args:
            rows: more than the largest row.

        Returns:
            int64[rows + 1] start and int64[k] bag.
        """
        order = np.argsort(self.rows, kind="stable")
        start = np.zeros(rows + 1, np.int64)
        np.cumsum(np.bincount(self.rows, minlength=rows), out=start[1:])
        return start, self.bag_of[order]

    def renamed(self, name: Ints) -> RowBags:
        """With row r called ``name[r]``; rows whose name is negative go, and bags of less than two rows."""
        named, bag = name[self.rows], self.bag_of
        kept = named >= 0
        lengths = np.bincount(bag[kept], minlength=len(self))
        kept &= (lengths >= 2)[bag]
        return RowBags.of_lengths(named[kept], lengths[lengths >= 2], self.weights[lengths >= 2])
