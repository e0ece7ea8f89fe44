from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.metrics.scores import (
    auc,
    background_entropy,
    cross_entropies,
    log_loss,
    max_abs_error,
    normalised_entropy,
    sqnr_db,
)

SAMPLES = st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=2, max_size=40).filter(
    lambda rows: {label for label, _ in rows} == {0, 1}
)


def pairwise_auc(labels: list[int], scores: list[int]) -> float:
    """The definition: over all (positive, negative) pairs, wins plus half the ties."""
    pos = [s for y, s in zip(labels, scores, strict=True) if y]
    neg = [s for y, s in zip(labels, scores, strict=True) if not y]
    return sum((p > n) + 0.5 * (p == n) for p in pos for n in neg) / (len(pos) * len(neg))


@given(SAMPLES)
def test_auc_equals_its_definition_with_ties(rows: list[tuple[int, int]]) -> None:
    labels, scores = [y for y, _ in rows], [s for _, s in rows]
    assert auc(labels, scores) == pytest.approx(pairwise_auc(labels, scores), abs=1e-12)


@given(SAMPLES)
def test_auc_ignores_monotone_scale_and_flips_with_sign(rows: list[tuple[int, int]]) -> None:
    labels, scores = np.array([y for y, _ in rows]), np.array([s for _, s in rows])
    assert auc(labels, np.exp(scores)) == auc(labels, scores)
    assert auc(labels, -scores) == pytest.approx(1 - auc(labels, scores), abs=1e-12)


def test_auc_extremes() -> None:
    assert auc([0, 0, 1, 1], [1, 2, 3, 4]) == 1.0
    assert auc([1, 1, 0], [1, 2, 3]) == 0.0
    assert auc([0, 1, 0, 1], [5, 5, 5, 5]) == 0.5


def test_auc_takes_column_scores_of_a_model() -> None:
    assert auc(np.array([0, 1], np.int8), np.array([[0.1], [0.9]], np.float32)) == 1.0


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([1, 1], [0.1, 0.2], "one positive and one negative"),
        ([0, 1], [0.1], "2 labels for 1 scores"),
        ([0, 2], [0.1, 0.2], "0 or 1"),
        ([0, 1], [0.1, math.nan], "finite"),
    ],
)
def test_auc_refuses(labels: list[int], scores: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        auc(labels, scores)


def test_log_loss() -> None:
    assert log_loss([1, 0], [0.8, 0.4]) == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)
    assert log_loss([1], [0.0]) == pytest.approx(-math.log(1e-7))
    assert log_loss([0], [1.0]) == pytest.approx(-math.log(1e-7))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        log_loss([0], [1.5])
    with pytest.raises(ValueError, match="no samples"):
        log_loss([], [])


def test_sqnr() -> None:
    reference = np.array([3.0, 4.0])
    assert sqnr_db(reference, reference + np.array([0.5, 0.0])) == pytest.approx(20.0)
    assert sqnr_db(reference, reference) == math.inf
    assert sqnr_db([0.0], [1.0]) == -math.inf
    assert math.isnan(sqnr_db([1.0], [math.nan]))
    with pytest.raises(ValueError, match="shape"):
        sqnr_db([1.0], [1.0, 2.0])


def test_sqnr_drops_six_decibels_per_halved_resolution() -> None:
    x = np.linspace(-1, 1, 100_003)
    fine, coarse = (np.round(x * levels) / levels for levels in (128, 64))
    assert sqnr_db(x, fine) - sqnr_db(x, coarse) == pytest.approx(20 * math.log10(2), abs=0.01)


def test_max_abs_error() -> None:
    assert max_abs_error([1.0, -2.0], [1.5, -5.0]) == 3.0
    assert max_abs_error([], []) == 0.0
    assert math.isnan(max_abs_error([1.0], [math.nan]))
    with pytest.raises(ValueError, match="shape"):
        max_abs_error([[1.0]], [1.0])


def test_normalised_entropy_of_the_background_guess_is_one() -> None:
    labels = np.array([1, 0, 0, 0, 1, 0, 0, 0])
    assert normalised_entropy(labels, np.full(8, 0.25)) == pytest.approx(1.0, abs=1e-15)
    assert background_entropy(labels) == pytest.approx(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)))
    better = np.where(labels, 0.5, 0.1)
    by_hand = -(2 * math.log(0.5) + 6 * math.log(0.9)) / 8 / background_entropy(labels)
    assert normalised_entropy(labels, better) == pytest.approx(by_hand)
    with pytest.raises(ValueError, match="one positive and one negative"):
        background_entropy([1, 1])


def test_cross_entropies_are_clipped_and_average_to_the_log_loss() -> None:
    each = cross_entropies([1, 0, 1], [0.0, 0.0, 0.5])
    np.testing.assert_allclose(each, [-math.log(1e-7), -math.log1p(-1e-7), math.log(2)])
    assert log_loss([1, 0, 1], [0.0, 0.0, 0.5]) == pytest.approx(each.mean())
