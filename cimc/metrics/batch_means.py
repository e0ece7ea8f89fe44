"""Means of a simulated series whose terms depend on each other, with intervals: batch means.

*Intervals*: means of ten equal stretches vary as little-dependent terms do, and Student's t is taken of them
(Schmeiser, Operations Research 30, 1982).  What dependence is left between neighbours widens the interval as
in a first-order autoregression (Tafazzoli and Wilson, IIE Transactions 43, 2011).

*Whether a series has settled*: MSER-5 leaves out so many terms at the start that the estimated variance of
the mean of the rest is least, by means of five (White, Simulation 69, 1997; Spratt, University of Virginia,
1998); more than half of the series says that there is no steady state in it (White, Cobb and Spratt, Winter
Simulation Conference, 2000).  What is left out of a run is a share fixed beforehand: a cut that is chosen by
the same data takes their largest excursions away, and intervals with them (of an M/D/1 queue at 80 % load,
0.75 of them held the truth instead of 0.86).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cimc.metrics.intervals import Estimate, student_t

Floats = npt.NDArray[np.float64]

BATCHES = 10
LEAST_TERMS = 20
"""Terms of a batch, at least."""
BATCH_MEANS = "batch means"

_GROUP = 5
_EQUAL = 1e-9
"""Relative differences that are rounding, not variation."""


def transient(series: npt.ArrayLike) -> int:
    """Terms at the start that MSER-5 leaves out; the last 25 always stay."""
    x = np.asarray(series, dtype=np.float64)
    groups = len(x) // _GROUP
    if groups <= _GROUP or np.ptp(x) <= _EQUAL * np.abs(x).max():
        return 0
    means = x[: groups * _GROUP].reshape(groups, _GROUP).mean(axis=1)
    means = means - means.mean()
    # sums over the groups from the d-th on, for all d
    left = groups - np.arange(groups)
    first, second = (np.cumsum(v[::-1])[::-1] for v in (means, means**2))
    figure = np.maximum(second - first**2 / left, 0.0) / left.astype(np.float64) ** 2
    return int(np.argmin(figure[: groups - _GROUP])) * _GROUP


def settled(series: npt.ArrayLike) -> bool:
    """Whether MSER-5 finds the steady state within the first half."""
    x = np.asarray(series, dtype=np.float64)
    return transient(x) <= len(x) // 2


def half_width(series: Floats) -> float:
    """Half of the interval of the mean of a series, whose first terms make no batch if they are too few."""
    means = series[len(series) % BATCHES :].reshape(BATCHES, -1).mean(axis=1)
    centred = means - means.mean()
    variance = float(np.square(centred).sum()) / (BATCHES - 1)
    if variance <= (_EQUAL * float(np.abs(means).max())) ** 2:
        return 0.0
    alike = float((centred[1:] * centred[:-1]).sum() / np.square(centred).sum())
    alike = min(max(alike, 0.0), 0.9)
    spread = variance * (1 + alike) / (1 - alike)
    return student_t(BATCHES - 1) * math.sqrt(spread / BATCHES)


def mean_estimate(series: Floats) -> Estimate:
    """The mean of a series."""
    mean, half = float(series.mean()), half_width(series)
    return Estimate(mean, mean - half, mean + half, BATCH_MEANS)


def rate_estimate(gaps: Floats) -> Estimate:
    """Events per unit of time, from the times between them: 1 / mean."""
    mean, half = float(gaps.mean()), half_width(gaps)
    if mean - half <= 0.0:
        return Estimate(1.0 / mean)
    return Estimate(1.0 / mean, 1.0 / (mean + half), 1.0 / (mean - half), BATCH_MEANS)


def quantile_estimate(series: Floats, share: float) -> Estimate:
    """The value that ``share`` of the terms do not exceed (an observed one).

    The interval is that of the share of terms up to this value, turned back into values (Woodruff, JASA 47,
    1952); it ends at the least and the largest term.
    """
    value = float(np.quantile(series, share, method="inverted_cdf"))
    half = half_width((series <= value).astype(np.float64))
    within = max(share - half, 0.0), min(share + half, 1.0)
    low, high = np.quantile(series, within, method="inverted_cdf")
    return Estimate(value, min(float(low), value), max(float(high), value), BATCH_MEANS)
