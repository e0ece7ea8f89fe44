"""Invented bags with a given skew, bag lengths and co-access structure.

Every number is a function of seed, table and position, so that chunks may be made in any order and size.

Row popularity is a Zipf distribution over *ranks*; a random permutation says which row has which rank.
Co-access: rank ``r`` (from 1) belongs to cluster ``(r - 1) mod C``, so every cluster has rows of all
popularities.  The first id of a bag is drawn freely.  Each other id is, with probability ``affinity``, drawn
from the Zipf distribution restricted to the first id's cluster, otherwise freely.  A cluster is chosen with
the probability of its rows together, so that every id by itself still follows the Zipf distribution exactly.

Latent taste: every row has a direction in a space of ``dimensions``, every bag, too.  A row's probability in
a bag is proportional to its popularity times ``exp(taste x cosine)`` of the two directions.  No direction is
preferred, so that over all bags an id still follows the Zipf distribution nearly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import RequestError
from cimc.support.random.draws import normal, permuted, uniform
from cimc.support.random.splitmix import key_of
from cimc.workload.traces.collect import Chunk
from cimc.workload.traces.zipf import zipf

Ids = NDArray[np.int64]

_IDS_AT_A_TIME = 1 << 18
_LONGEST = (1 << 20) - 1
_HIGHEST = {"zipf": 8, "affinity": 1, "taste": 8}
_MOST_DIMENSIONS = 64
_WORD = (1 << 64) - 1
_SYNTAX = (
    "NAME:rows=N,zipf=S,pooling=P,clusters=C,affinity=A,dimensions=D,taste=T,order=shuffled|ranked, where P "
    "is a number, poisson/MEAN, geometric/MEAN, uniform/LOW/HIGH or lognormal/MEAN/SIGMA"
)


@dataclass(frozen=True)
class Pooling:
    """How many ids a bag has.

    ``kind``: ``fixed`` (first), ``uniform`` (``first .. second``, both included), ``poisson``, ``geometric``
    (mean ``first``, from 0) or ``lognormal`` (mean ``first``, ``second`` the deviation of the logarithm,
    rounded, and at most 2**20 - 1).
    """

    kind: str = "fixed"
    first: float = 1.0
    second: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Pooling:
        """From ``20``, ``poisson/20``, ``uniform/1/40`` and the like; ValueError for anything else."""
        parts = text.split("/")
        if len(parts) == 1:
            kind, values = "fixed", [float(_count(parts[0], 0))]
        else:
            kind, values = parts[0], [float(p) for p in parts[1:]]
        wanted = {"fixed": 1, "poisson": 1, "geometric": 1, "uniform": 2, "lognormal": 2}.get(kind)
        if wanted != len(values) or not all(math.isfinite(v) and 0 <= v <= 10_000 for v in values):
            raise ValueError(f"pooling '{text}' is not understood (numbers go to 10000)")
        if kind == "uniform" and not (values[0] <= values[1] and all(v.is_integer() for v in values)):
            raise ValueError(f"pooling '{text}': bounds are whole numbers, the smaller first")
        if kind == "poisson" and values[0] > 700:
            raise ValueError(f"pooling '{text}': a Poisson mean is at most 700")
        if kind == "lognormal" and values[1] > 4:
            raise ValueError(f"pooling '{text}': a lognormal deviation is at most 4")
        return cls(kind, values[0], values[1] if len(values) > 1 else 0.0)

    def lengths(self, key: int, bags: Ids) -> Ids:
        """Ids of each bag, by its number."""
        if self.kind == "fixed":
            return np.full(len(bags), int(self.first), np.int64)
        u = uniform(key, bags)
        if self.kind == "uniform":
            return (self.first + np.floor(u * (self.second - self.first + 1))).astype(np.int64)
        if self.kind == "geometric":
            if not self.first:
                return np.zeros(len(bags), np.int64)
            return np.floor(np.log(u) / math.log(self.first / (1 + self.first))).astype(np.int64)
        if self.kind == "poisson":
            chance = [math.exp(-self.first)]
            while len(chance) <= self.first or chance[-1] > 1e-18:
                chance.append(chance[-1] * self.first / len(chance))
            return np.searchsorted(np.cumsum(chance), u).astype(np.int64)
        spread = self.second
        above = normal(key, bags)
        found = np.exp(math.log(max(self.first, 1e-300)) - spread * spread / 2 + spread * above)
        return np.asarray(np.rint(np.minimum(found, _LONGEST)), np.int64)


@dataclass(frozen=True)
class Synthetic:
    """What to invent for one table.

    Attributes:
        rows: of the table; 0: as the model says.
        exponent: of the Zipf distribution.
        pooling: ids per bag.
        clusters: number of clusters (at least 1); ``affinity``: 0 (no structure) to 1.
        ranked: row r has rank r, instead of a random one.
        dimensions: of the directions of rows and bags; ``taste``: how much they count, 0 (nothing) to 8.
    """

    rows: int = 0
    exponent: float = 0.85
    pooling: Pooling = field(default_factory=Pooling)
    clusters: int = 1
    affinity: float = 0.0
    ranked: bool = False
    dimensions: int = 8
    taste: float = 0.0


def parse(text: str) -> tuple[str, Synthetic]:
    """The table (or pattern) and the description in ``NAME:key=value,...``.

    Raises:
        RequestError: ``trace.bad-spec``.
    """
    head, _, _ = text.partition("=")
    name, colon, _ = head.rpartition(":")
    try:
        if not colon or not name:
            raise ValueError("a description begins with the name of a table and a colon")
        return name, _described(text[len(name) + 1 :])
    except ValueError as error:
        raise RequestError(
            "trace.bad-spec", f"synthetic trace '{text}': {error}", hint=f"the form is {_SYNTAX}"
        ) from None


def _count(text: str, least: int) -> int:
    """A whole number, also written like ``1e6``."""
    value = float(text)
    if not value.is_integer() or not least <= value <= 1 << 40:
        raise ValueError(f"'{text}' is not a whole number from {least} to 2^40")
    return int(value)


def _described(text: str) -> Synthetic:
    values: dict[str, Any] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or key in values:
            raise ValueError(f"'{part}' is not one new key=value")
        if key in ("rows", "clusters", "dimensions"):
            values[key] = _count(value, 1)
            if key == "dimensions" and values[key] > _MOST_DIMENSIONS:
                raise ValueError(f"dimensions is {value}, it goes from 1 to {_MOST_DIMENSIONS}")
        elif key == "pooling":
            values[key] = Pooling.parse(value)
        elif key in _HIGHEST:
            number = float(value)
            if not 0 <= number <= _HIGHEST[key]:
                raise ValueError(f"{key} is {value}, it goes from 0 to {_HIGHEST[key]}")
            values["exponent" if key == "zipf" else key] = number
        elif key == "order":
            if value not in ("shuffled", "ranked"):
                raise ValueError(f"order is '{value}', not shuffled or ranked")
            values["ranked"] = value == "ranked"
        else:
            raise ValueError(f"there is no key '{key}'")
    if values.get("taste", 0) and values.get("affinity", 0):
        raise ValueError("a table has clusters (affinity) or a latent taste, not both")
    return Synthetic(**values)


@dataclass(frozen=True)
class SyntheticBags:
    """The bags that a description gives for one table: a :class:`~cimc.workload.traces.collect.BagSource`.

    ``stream`` tells apart several bags of one table in a request.
    """

    name: str
    rows: int
    what: Synthetic
    requests: int
    seed: int
    stream: str = ""

    def chunks(self) -> Iterator[Chunk]:
        """All bags in order."""
        first = 0
        pooling = self.what.pooling
        longest = pooling.second if pooling.kind == "uniform" else pooling.first
        step = max(1, int(_IDS_AT_A_TIME / max(1.0, longest)))
        while first < self.requests:
            yield self.bags(first, min(first + step, self.requests))
            first += step

    def bags(self, first: int, stop: int) -> Chunk:
        """Bags ``first .. stop - 1``."""
        what = self.what
        numbers = np.arange(first, stop, dtype=np.int64)
        lengths = what.pooling.lengths(self._key("lengths"), numbers)
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        place = np.arange(int(starts[-1]), dtype=np.int64) - np.repeat(starts[:-1], lengths)
        position = np.repeat(numbers, lengths) << 20 | place  # bags have fewer than 2**20 ids
        if what.taste > 0:
            ranks = self._tasteful(position, np.repeat(numbers, lengths))
        else:
            ranks = zipf(self._key("ids"), position, what.exponent, self.rows)
        if what.affinity > 0 and what.clusters > 1:
            self._gather(ranks, position, place, starts, lengths)
        if not what.ranked:
            ranks = permuted(key_of(self.seed, "rows", self.name), ranks, self.rows)
        return ranks, starts

    def _gather(self, ranks: Ids, position: Ids, place: Ids, starts: Ids, lengths: Ids) -> None:
        """Move ids into the cluster of the first id of their bag."""
        clusters = min(self.what.clusters, self.rows)
        joins = (place > 0) & (uniform(self._key("joins"), position) < self.what.affinity)
        first = np.repeat(ranks[starts[:-1][lengths > 0]], lengths[lengths > 0])
        cluster = first[joins] % clusters
        members = (self.rows - 1 - cluster) // clusters + 1
        inside = zipf(
            self._key("members"), position[joins], self.what.exponent, members, (cluster + 1) / clusters
        )
        ranks[joins] = cluster + inside * clusters

    def _tasteful(self, position: Ids, bag: Ids) -> Ids:
        """Ids by rejection: one drawn by popularity is kept with probability ``exp(taste (cosine - 1))``."""
        what, ranks = self.what, np.zeros(len(position), np.int64)
        todo, attempt = np.arange(len(position)), 0
        first, at = np.unique(bag, return_inverse=True)
        mine = self._directions(self._key("bag directions"), first)
        rows_key, keep_key = key_of(self.seed, "row directions", self.name), self._key("kept")
        few = self.rows <= len(position)  # then directions of all rows cost less than those of the drawn ones
        every = self._directions(rows_key, np.arange(self.rows if few else 0, dtype=np.int64))
        while len(todo):
            key = key_of(self.seed, "ids", self.name, self.stream, attempt)
            drawn = zipf(key, position[todo], what.exponent, self.rows)
            theirs = every[drawn] if few else self._directions(rows_key, drawn)
            cosine = (mine[at[todo]] * theirs).sum(axis=1)
            kept = np.log(uniform(keep_key + attempt & _WORD, position[todo])) < what.taste * (cosine - 1)
            ranks[todo[kept]] = drawn[kept]
            todo, attempt = todo[~kept], attempt + 1
        return ranks

    def _directions(self, key: int, number: Ids) -> NDArray[np.float64]:
        """Unit vectors ``[len(number), dimensions]``, each a function of its number alone."""
        d = self.what.dimensions
        vectors = normal(key, (number[:, None] * d + np.arange(d)).reshape(-1)).reshape(-1, d)
        found: NDArray[np.float64] = vectors / np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
        return found

    def _key(self, what: str) -> int:
        return key_of(self.seed, what, self.name, self.stream)
