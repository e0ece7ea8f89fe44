"""Intervals over chips and requests at once: a figure's mean over programmed chips, on a draw of requests.

Both are samples: other chips would have other cells, other requests other users.  All chips see the same
requests, which makes a table, chips by requests, of what each request contributes to the figure of each chip.
Two random effects crossed, their interaction in the residue, give the variance of the mean: the analysis of
Dorfman, Berbaum and Metz (Investigative Radiology 27, 1992) for readers and cases, with the degrees of
freedom of Hillis (Statistics in Medicine 26, 2007).  Contributions are those of the delta method, for AUC the
components of DeLong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cimc.metrics.intervals import (
    DELONG,
    DELTA,
    NORMAL,
    PAIRED,
    QUERIES,
    Estimate,
    Z,
    delong_components,
    student_t,
    wilson,
)
from cimc.metrics.scores import auc, sqnr_db

Floats = npt.NDArray[np.float64]

TWO_WAY = "two-way over chips and requests"


@dataclass(frozen=True)
class Sample:
    """A figure of one chip (or of no chip at all), and what each request contributed to it.

    Attributes:
        value: the figure.
        strata: groups of requests that were drawn apart, float64 ``[n]`` each: the figure varies as the sum
            of their means.  Empty where no interval can be given.
        method: of an interval over these requests alone.
        bounded: whether the figure is a share, within 0..1.
    """

    value: float
    strata: tuple[Floats, ...]
    method: str
    bounded: bool = False


def mean_sample(values: npt.ArrayLike, method: str = NORMAL, bounded: bool = False) -> Sample:
    """The mean of one number per request."""
    v = np.asarray(values, dtype=np.float64).ravel()
    return Sample(math.fsum(v) / v.size, (v,), method, bounded)


def auc_sample(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Sample:
    """An AUC; positives and negatives are strata.  Errors as :func:`cimc.metrics.scores.auc`."""
    value = auc(labels, scores)
    strata = () if value in (0.0, 1.0) else delong_components(labels, scores)
    return Sample(value, strata, DELONG, bounded=True)


def auc_drop_sample(labels: npt.ArrayLike, reference: npt.ArrayLike, scores: npt.ArrayLike) -> Sample:
    """How far AUC falls from ``reference`` to ``scores`` on the same requests."""
    before, after = delong_components(labels, reference), delong_components(labels, scores)
    value = auc(labels, reference) - auc(labels, scores)
    return Sample(value, tuple(b - a for b, a in zip(before, after, strict=True)), PAIRED)


def sqnr_sample(reference: npt.ArrayLike, value: npt.ArrayLike) -> Sample:
    """SQNR in dB, a ratio of two means over requests (the first axis), by the delta method."""
    r, v = np.asarray(reference, dtype=np.float64), np.asarray(value, dtype=np.float64)
    figure = sqnr_db(r, v)
    if not math.isfinite(figure):
        return Sample(figure, (), DELTA)
    signal, noise = (np.square(x).reshape(len(r), -1).sum(axis=1) for x in (r, r - v))
    per_request = 10.0 / math.log(10.0) * (signal / signal.mean() - noise / noise.mean())
    return Sample(figure, (per_request,), DELTA)


def estimate(chips: Sequence[Sample]) -> Estimate:
    """The mean of a figure over chips that saw the same requests, with its interval.

    Of a single chip the interval is over requests alone.  Without one where a figure is not finite, or a
    class has a single member.
    """
    values = [chip.value for chip in chips]
    mean = math.fsum(values) / len(values)
    tables = [np.stack(parts) for parts in zip(*(chip.strata for chip in chips), strict=False)]
    if not tables or not all(math.isfinite(v) for v in values) or min(t.shape[1] for t in tables) < 2:
        return Estimate(mean)
    requests = _variance(tables)
    if len(chips) > 1:
        found = _over_both(mean, values, tables, requests)
    elif chips[0].method == QUERIES and np.isin(tables[0], (0.0, 1.0)).all():
        found = wilson(int(tables[0].sum()), tables[0].size)
    elif chips[0].method == DELONG and not requests > 0.0:
        return Estimate(mean)
    else:
        half = Z * math.sqrt(requests)
        found = Estimate(mean, mean - half, mean + half, chips[0].method)
    return found.within(0.0, 1.0) if chips[0].bounded else found


def _over_both(mean: float, values: list[float], tables: list[Floats], requests: float) -> Estimate:
    chips = len(values)
    spread = math.fsum((v - mean) ** 2 for v in values) / (chips - 1)
    # what is left of a request's share on a chip beside that of the request and of the chip; it is in both
    # the variance between chips and that between requests, so one of the two gives it back
    rest = math.fsum(_residual(t) for t in tables)
    of_requests, of_chips = max(requests - rest, 0.0), spread / chips
    variance = of_chips + of_requests
    least = min(t.shape[1] for t in tables) - 1
    below = of_chips**2 / (chips - 1) + of_requests**2 / least
    freedom = max(1, int(variance**2 / below)) if below > 0.0 else least
    half = student_t(freedom) * math.sqrt(variance)
    return Estimate(mean, mean - half, mean + half, TWO_WAY, math.sqrt(spread), math.sqrt(of_requests))


def _variance(tables: list[Floats]) -> float:
    """Of the mean over chips, as the draw of requests gives it."""
    return math.fsum(float(t.mean(axis=0).var(ddof=1)) / t.shape[1] for t in tables)


def _residual(table: Floats) -> float:
    """Variance of the mean that the interaction of chips and requests gives."""
    chips, n = table.shape
    left = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    total = float(np.square(left).sum())
    return total / float((chips - 1) * (n - 1) * chips * n)
