"""Intervals: against brute force and simulation, and what they say of themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.metrics import intervals
from cimc.metrics.intervals import (
    Estimate,
    delong_covariance,
    mid_ranks,
    multiplicity,
    student_t,
    wilson,
)

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


def test_wilson_holds_the_truth() -> None:
    rng = np.random.default_rng(0)
    for truth, trials in ((0.5, 20), (0.05, 100), (0.99, 400)):
        held = 0
        for _ in range(2000):
            found = wilson(int(rng.binomial(trials, truth)), trials)
            assert found.low is not None
            assert found.high is not None
            held += found.low <= truth <= found.high
        assert 0.92 <= held / 2000 <= 0.98


def test_wilson_by_its_definition() -> None:
    """The interval holds the shares p with |hits / n - p| <= z sqrt(p (1 - p) / n)."""
    found, z = wilson(7, 50), intervals.Z
    for p in (found.low, found.high):
        assert p is not None
        assert abs(7 / 50 - p) == pytest.approx(z * math.sqrt(p * (1 - p) / 50))
    assert (wilson(0, 9).low, wilson(9, 9).high) == (0.0, 1.0)
    assert wilson(3, 4).method == intervals.WILSON
    for hits, of in ((1, 0), (-1, 3), (4, 3)):
        with pytest.raises(ValueError, match="hits"):
            wilson(hits, of)


def test_multiplicity() -> None:
    assert multiplicity(1) == ""
    assert multiplicity(20).startswith("20 variants are compared")
    assert "1.54 times" in multiplicity(20)  # 3.0233 / 1.9600


def test_json_has_a_key_per_attribute() -> None:
    assert Estimate(1.5).to_json() == {
        "value": 1.5, "low": None, "high": None, "method": "", "chips_sd": None, "requests_se": None
    }  # fmt: skip


def test_mid_ranks() -> None:
    np.testing.assert_array_equal(mid_ranks(np.array([3.0, 1.0, 3.0, 2.0])), [3.5, 1.0, 3.5, 2.0])
