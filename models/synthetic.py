"""Building blocks of the synthetic click logs: Zipf-skewed ids, bags, topics.

A log never stores its requests: batch ``index`` of a split is a pure function of the seed, the split and
the index (see :func:`stream`), so that training, calibration and evaluation data are disjoint draws and
any part can be made again alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Skew of production access traces over the body of the distribution is 0.82 to 0.87.
ZIPF_EXPONENT = 0.85


class Split(IntEnum):
    """Disjoint parts of a log."""

    TRAIN = 0
    EVALUATE = 1
    CALIBRATE = 2
    PILOT = 3  # only scales the planted effects
    TUNE = 4  # on which defaults are chosen


def stream(seed: int, split: Split, index: int) -> np.random.Generator:
    """The random numbers of batch ``index`` of ``split``, independent of every other batch."""
    return np.random.default_rng([seed, 1 + split, index])


@dataclass(frozen=True)
class Bags:
    """Ids of one feature for a batch: bag ``b`` is ``ids[offsets[b]:offsets[b + 1]]`` of ``B`` bags."""

    ids: Array
    offsets: Array

    @staticmethod
    def single(ids: Array) -> Bags:
        """One id per request."""
        return Bags(ids, np.arange(ids.size + 1, dtype=np.int64))

    @staticmethod
    def of_lengths(ids: Array, lengths: Array) -> Bags:
        return Bags(ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    @property
    def lengths(self) -> Array:
        return np.diff(self.offsets)


class Vocabulary:
    """``rows`` ids whose popularity falls as ``rank ** -exponent``, shuffled so that id order says nothing.

    Ids also carry one of ``topics`` topics, ``rank % topics``: popular and rare ids alike in each.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        rows: int,
        *,
        topics: int = 1,
        exponent: float = ZIPF_EXPONENT,
    ) -> None:
        weights = np.arange(1, rows + 1, dtype=np.float64) ** -exponent
        self.rows = rows
        self.topics = topics if rows >= 4 * topics else 1
        self.id_of_rank = rng.permutation(rows).astype(np.int64)
        self.topic_of_id = np.empty(rows, np.int64)
        self.topic_of_id[self.id_of_rank] = np.arange(rows) % self.topics
        self._upto = np.cumsum(weights) / weights.sum()

    def draw(self, rng: np.random.Generator, topic: Array, focus: float) -> Array:
        """One id per entry of ``topic``; a share ``focus`` of them are of that topic.

        Such a draw moves to the rank of that topic among its ``topics`` neighbours, which keeps the skew
        and makes ids of one topic occur together.
        """
        rank = np.searchsorted(self._upto, rng.random(topic.size), side="right")
        rank = np.minimum(rank, self.rows - 1)
        near = rank - rank % self.topics + topic % self.topics
        moved = (rng.random(topic.size) < focus) & (near < self.rows)
        return self.id_of_rank[np.where(moved, near, rank)]


def bag_lengths(rng: np.random.Generator, size: int, low: int, high: int, empty: float) -> Array:
    """``size`` lengths, uniform in ``[low, high]``, but 0 with probability ``empty``."""
    lengths = rng.integers(low, high + 1, size=size)
    return np.where(rng.random(size) < empty, 0, lengths)
