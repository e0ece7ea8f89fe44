"""The click log behind the two-tower model: users with profiles and histories, items of a catalogue.

Users and items have latent vectors: the centre of their topic, plus what their attributes add, plus their
own deviation.  A request is one user in a session (usually of the user's own topic, sometimes of another:
only the history tells), and one item.  Log-odds of a click: the scaled inner product of the session's taste
with the item, the label a Bernoulli draw from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.layers import sigmoid
from models.synthetic import Array, Bags, Split, Vocabulary, bag_lengths, stream

LATENT_DIM = 6
TOPICS = 16
OWN_TOPIC = 0.7  # share of sessions in the user's own topic
HISTORY_FOCUS, ITEM_FOCUS = 0.8, 0.25  # share of ids that follow the topic of the session
SPREAD = 2.4  # standard deviation of the log-odds
PILOT_SIZE = 8192


@dataclass(frozen=True)
class RetrievalSpec:
    """Sizes of the population: ids and attribute values; ``user_id`` and ``item_id`` come first."""

    users: Mapping[str, int]
    items: Mapping[str, int]
    history: tuple[int, int] = (1, 20)


@dataclass(frozen=True)
class TowerBatch:
    """Id columns ``[B]`` int64 of user and item, the history, ``labels [B]`` int8, true ``odds [B]``."""

    users: dict[str, Array]
    history: Bags
    items: dict[str, Array]
    labels: Array
    odds: Array


class _Population:
    """Ids with fixed attributes and latent vectors."""

    def __init__(self, rng: np.random.Generator, sizes: Mapping[str, int], centres: Array) -> None:
        key, *attributes = sizes
        count = sizes[key]
        self.vocabulary = Vocabulary(rng, count, topics=TOPICS)
        self.columns = {key: np.arange(count, dtype=np.int64)}
        self.latent = centres[self.vocabulary.topic_of_id]
        for name in attributes:
            self.columns[name] = Vocabulary(rng, sizes[name]).draw(rng, np.zeros(count, np.int64), 0.0)
            effect = rng.standard_normal((sizes[name], LATENT_DIM)) * 0.35
            self.latent = self.latent + effect[self.columns[name]]
        self.latent = self.latent + rng.standard_normal((count, LATENT_DIM)) * 0.4

    def rows(self, ids: Array) -> dict[str, Array]:
        return {name: column[ids] for name, column in self.columns.items()}


class RetrievalLog:
    """Draws batches of any split from the planted users and items."""

    def __init__(self, seed: int, spec: RetrievalSpec) -> None:
        rng = np.random.default_rng([seed, 0])
        self._seed, self._history = seed, spec.history
        self._centres = rng.standard_normal((TOPICS, LATENT_DIM))
        self._users = _Population(rng, spec.users, self._centres)
        self._items = _Population(rng, spec.items, self._centres)
        self._mean, self._scale = 0.0, 1.0
        pilot = self.batch(Split.PILOT, 0, PILOT_SIZE).odds
        self._mean, self._scale = float(pilot.mean()), SPREAD / float(pilot.std())

    @property
    def catalogue(self) -> dict[str, Array]:
        """Every item with its attributes: columns ``[items]``, item ``i`` in row ``i``."""
        return self._items.columns

    def batch(self, split: Split, index: int, size: int) -> TowerBatch:
        rng = stream(self._seed, split, index)
        user = self._users.vocabulary.draw(rng, np.zeros(size, np.int64), 0.0)
        own = self._users.vocabulary.topic_of_id[user]
        topic = np.where(rng.random(size) < OWN_TOPIC, own, rng.integers(0, TOPICS, size))
        lengths = bag_lengths(rng, size, *self._history, empty=0.0)
        catalogue = self._items.vocabulary
        history = Bags.of_lengths(catalogue.draw(rng, np.repeat(topic, lengths), HISTORY_FOCUS), lengths)
        item = catalogue.draw(rng, topic, ITEM_FOCUS)
        taste = 0.5 * self._users.latent[user] + 0.5 * self._centres[topic]
        odds = ((taste * self._items.latent[item]).sum(axis=1) - self._mean) * self._scale
        labels = (rng.random(size) < sigmoid(odds)).astype(np.int8)
        return TowerBatch(self._users.rows(user), history, self._items.rows(item), labels, odds)
