"""Intervals: against brute force and simulation, and what they say of themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.metrics import intervals
from cimc.metrics.intervals import (
    auc_drop,
    auc_estimate,
    delong_covariance,
    mean_over_requests,
    mid_ranks,
    over_seeds,
    student_t,
)
from cimc.metrics.scores import auc

SAMPLES = st.lists(
    st.tuples(st.booleans(), st.integers(-3, 3), st.integers(-3, 3)), min_size=4, max_size=30
).filter(lambda rows: 2 <= sum(y for y, _, _ in rows) <= len(rows) - 2)


def placements(labels: list[bool], scores: list[int]) -> tuple[list[float], list[float]]:
    """DeLong's structural components by their definition."""
    pos = [s for y, s in zip(labels, scores, strict=True) if y]
    neg = [s for y, s in zip(labels, scores, strict=True) if not y]

    def psi(x: float, y: float) -> float:
        return 1.0 if x > y else 0.5 if x == y else 0.0

    return (
        [sum(psi(p, n) for n in neg) / len(neg) for p in pos],
        [sum(psi(p, n) for p in pos) / len(pos) for n in neg],
    )


@given(SAMPLES)
def test_delong_covariance_equals_its_definition(rows: list[tuple[bool, int, int]]) -> None:
    labels = [y for y, _, _ in rows]
    both = [[a for _, a, _ in rows], [b for _, _, b in rows]]
    parts = [placements(labels, scores) for scores in both]
    expected = np.zeros((2, 2))
    for which in (0, 1):
        n = len(parts[0][which])
        for i in range(2):
            for j in range(2):
                a, b = parts[i][which], parts[j][which]
                mean_a, mean_b = sum(a) / n, sum(b) / n
                covariance = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True)) / (n - 1)
                expected[i, j] += covariance / n
    np.testing.assert_allclose(delong_covariance(labels, both), expected, atol=1e-12)


def test_delong_covers_the_spread_of_auc_over_draws() -> None:
    rng = np.random.default_rng(0)
    found, widths = [], []
    for _ in range(300):
        labels = rng.random(400) < 0.3
        scores = rng.normal(labels, 1.0)
        estimate = auc_estimate(labels, scores)
        assert estimate.low is not None
        assert estimate.high is not None
        found.append(estimate.value)
        widths.append((estimate.high - estimate.low) / (2 * 1.96))
    assert np.mean(widths) == pytest.approx(np.std(found), rel=0.15)


def test_a_drop_is_paired() -> None:
    rng = np.random.default_rng(1)
    labels = rng.random(1000) < 0.3
    scores = rng.normal(labels, 1.0)
    near = scores + rng.normal(0, 0.02, 1000)
    drop = auc_drop(labels, scores, near)
    alone = auc_estimate(labels, scores)
    assert drop.value == auc(labels, scores) - auc(labels, near)
    assert drop.low is not None
    assert drop.high is not None
    assert alone.low is not None
    assert alone.high is not None
    assert drop.high - drop.low < 0.1 * (alone.high - alone.low)
    same = auc_drop(labels, scores, scores)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_intervals_stay_within_what_an_auc_can_be() -> None:
    estimate = auc_estimate([0, 1, 0, 1, 1], [0.1, 0.2, 0.15, 0.9, 0.12])
    assert estimate.low is not None
    assert estimate.high is not None
    assert 0.0 <= estimate.low <= estimate.value <= estimate.high <= 1.0
    assert estimate.high == 1.0


def test_student_t() -> None:
    assert student_t(1) == pytest.approx(12.7062)
    assert student_t(4) == pytest.approx(2.7764)
    assert student_t(30) == pytest.approx(2.0423, abs=2e-4)
    assert student_t(120) == pytest.approx(1.9799, abs=2e-4)
    assert student_t(21) == pytest.approx(2.0796, abs=1e-4)
    values = [student_t(n) for n in range(1, 200)]
    assert values == sorted(values, reverse=True)
    with pytest.raises(ValueError, match="freedom"):
        student_t(0)


def test_over_seeds() -> None:
    estimate = over_seeds([1.0, 2.0, 3.0])
    half = 4.3027 * 1.0 / math.sqrt(3)
    assert estimate.value == 2.0
    assert estimate.low == pytest.approx(2.0 - half)
    assert estimate.high == pytest.approx(2.0 + half)
    assert estimate.method == intervals.SEEDS
    assert over_seeds([1.5]).to_json() == {"value": 1.5, "low": None, "high": None, "method": ""}
    assert over_seeds([math.inf, 1.0]).low is None


def test_mean_over_requests() -> None:
    values = np.array([1.0, 2.0, 3.0, 6.0])
    estimate = mean_over_requests(values)
    half = 1.959964 * values.std(ddof=1) / 2
    assert (estimate.value, estimate.method) == (3.0, intervals.NORMAL)
    assert estimate.high == pytest.approx(3.0 + half, rel=1e-6)
    assert mean_over_requests([2.0]).low is None


def test_mid_ranks() -> None:
    np.testing.assert_array_equal(mid_ranks(np.array([3.0, 1.0, 3.0, 2.0])), [3.5, 1.0, 3.5, 2.0])


def test_no_interval_where_the_data_give_none() -> None:
    one_positive = auc_estimate([1, 0, 0, 0], [0.5, 0.1, 0.7, 0.2])
    assert (one_positive.low, one_positive.high, one_positive.method) == (None, None, "")
    assert auc_drop([1, 0, 0], [0.5, 0.1, 0.7], [0.5, 0.6, 0.7]).low is None
    apart = auc_estimate([1, 1, 0, 0], [4, 3, 2, 1])
    assert (apart.value, apart.low, apart.high) == (1.0, None, None)
    same = auc_drop([1, 1, 0, 0], [4, 2, 3, 1], [8, 4, 6, 2])
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
