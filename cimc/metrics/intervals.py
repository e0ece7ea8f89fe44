"""Confidence intervals of figures over requests: means, shares, AUC and its fall.

They answer: had other requests of the same kind been recorded, how far off could the figure be?  Where chips
are drawn as well, :mod:`cimc.metrics.two_way` counts both; :mod:`cimc.metrics.batch_means` is for series
whose terms depend on each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
"""Of every interval here."""

DELONG = "DeLong over requests"
PAIRED = "paired DeLong over requests"
NORMAL = "normal over requests"
QUERIES = "normal over queries"
WILSON = "Wilson"
DELTA = "delta method over requests"

Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
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
        chips_sd: standard deviation of the figure from chip to chip, on the same requests; ``None`` where
            fewer than two chips were looked at.
        requests_se: standard error that the draw of requests gives the mean over chips; likewise.
    """

    value: float
    low: float | None = None
    high: float | None = None
    method: str = ""
    chips_sd: float | None = None
    requests_se: float | None = None

    def within(self, least: float, most: float) -> Estimate:
        """The same with the interval cut to what the figure can be."""
        if self.low is None or self.high is None:
            return self
        return replace(self, low=max(self.low, least), high=min(self.high, most))

    def to_json(self) -> dict[str, Any]:
        """Plain data, a key per attribute."""
        return asdict(self)


def student_t(freedom: int) -> float:
    """97.5 % quantile of Student's t distribution, within 1e-4.

    Beyond 20 degrees of freedom by the expansion in ``1 / freedom`` (Abramowitz and Stegun 26.7.5).
    """
    if freedom < 1:
        raise ValueError("at least one degree of freedom")
    if freedom <= len(_T):
        return _T[freedom - 1]
    z = Z
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + g1 / freedom + g2 / freedom**2 + g3 / freedom**3


def wilson(hits: int, of: int, method: str = WILSON) -> Estimate:
    """A share with the score interval of Wilson (JASA 22, 1927), which holds for few and for extreme ones.

    Raises:
        ValueError: for no trials, or more hits than trials.
    """
    if not 0 <= hits <= of or not of:
        raise ValueError(f"{hits} hits of {of}")
    share, z2 = hits / of, Z**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = Z / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of**2))
    low = 0.0 if hits == 0 else middle - half
    return Estimate(share, low, 1.0 if hits == of else middle + half, method)


def multiplicity(figures: int) -> str:
    """What a reader who compares so many figures must know; ``""`` for a single one."""
    if figures < 2:
        return ""
    wider = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / (2 * figures)) / Z
    return (
        f"{figures} variants are compared, and each interval holds for its own alone: the best one looks "
        f"better than it is; for all to hold at once take intervals {wider:.2f} times as wide (Bonferroni)"
    )


def delong_components(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Floats, Floats]:
    """What each request contributes to an AUC, which is the mean of either part.

    Per positive the share of negatives that it beats, ties half, float64 ``[P]``; per negative the share of
    positives that beat it, float64 ``[N]``.
    """
    y = np.asarray(labels).ravel().astype(bool)
    s = np.asarray(scores, dtype=np.float64).ravel()
    everyone = mid_ranks(s)
    above = (everyone[y] - mid_ranks(s[y])) / max(1, int((~y).sum()))
    below = 1.0 - (everyone[~y] - mid_ranks(s[~y])) / max(1, int(y.sum()))
    return above, below


def delong_covariance(labels: npt.ArrayLike, scores: Sequence[npt.ArrayLike]) -> Floats:
    """Covariance of the AUCs of several score vectors on the same labels, float64 ``[m, m]``.

    DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988; by mid-ranks as in Sun and Xu, IEEE Signal
    Processing Letters 21, 2014.  NaN where a class has fewer than two members.
    """
    y = np.asarray(labels).ravel().astype(bool)
    n1, n0 = int(y.sum()), int((~y).sum())
    if n1 < 2 or n0 < 2:
        return np.full((len(scores), len(scores)), np.nan)
    above, below = (np.stack(part) for part in zip(*(delong_components(y, s) for s in scores), strict=True))
    return np.asarray(np.atleast_2d(np.cov(above)) / n1 + np.atleast_2d(np.cov(below)) / n0)


def mid_ranks(values: Floats) -> Floats:
    """1-based ranks, equal values sharing the mean of theirs."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(sizes) - (sizes - 1) / 2.0)[group]
    return ranks
