"""Intervals over chips and requests: coverage of a known truth, and what they are made of."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from cimc.metrics.intervals import DELONG, NORMAL, PAIRED, QUERIES, WILSON, Estimate
from cimc.metrics.scores import auc, sqnr_db
from cimc.metrics.two_way import (
    TWO_WAY,
    auc_drop_sample,
    auc_sample,
    estimate,
    mean_sample,
    sqnr_sample,
)


def holds(found: Estimate, truth: float) -> bool:
    assert found.low is not None
    assert found.high is not None
    return found.low <= truth <= found.high


@pytest.mark.parametrize("chips_sd", [0.0, 0.03, 0.3])
@pytest.mark.parametrize("chips", [3, 5, 20])
def test_means_over_chips_and_requests_hold_the_truth(chips: int, chips_sd: float) -> None:
    """Chips, requests and their interaction are drawn anew each time; 0 is the truth."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(1500):
        table = (
            rng.normal(0, chips_sd, (chips, 1)) + rng.normal(0, 0.5, 100) + rng.normal(0, 0.4, (chips, 100))
        )
        held += holds(estimate([mean_sample(row) for row in table]), 0.0)
    assert 0.92 <= held / 1500 <= 0.98


def test_intervals_over_chips_alone_do_not_hold_it() -> None:
    """Why requests count: five chips agree with each other about the same 100 requests."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        table = rng.normal(0, 0.03, (5, 1)) + rng.normal(0, 0.5, 100) + rng.normal(0, 0.1, (5, 100))
        figures = table.mean(axis=1)
        held += abs(figures.mean()) <= 2.7764 * figures.std(ddof=1) / math.sqrt(5)
    assert held / 400 < 0.6


@pytest.mark.parametrize("chips_sd", [0.0, 0.2])
def test_auc_over_chips_and_requests_holds_the_truth(chips_sd: float) -> None:
    """Scores of positives are higher by a distance that each chip draws; requests are common."""
    rng = np.random.default_rng(3)
    noise = math.sqrt(2 * (1.0 + 0.5**2))
    truth = NormalDist().cdf(1.0 / math.sqrt(noise**2 + chips_sd**2))
    held = 0
    for _ in range(500):
        labels = rng.random(300) < 0.3
        common = rng.normal(0, 1, 300)
        scores = [labels * rng.normal(1, chips_sd) + common + rng.normal(0, 0.5, 300) for _ in range(5)]
        held += holds(estimate([auc_sample(labels, s) for s in scores]), truth)
    assert 0.92 <= held / 500 <= 0.98


def test_a_fall_of_auc_over_chips_and_requests_holds_the_truth() -> None:
    """Noise that each chip adds to scores lets AUC fall by a known amount."""
    rng = np.random.default_rng(4)
    before, after = (NormalDist().cdf(1 / math.sqrt(2 * v)) for v in (1.0, 1.0 + 0.7**2))
    held = 0
    for _ in range(500):
        labels = rng.random(300) < 0.3
        first = labels + rng.normal(0, 1, 300)
        drops = [auc_drop_sample(labels, first, first + rng.normal(0, 0.7, 300)) for _ in range(5)]
        held += holds(estimate(drops), before - after)
    assert 0.92 <= held / 500 <= 0.98


def test_sqnr_of_one_run_holds_the_truth() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(600):
        reference = rng.normal(0, 1, (150, 4))
        found = estimate([sqnr_sample(reference, reference + rng.normal(0, 0.1, (150, 4)))])
        held += holds(found, 20.0)
    assert 0.92 <= held / 600 <= 0.98
    assert estimate([sqnr_sample(reference, reference)]).low is None
    assert sqnr_sample(reference, 1.1 * reference).value == pytest.approx(sqnr_db(reference, 1.1 * reference))


def test_the_parts_of_the_variance() -> None:
    table = np.array([[1.0, 2.0, 6.0], [3.0, 4.0, 8.0]])  # no interaction
    found = estimate([mean_sample(row) for row in table])
    assert (found.value, found.method) == (4.0, TWO_WAY)
    assert found.chips_sd == pytest.approx(math.sqrt(2.0))
    assert found.requests_se == pytest.approx(np.std([2.0, 3.0, 7.0], ddof=1) / math.sqrt(3))


def test_equal_chips_are_as_one() -> None:
    values = np.random.default_rng(6).normal(0, 1, 500)
    one, five = estimate([mean_sample(values)]), estimate([mean_sample(values)] * 5)
    assert one.method == NORMAL
    assert (five.chips_sd, five.requests_se) == (0.0, pytest.approx((one.high - one.value) / 1.959964))  # type: ignore[operator]
    assert five.high == pytest.approx(one.high, rel=0.01)


def test_auc_of_one_run_is_delongs() -> None:
    rng = np.random.default_rng(0)
    found, widths = [], []
    for _ in range(300):
        labels = rng.random(400) < 0.3
        scores = rng.normal(labels, 1.0)
        one = estimate([auc_sample(labels, scores)])
        assert one.low is not None
        assert one.high is not None
        assert one.method == DELONG
        found.append(one.value)
        widths.append((one.high - one.low) / (2 * 1.96))
    assert np.mean(widths) == pytest.approx(np.std(found), rel=0.15)


def test_a_drop_is_paired() -> None:
    rng = np.random.default_rng(1)
    labels = rng.random(1000) < 0.3
    scores = rng.normal(labels, 1.0)
    near = scores + rng.normal(0, 0.02, 1000)
    drop, alone = estimate([auc_drop_sample(labels, scores, near)]), estimate([auc_sample(labels, scores)])
    assert drop.value == auc(labels, scores) - auc(labels, near)
    assert drop.method == PAIRED
    assert drop.high - drop.low < 0.1 * (alone.high - alone.low)  # type: ignore[operator]
    same = estimate([auc_drop_sample(labels, scores, scores)])
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_intervals_stay_within_what_an_auc_can_be() -> None:
    found = estimate([auc_sample([0, 1, 0, 1, 1], [0.1, 0.2, 0.15, 0.9, 0.12])])
    assert found.low is not None
    assert 0.0 <= found.low <= found.value
    assert found.high == 1.0


def test_no_interval_where_the_data_give_none() -> None:
    one_positive = estimate([auc_sample([1, 0, 0, 0], [0.5, 0.1, 0.7, 0.2])])
    assert (one_positive.low, one_positive.high, one_positive.method) == (None, None, "")
    assert estimate([auc_drop_sample([1, 0, 0], [0.5, 0.1, 0.7], [0.5, 0.6, 0.7])]).low is None
    apart = estimate([auc_sample([1, 1, 0, 0], [4, 3, 2, 1])])
    assert (apart.value, apart.low, apart.high) == (1.0, None, None)
    assert estimate([mean_sample([2.0])]).low is None


def test_shares_of_one_run_are_wilsons() -> None:
    hits = estimate([mean_sample([0.0, 1.0, 1.0, 1.0], QUERIES, bounded=True)])
    assert (hits.value, hits.method) == (0.75, WILSON)
    parts = estimate([mean_sample([0.0, 0.5, 1.0, 1.0], QUERIES, bounded=True)])
    assert (parts.value, parts.method) == (0.625, QUERIES)
