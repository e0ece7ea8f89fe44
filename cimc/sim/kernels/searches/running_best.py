"""The best items so far of many requests, kept while scores are made: lists of hits, block after block.

What a list is says :mod:`cimc.interpreter.hits`, which also does the same without compiled loops.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cimc.interpreter import hits
from cimc.sim.kernels.availability import backend

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]


class Running:
    """Lists of ``k`` hits of ``requests``; items come in the order of their ids.

    Sums cross the bus in ``width`` bits, the lowest ``shift`` rounded off.
    """

    def __init__(self, requests: int, k: int, width: int = 32, shift: int = 0) -> None:
        self.width, self.shift = width, shift
        self.scores: Floats = np.full((requests, k), -np.inf, np.float32)
        self.ids: Ints = np.full((requests, k), hits.NONE, np.int32)

    def add(self, sums: Ints, first: int, factors: Floats | None, biases: Floats | None) -> None:
        """Sums ``[requests, n]`` of items ``first ..``; biases only with factors, each ``[n]`` if any.

        :func:`~cimc.interpreter.hits.as_sums` and :func:`~cimc.interpreter.hits.as_scores` say what they
        become.
        """
        if backend() == "numba":
            from cimc.sim.kernels.searches.best_loops import keep_best

            none, high = np.zeros(0, np.float32), (1 << (self.width - 1)) - 1
            keep_best(
                sums, first, none if factors is None else factors, none if biases is None else biases,
                (factors is not None) + (biases is not None), self.shift, -high - 1, high, self.scores,
                self.ids,
            )  # fmt: skip
            return
        scores = hits.as_scores(hits.as_sums(sums, self.width, self.shift), factors, biases)
        found = hits.merged(self.lists(), hits.best(scores, first, self.ids.shape[1]))
        self.scores, self.ids = hits.scores_of(found), np.ascontiguousarray(hits.ids_of(found))

    def lists(self) -> Ints:
        """All of them, ``[requests, 2 k]``."""
        return hits.joined(self.scores, self.ids)


class AllScores:
    """All scores of many requests, ``[requests, items]``: for whoever judges what was chosen."""

    def __init__(self, scores: Floats, width: int = 32, shift: int = 0) -> None:
        self.scores, self.width, self.shift = scores, width, shift

    def add(self, sums: Ints, first: int, factors: Floats | None, biases: Floats | None) -> None:
        """Fill in the scores of items ``first ..``; arguments as for :meth:`Running.add`."""
        made = hits.as_scores(hits.as_sums(sums, self.width, self.shift), factors, biases)
        self.scores[:, first : first + sums.shape[1]] = made


Sink = Running | AllScores
"""What takes in sums."""


def merged(one: Ints, other: Ints) -> Ints:
    """The best of two lists of different items; see :func:`cimc.interpreter.hits.merged`."""
    if backend() != "numba":
        return hits.merged(one, other)
    from cimc.sim.kernels.searches.best_loops import merge_lists

    scores, ids = np.empty(_half(one), np.float32), np.empty(_half(one), np.int32)
    merge_lists(hits.scores_of(one), hits.ids_of(one), hits.scores_of(other), hits.ids_of(other), scores, ids)
    return hits.joined(scores, ids)


def _half(lists: Ints) -> tuple[int, int]:
    return len(lists), lists.shape[1] // 2
