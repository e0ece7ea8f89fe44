"""Confidence intervals: over seeds of a random device, or over requests where nothing is random.

Two questions, never mixed in one interval.  *Over requests*: had other requests of the same kind been
recorded, how far off could the figure be?  *Over seeds*: had another chip been programmed, or another moment
been looked at, with these same requests?
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cimc.metrics.scores import auc

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
"""Of every interval here."""

DELONG = "DeLong over requests"
PAIRED = "paired DeLong over requests"
NORMAL = "normal over requests"
QUERIES = "normal over queries"
SEEDS = "Student's t over seeds"

_Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
_T = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604,
    2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
)  # fmt: skip
"""97.5 % quantiles of Student's t for 1 to 20 degrees of freedom."""


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval that holds the true one with 95 % confidence.

    Attributes:
        value: the figure.
        low, high: the interval; ``None`` where none can be given.
        method: how the interval comes about; empty without one.
    """

    value: float
    low: float | None = None
    high: float | None = None
    method: str = ""

    def within(self, least: float, most: float) -> Estimate:
        """The same with the interval cut to what the figure can be."""
        if self.low is None or self.high is None:
            return self
        return replace(self, low=max(self.low, least), high=min(self.high, most))

    def to_json(self) -> dict[str, Any]:
        """``value``, ``low``, ``high``, ``method``."""
        return {"value": self.value, "low": self.low, "high": self.high, "method": self.method}


def student_t(freedom: int) -> float:
    """97.5 % quantile of Student's t distribution, within 1e-4.

    Beyond 20 degrees of freedom by the expansion in ``1 / freedom`` (Abramowitz and Stegun 26.7.5).
    """
    if freedom < 1:
        raise ValueError("at least one degree of freedom")
    if freedom <= len(_T):
        return _T[freedom - 1]
    z = _Z
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + g1 / freedom + g2 / freedom**2 + g3 / freedom**3


def over_seeds(values: Sequence[float]) -> Estimate:
    """Mean of one figure per seed, with Student's t interval of the mean; without one for a single seed.

    Figures that are not finite (an SQNR without error) leave no interval.
    """
    mean = math.fsum(values) / len(values)
    if len(values) < 2 or not all(math.isfinite(v) for v in values):
        return Estimate(mean)
    variance = math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)
    half = student_t(len(values) - 1) * math.sqrt(variance / len(values))
    return Estimate(mean, mean - half, mean + half, SEEDS)


def mean_over_requests(values: npt.ArrayLike, method: str = NORMAL) -> Estimate:
    """Mean of one number per request, with the normal interval of the mean."""
    v = np.asarray(values, dtype=np.float64).ravel()
    mean = math.fsum(v) / v.size
    if v.size < 2:
        return Estimate(mean)
    half = _Z * math.sqrt(math.fsum((v - mean) ** 2) / (v.size - 1) / v.size)
    return Estimate(mean, mean - half, mean + half, method)


def auc_estimate(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Estimate:
    """AUC with DeLong's interval; errors as :func:`cimc.metrics.scores.auc`.

    Without an interval where the data cannot give one: a class with a single member, or classes that are
    wholly apart (an AUC of 0 or 1, whose estimated variance is 0).
    """
    value = auc(labels, scores)
    variance = float(delong_covariance(labels, [scores])[0, 0])
    if not variance > 0.0 or value in (0.0, 1.0):
        return Estimate(value)
    half = _Z * math.sqrt(variance)
    return Estimate(value, value - half, value + half, DELONG).within(0.0, 1.0)


def auc_drop(labels: npt.ArrayLike, reference: npt.ArrayLike, scores: npt.ArrayLike) -> Estimate:
    """How far AUC falls from ``reference`` to ``scores`` on the same requests, with DeLong's paired interval.

    Much narrower than two intervals side by side: the draw of requests is common to both.  Without an
    interval where a class has a single member.
    """
    value = auc(labels, reference) - auc(labels, scores)
    c = delong_covariance(labels, [reference, scores])
    if not np.isfinite(c).all():
        return Estimate(value)
    half = _Z * math.sqrt(max(float(c[0, 0] + c[1, 1] - 2 * c[0, 1]), 0.0))
    return Estimate(value, value - half, value + half, PAIRED)


def delong_covariance(labels: npt.ArrayLike, scores: Sequence[npt.ArrayLike]) -> Floats:
    """Covariance of the AUCs of several score vectors on the same labels, float64 ``[m, m]``.

    DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988; by mid-ranks as in Sun and Xu, IEEE Signal
    Processing Letters 21, 2014.  NaN where a class has fewer than two members.
    """
    y = np.asarray(labels).ravel().astype(bool)
    n1, n0 = int(y.sum()), int((~y).sum())
    if n1 < 2 or n0 < 2:
        return np.full((len(scores), len(scores)), np.nan)
    above = np.empty((len(scores), n1))  # per positive: share of negatives it beats, ties half
    below = np.empty((len(scores), n0))  # per negative: share of positives that beat it
    for i, each in enumerate(scores):
        s = np.asarray(each, dtype=np.float64).ravel()
        everyone = mid_ranks(s)
        above[i] = (everyone[y] - mid_ranks(s[y])) / n0
        below[i] = 1.0 - (everyone[~y] - mid_ranks(s[~y])) / n1
    return np.asarray(np.atleast_2d(np.cov(above)) / n1 + np.atleast_2d(np.cov(below)) / n0)


def mid_ranks(values: Floats) -> Floats:
    """1-based ranks, equal values sharing the mean of theirs."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(sizes) - (sizes - 1) / 2.0)[group]
    return ranks
