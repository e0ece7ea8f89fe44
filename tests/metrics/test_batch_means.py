"""Batch means: coverage of known truths on series whose terms depend on each other."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cimc.metrics.batch_means import (
    half_width,
    mean_estimate,
    quantile_estimate,
    rate_estimate,
    settled,
    transient,
)
from cimc.metrics.intervals import Estimate


def holds(found: Estimate, truth: float) -> bool:
    assert found.low is not None
    assert found.high is not None
    return found.low <= truth <= found.high


def autoregressive(rng: np.random.Generator, terms: int, alike: float) -> np.ndarray:
    """A stationary first-order autoregression of mean 0 and variance 1."""
    noise = rng.normal(0, math.sqrt(1 - alike**2), terms)
    noise[0] = rng.normal()
    for i in range(1, terms):
        noise[i] += alike * noise[i - 1]
    return noise


@pytest.mark.parametrize("alike", [0.0, 0.5, 0.9])
def test_means_and_quantiles_hold_the_truth(alike: float) -> None:
    rng = np.random.default_rng(0)
    mean = middle = tail = 0
    for _ in range(400):
        series = 5.0 + autoregressive(rng, 2000, alike)
        mean += holds(mean_estimate(series), 5.0)
        middle += holds(quantile_estimate(series, 0.5), 5.0)
        tail += holds(quantile_estimate(series, 0.95), 5.0 + 1.6448536)
    for held in (mean, middle, tail):
        assert 0.92 <= held / 400 <= 0.98


def test_batches_without_dependence_between_terms_would_be_too_narrow() -> None:
    """Why there are batches: taken as independent, terms of the same series give a seventh of the truth."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        series = autoregressive(rng, 2000, 0.9)
        held += abs(series.mean()) <= 1.96 * series.std() / math.sqrt(2000)
    assert held / 200 < 0.5


def test_rates_hold_the_truth() -> None:
    rng = np.random.default_rng(1)
    held = sum(holds(rate_estimate(rng.exponential(0.25, 800)), 4.0) for _ in range(1000))
    assert 0.92 <= held / 1000 <= 0.98


def test_what_is_equal_has_no_width() -> None:
    assert half_width(np.full(100, 3.3)) == 0.0
    found = rate_estimate(np.full(100, 0.5))
    assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)


def test_a_transient_is_found_and_a_trend_is_not_settled() -> None:
    rng = np.random.default_rng(2)
    series = rng.normal(0, 1, 1000)
    assert settled(series)
    series[:200] += 30 * np.exp(-np.arange(200) / 40)
    assert 100 <= transient(series) <= 260
    assert settled(series)
    assert not settled(series + np.arange(1000))
    assert not settled(np.append(np.zeros(700), np.ones(300)) + rng.normal(0, 0.01, 1000))
    assert transient(np.full(1000, 1e6)) == 0


def test_mser_equals_its_definition() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        series = rng.normal(0, 1, 200) + 5 * np.exp(-np.arange(200) / rng.integers(1, 40))
        means = series.reshape(40, 5).mean(axis=1)
        figures = [means[d:].var() / (40 - d) for d in range(35)]
        assert transient(series) == 5 * int(np.argmin(figures))
