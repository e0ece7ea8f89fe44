"""The click log behind the DLRM: dense features and 26 categorical ones, with a planted click model.

The log-odds of a click are the sum of, each scaled to a stated share:

- a linear and a quadratic effect of the dense features,
- a bias per id, pooled over each bag as the model pools,
- inner products of latent vectors per id (dimension 4) between chosen pairs of tables.

The label is a Bernoulli draw from these odds, so that no model reaches an AUC of 1; rare ids are seen too
seldom to be learnt, so that none reaches the AUC of the true odds either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.layers import bag_forward, sigmoid
from models.synthetic import Array, Bags, Split, Vocabulary, bag_lengths, stream

LATENT_DIM = 4
TOPICS = 8
FOCUS = 0.5  # share of ids of a bag that follow the topic of the request
PILOT_SIZE = 8192

# Standard deviation of each part of the log-odds, and the mean.
DENSE_SHARE, BIAS_SHARE, PAIR_SHARE, BASE = 0.9, 1.5, 1.5, -1.2


@dataclass(frozen=True)
class TableSpec:
    """A categorical feature: ``bag`` is ``one``, ``sum`` or ``mean``, lengths uniform in ``[low, high]``."""

    rows: int
    bag: str = "one"
    low: int = 1
    high: int = 1
    empty: float = 0.0  # probability of an empty bag


@dataclass(frozen=True)
class ClickBatch:
    """``dense [B, N]`` float32, :class:`Bags` per table, ``labels [B]`` int8, ``odds [B]`` true log-odds."""

    dense: Array
    bags: list[Bags]
    labels: Array
    odds: Array


class ClickLog:
    """A planted click model over ``tables`` and ``dense`` features; draws batches of any split."""

    def __init__(
        self, seed: int, tables: Sequence[TableSpec], pairs: Sequence[tuple[int, int]], dense: int
    ) -> None:
        rng = np.random.default_rng([seed, 0])
        self._seed, self._tables, self._dense = seed, list(tables), dense
        self._pairs = list(pairs)
        self._vocabularies = [Vocabulary(rng, t.rows, topics=TOPICS) for t in tables]
        self._bias = [rng.standard_normal((t.rows, 1)).astype(np.float32) for t in tables]
        self._latent = [rng.standard_normal((t.rows, LATENT_DIM)).astype(np.float32) for t in tables]
        self._table_weight = rng.uniform(0.5, 1.5, len(tables)).astype(np.float32)
        self._pair_weight = (rng.choice([-1, 1], len(pairs)) * rng.uniform(0.7, 1.3, len(pairs))).astype(
            np.float32
        )
        self._linear = rng.standard_normal(dense).astype(np.float32)
        quadratic = rng.standard_normal((dense, dense)).astype(np.float32)
        self._quadratic = (quadratic + quadratic.T) * np.float32(0.25 / np.sqrt(dense))
        self._scales = np.ones(3, np.float32)
        self._means = np.zeros(3, np.float32)
        pilot = self._parts(*self._features(stream(seed, Split.PILOT, 0), PILOT_SIZE))
        self._means = pilot.mean(axis=0)
        self._scales = np.array([DENSE_SHARE, BIAS_SHARE, PAIR_SHARE], np.float32) / pilot.std(axis=0)

    def batch(self, split: Split, index: int, size: int) -> ClickBatch:
        rng = stream(self._seed, split, index)
        dense, bags = self._features(rng, size)
        odds = BASE + ((self._parts(dense, bags) - self._means) * self._scales).sum(axis=1)
        labels = (rng.random(size) < sigmoid(odds)).astype(np.int8)
        return ClickBatch(dense, bags, labels, odds)

    def _features(self, rng: np.random.Generator, size: int) -> tuple[Array, list[Bags]]:
        # Counts are heavy-tailed and enter as their logarithm, as is usual for such logs.
        dense = np.log1p(np.exp(rng.standard_normal((size, self._dense)) * 1.2)).astype(np.float32)
        topic = rng.integers(0, TOPICS, size)
        bags = []
        for spec, vocabulary in zip(self._tables, self._vocabularies, strict=True):
            if spec.bag == "one":
                bags.append(Bags.single(vocabulary.draw(rng, topic, FOCUS)))
            else:
                lengths = bag_lengths(rng, size, spec.low, spec.high, spec.empty)
                bags.append(Bags.of_lengths(vocabulary.draw(rng, np.repeat(topic, lengths), FOCUS), lengths))
        return dense, bags

    def _parts(self, dense: Array, bags: list[Bags]) -> Array:
        """The three parts of the log-odds before scaling, ``[B, 3]``."""
        centred = dense - np.float32(0.85)
        dense_part = centred @ self._linear + np.einsum("bi,ij,bj->b", centred, self._quadratic, centred)
        bias_part = np.zeros(len(dense), np.float32)
        pooled: dict[int, Array] = {}
        paired = {k for pair in self._pairs for k in pair}
        for k, (spec, bag) in enumerate(zip(self._tables, bags, strict=True)):
            # A sum over n ids spreads as sqrt(n): scale it so that long bags do not drown the rest.
            usual = np.float32(np.sqrt((spec.low + spec.high) / 2)) if spec.bag == "sum" else np.float32(1)
            mean = spec.bag == "mean"
            bias = bag_forward(self._bias[k][bag.ids], bag.offsets, mean=mean)[:, 0]
            bias_part += self._table_weight[k] * bias / usual
            if k in paired:
                pooled[k] = bag_forward(self._latent[k][bag.ids], bag.offsets, mean=mean) / usual
        pair_part = np.zeros(len(dense), np.float32)
        for weight, (i, j) in zip(self._pair_weight, self._pairs, strict=True):
            pair_part += weight * (pooled[i] * pooled[j]).sum(axis=1)
        return np.stack([dense_part, bias_part, pair_part], axis=1)
