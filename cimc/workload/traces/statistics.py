"""Figures that describe how unevenly a table is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.support.row_bags import RowBags
from cimc.workload.traces.pair_counts import pairs_in
from cimc.workload.traces.trace import TableTrace

SHARES = (0.0001, 0.001, 0.01, 0.1)
"""Shares of the rows whose part of the accesses is reported."""
_RELIABLE = 10  # accesses from which on a row's empirical rank says something about its true rank


@dataclass(frozen=True)
class Statistics:
    """One table's accesses in a few numbers.

    Attributes:
        name, rows, requests, lookups, distinct: as in the trace.
        per_request: mean accesses per request.
        gini: Gini coefficient of the accesses over all rows (over those read if ``rows`` is unknown): 0 all
            equal, towards 1 all on one row.
        top: per entry of :data:`SHARES`, the part of the accesses that goes to so large a share of the rows
            (at least one row).
        zipf: exponent of a Zipf distribution; ``None`` where too few rows were read often enough.
        zipf_rows: the rows it was estimated from.
        pooling: mean, median, 99th percentile and largest length of a bag; ``None`` if unknown.
        kept_bags: bags of two rows or more that the trace keeps; 0 where it keeps none, or pairs.
        pairs: different pairs of rows in them; ``pair_share``: the part of them that holds the most frequent
            pair; ``None`` if there are none.
    """

    name: str
    rows: int
    requests: int
    lookups: int
    distinct: int
    per_request: float
    gini: float
    top: tuple[float, ...]
    zipf: float | None
    zipf_rows: int
    pooling: tuple[float, int, int, int] | None
    kept_bags: int
    pairs: int
    pair_share: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain numbers and dicts."""
        pooling = None
        if self.pooling is not None:
            pooling = dict(zip(("mean", "p50", "p99", "max"), self.pooling, strict=True))
        return {
            "name": self.name,
            "rows": self.rows,
            "requests": self.requests,
            "lookups": self.lookups,
            "distinct_rows": self.distinct,
            "lookups_per_request": self.per_request,
            "gini": self.gini,
            "top_share": {f"{share:g}": part for share, part in zip(SHARES, self.top, strict=True)},
            "zipf": self.zipf,
            "zipf_rows": self.zipf_rows,
            "pooling": pooling,
            "kept_bags": self.kept_bags,
            "pairs": self.pairs,
            "hottest_pair_share": self.pair_share,
        }


def statistics(table: TableTrace) -> Statistics:
    """The statistics of one table."""
    falling = np.sort(table.counts[table.counts > 0])[::-1]
    rows = table.rows or len(falling)
    exponent, used = zipf_exponent(falling)
    bags = RowBags.none() if table.kept is None else table.kept
    pairs, most = pairs_in(bags)
    whole = bool((bags.weights == 1).all())  # else pairs that version 0.1 counted
    return Statistics(
        table.name,
        table.rows,
        table.requests,
        table.lookups,
        len(falling),
        table.lookups / table.requests if table.requests else 0.0,
        gini(falling, rows),
        top_shares(falling, rows),
        exponent,
        used,
        _pooling(table.pooling),
        len(bags) if whole else 0,
        pairs,
        most / len(bags) if whole and len(bags) else None,
    )


def gini(falling: NDArray[np.int64], rows: int) -> float:
    """Gini coefficient of counts, given in falling order; the other of ``rows`` rows have none.

    ``1 - sum_r (2 r - 1) c_r / (n C)`` over ranks r = 1 .. n, with the counts c falling and C their sum.
    """
    total = float(falling.sum())
    if not total:
        return 0.0
    ranks = np.arange(1, len(falling) + 1, dtype=np.float64)
    return 1.0 - float(((2 * ranks - 1) * falling).sum()) / (rows * total)


def top_shares(falling: NDArray[np.int64], rows: int) -> tuple[float, ...]:
    """The part of the accesses that the most frequent rows take, per entry of :data:`SHARES`."""
    total = int(falling.sum())
    so_far = np.cumsum(falling)
    found = []
    for share in SHARES:
        number = min(max(1, round(share * rows)), len(falling))
        found.append(float(so_far[number - 1]) / total if total else 0.0)
    return tuple(found)


def zipf_exponent(falling: NDArray[np.int64]) -> tuple[float | None, int]:
    """Exponent s of a Zipf distribution, and how many rows it was estimated from.

    The maximum likelihood estimate of ``p(r) ~ r ** -s`` on the ranks of the rows read at least ten times, on
    condition that the access goes to one of these: where ``sum_r r^-s ln r / sum_r r^-s`` equals the mean of
    ``ln r`` over the accesses.  Rarer rows are left out, as their empirical rank follows from chance.
    """
    head = falling[falling >= _RELIABLE].astype(np.float64)
    if len(head) < 3:
        return None, len(head)
    logs = np.log(np.arange(1, len(head) + 1))
    wanted = float((head * logs).sum() / head.sum())
    low, high = 0.0, 8.0
    for _ in range(60):  # the left side falls with s
        middle = (low + high) / 2
        weights = np.exp(-middle * logs)
        if float((weights * logs).sum() / weights.sum()) > wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2, len(head)


def _pooling(histogram: NDArray[np.int64]) -> tuple[float, int, int, int] | None:
    if not len(histogram):
        return None
    lengths, bags = histogram[:, 0], np.cumsum(histogram[:, 1])
    total = int(bags[-1])

    def quantile(share: float) -> int:
        return int(lengths[np.searchsorted(bags, share * total)])

    mean = float((histogram[:, 0] * histogram[:, 1]).sum() / max(total, 1))
    return mean, quantile(0.5), quantile(0.99), int(lengths[-1])
