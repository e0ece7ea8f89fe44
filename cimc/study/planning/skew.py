"""How reads are spread over the rows of a table, the most read first, in closed form: no row is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_HEAD = 64
"""Ranks whose weights of a Zipf law are added one by one; behind them its integral stands for the sum."""


@dataclass(frozen=True)
class Skew:
    """Either a Zipf law, rank ``r`` (0, 1, ...) read in proportion to ``(r + 1) ** -exponent``, or steps.

    Attributes:
        rows: of the table.
        exponent: of the law; ignored where there are steps.
        steps: pairs of rows and the share of reads that go to so many of the most read ones, ascending, the
            last ``(rows, 1.0)``; evenly between them.
    """

    rows: int
    exponent: float = 0.0
    steps: tuple[tuple[float, float], ...] = ()

    def share(self, ranks: Floats) -> Floats:
        """Share of reads that go to the first ``ranks`` rows each (0 .. ``rows``); float64, same shape."""
        at = np.clip(np.asarray(ranks, np.float64), 0.0, float(self.rows))
        if self.steps:
            first, part = np.array([(0.0, 0.0), *self.steps]).T
            found: Floats = np.interp(at, first, part)
            return found
        return self._mass(at) / self._mass(np.array(float(self.rows)))

    def _mass(self, ranks: Floats) -> Floats:
        """Sum of the weights of the first ``ranks`` rows: exact to ``_HEAD``, then by the midpoint rule."""
        head = np.concatenate([[0.0], np.cumsum(np.arange(1.0, _HEAD + 1) ** -self.exponent)])
        near = np.interp(np.minimum(ranks, _HEAD), np.arange(_HEAD + 1.0), head)
        far = self._integral(np.maximum(ranks, _HEAD) + 0.5) - self._integral(np.array(_HEAD + 0.5))
        found: Floats = near + far
        return found

    def _integral(self, x: Floats) -> Floats:
        power = 1.0 - self.exponent
        logs = np.log(x)
        return logs if abs(power) < 1e-12 else np.expm1(power * logs) / power

    def of_blocks(self, height: int) -> Floats:
        """Share of reads of each run of ``height`` rows, float64 ``[ceil(rows / height)]``."""
        edges = np.minimum(np.arange(-(-self.rows // height) + 1) * float(height), float(self.rows))
        return np.diff(self.share(edges))


@dataclass(frozen=True)
class Runs:
    """Blocks of a table in runs of similar heat, the hottest first.

    Attributes:
        first: number of the first block of each run, int64 ``[n]``; ``count``: its blocks.
        share: share of the reads of the table that go to one block of it, float64 ``[n]``.
    """

    first: NDArray[np.int64]
    count: NDArray[np.int64]
    share: Floats


def block_runs(skew: Skew, height: int, per_octave: int = 4) -> Runs:
    """The blocks of a table in runs that grow with their rank, ``per_octave`` of them while it doubles."""
    blocks = -(-skew.rows // height)
    octaves = np.arange(int(np.ceil(np.log2(blocks + 1))) * per_octave + 1)
    edges = np.unique(np.minimum(np.floor(2.0 ** (octaves / per_octave)), blocks).astype(np.int64) - 1)
    edges = np.append(edges[edges < blocks], blocks)
    count = np.diff(edges)
    reads = np.diff(skew.share(np.minimum(edges * float(height), float(skew.rows))))
    return Runs(edges[:-1], count, reads / count)


Lengths = tuple[tuple[float, float], ...]
"""Lengths of bags: ids, and the share of requests whose bag has as many."""


def mean_length(lengths: Lengths) -> float:
    """Mean ids a request."""
    return sum(ids * part for ids, part in lengths)


def touched(share: Floats, lengths: Lengths) -> Floats:
    """Chance that a request reads a block of a table at all, by the block's share of the reads.

    Reads are taken as independent, as :func:`cimc.transforms.place.shard_list.expected_touched` takes them.
    """
    found: Floats = np.zeros(np.shape(share))
    missed = np.log1p(-np.minimum(share, 1.0 - 1e-15))
    for ids, part in lengths:
        found -= part * np.expm1(max(ids, 1.0) * missed) * min(ids, 1.0)
    return found
