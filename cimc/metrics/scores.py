"""Quality of scores and of approximate values: AUC, log loss, normalised entropy, SQNR.  numpy only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def _labels_and_scores(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Array, Array]:
    """Both flattened, as bool and float64; raises ``ValueError`` where they do not fit."""
    y = np.asarray(labels).ravel()
    s = np.asarray(scores, dtype=np.float64).ravel()
    if y.shape != s.shape:
        raise ValueError(f"{y.size} labels for {s.size} scores")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("labels must be 0 or 1")
    if not np.isfinite(s).all():
        raise ValueError("scores must be finite")
    return y.astype(bool), s


def auc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    ``labels [N]`` of 0 and 1, ``scores [N]`` real, any monotone scale.  Computed from mid-ranks (the
    Mann-Whitney U statistic over the number of pairs; Hanley and McNeil, Radiology 143, 1982).  Raises
    ``ValueError`` when a class is absent, a score is not finite or the sizes differ.
    """
    y, s = _labels_and_scores(labels, scores)
    positives = int(y.sum())
    negatives = y.size - positives
    if not positives or not negatives:
        raise ValueError("AUC needs at least one positive and one negative label")
    _, group, sizes = np.unique(s, return_inverse=True, return_counts=True)
    mid_rank = np.cumsum(sizes) - (sizes - 1) / 2.0  # 1-based mean rank of each group of equal scores
    rank_sum = float(mid_rank[group][y].sum())
    return (rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives)


def log_loss(labels: npt.ArrayLike, probabilities: npt.ArrayLike, eps: float = 1e-7) -> float:
    """Mean binary cross-entropy in nats; probabilities are kept ``eps`` away from 0 and 1.

    ``labels [N]`` of 0 and 1, ``probabilities [N]`` in [0, 1].  Raises ``ValueError`` outside these.
    """
    return float(np.mean(cross_entropies(labels, probabilities, eps)))


def cross_entropies(labels: npt.ArrayLike, probabilities: npt.ArrayLike, eps: float = 1e-7) -> Array:
    """Binary cross-entropy of each sample in nats, float64 ``[N]``: :func:`log_loss` is their mean.

    Arguments and errors as there.
    """
    y, p = _labels_and_scores(labels, probabilities)
    if not p.size:
        raise ValueError("log loss of no samples")
    if p.min() < 0.0 or p.max() > 1.0:
        raise ValueError("probabilities must lie in [0, 1]")
    p = np.clip(p, eps, 1.0 - eps)
    return np.asarray(-np.where(y, np.log(p), np.log1p(-p)))


def background_entropy(labels: npt.ArrayLike) -> float:
    """Entropy in nats of always answering the share ``c`` of positives: ``-c ln c - (1 - c) ln (1 - c)``.

    Raises ``ValueError`` when a class is absent: then that guess is perfect.
    """
    y = np.asarray(labels, dtype=np.float64).ravel()
    rate = float(y.mean()) if y.size else 0.0
    if not 0.0 < rate < 1.0:
        raise ValueError("needs at least one positive and one negative label")
    return -rate * math.log(rate) - (1.0 - rate) * math.log1p(-rate)


def normalised_entropy(labels: npt.ArrayLike, probabilities: npt.ArrayLike, eps: float = 1e-7) -> float:
    """Log loss over that of always answering the share of positives (He et al., ADKDD 2014).

    Below 1 is better than that guess; the share is that of ``labels`` themselves.  Arguments and errors as
    for :func:`log_loss` and :func:`background_entropy`.
    """
    return log_loss(labels, probabilities, eps) / background_entropy(labels)


def _pair(reference: npt.ArrayLike, value: npt.ArrayLike) -> tuple[Array, Array]:
    r, v = np.asarray(reference, dtype=np.float64), np.asarray(value, dtype=np.float64)
    if r.shape != v.shape:
        raise ValueError(f"reference has shape {r.shape}, value {v.shape}")
    return r, v


def sqnr_db(reference: npt.ArrayLike, value: npt.ArrayLike) -> float:
    """Signal to quantisation-noise ratio ``10 log10(sum r² / sum (r - v)²)`` in decibels, over all elements.

    ``inf`` when both are equal, ``-inf`` when the reference is all zero and the value is not, ``nan`` when
    either holds a value that is not finite.  Raises ``ValueError`` when the shapes differ.
    """
    r, v = _pair(reference, value)
    if not (np.isfinite(r).all() and np.isfinite(v).all()):
        return float("nan")
    signal, noise = float(np.sum(r * r)), float(np.sum((r - v) ** 2))
    if noise == 0.0:
        return float("inf")
    if signal == 0.0:
        return float("-inf")
    return float(10.0 * (np.log10(signal) - np.log10(noise)))


def max_abs_error(reference: npt.ArrayLike, value: npt.ArrayLike) -> float:
    """Largest ``|reference - value|``; 0 for empty arrays, ``nan`` if any difference is.

    Raises ``ValueError`` when the shapes differ.
    """
    r, v = _pair(reference, value)
    return float(np.max(np.abs(r - v))) if r.size else 0.0
