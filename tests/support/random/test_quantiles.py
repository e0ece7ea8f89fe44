"""Normal deviates: their moments, distribution and independence, and the tables of verified cells."""

import numpy as np
import pytest

from cimc.support.random import quantiles, splitmix


def test_normal_quantiles_have_the_moments_of_a_normal():
    table = quantiles.normal_quantiles()
    assert abs(table.mean()) < 1e-15
    assert np.mean(table**2) == pytest.approx(1.0, abs=1e-12)
    assert np.mean(table**4) == pytest.approx(3.0, rel=2e-3)
    assert (np.diff(table) > 0).all()
    assert 4.2 < table[-1] < 4.4


def test_deviates_of_conversions_are_those_quantiles():
    table, exact = quantiles.deviates().astype(np.float64), quantiles.normal_quantiles()
    assert np.abs(table - exact).max() < 8e-5
    assert (table == -table[::-1]).all()
    assert (np.diff(table) > 0).all()
    assert np.mean(table**2) == pytest.approx(1.0, abs=1e-7)
    assert np.mean(table**4) == pytest.approx(np.mean(exact**4), rel=1e-4)


def _deviates(key, n):
    words = splitmix.words(key, np.arange(n))
    return quantiles.deviates()[quantiles.lane(words[:, None], np.arange(4)[None])].astype(np.float64)


def test_deviates_are_standard_normal():
    z = _deviates(7, 1 << 17).ravel()
    n = z.size
    assert abs(z.mean()) < 4 / np.sqrt(n)
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / n)
    assert abs(np.mean(z**3)) < 4 * np.sqrt(15 / n)
    assert abs(np.mean(z**4) - 3) < 4 * np.sqrt(96 / n)
    # Kolmogorov-Smirnov: the table's own distribution has steps of 2**-16
    from statistics import NormalDist

    ordered = np.sort(z)
    at = np.linspace(0, n - 1, 2000).astype(int)
    expected = np.array([NormalDist().cdf(v) for v in ordered[at]])
    assert np.abs(expected - (at + 0.5) / n).max() < 1.95 / np.sqrt(n) + 2**-15  # 1 in 1,000


def test_neighbouring_counters_keys_and_lanes_are_uncorrelated():
    n = 1 << 16
    z = _deviates(11, n)
    limit = 4.5 / np.sqrt(n)
    for lag in (1, 2, 3, 64):
        for a in range(4):
            for b in range(4):
                assert abs(np.mean(z[:-lag, a] * z[lag:, b])) < limit
    for a in range(4):
        for b in range(a):
            assert abs(np.mean(z[:, a] * z[:, b])) < limit
    keys = splitmix.words(3, np.arange(n + 1))  # streams of neighbouring requests
    first = quantiles.deviates()[quantiles.lane(splitmix.words(keys, 0), 0)]
    assert abs(np.mean(first[:-1] * first[1:])) < limit
    assert abs(first.mean()) < limit


def test_accepted_quantiles_are_a_cut_normal():
    table = quantiles.accepted_quantiles(1.0, 1.0)
    assert np.abs(table).max() <= 1.0
    # variance of a standard normal cut to +/-1: 1 - 2 f(1) / (2 F(1) - 1)
    assert np.mean(table**2) == pytest.approx(0.29112509, rel=1e-4)


def test_cells_that_do_not_converge_lie_beyond_the_band():
    table = quantiles.accepted_quantiles(1.0, 0.99)
    assert np.mean(np.abs(table) > 1.0) == pytest.approx(0.01, abs=2e-5)
    assert (np.diff(table) > 0).all()
