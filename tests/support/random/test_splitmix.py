"""Counter-based random numbers: the published generator, its moments, its distribution, its independence."""

import numpy as np
import pytest

from cimc.support.random import splitmix


def test_words_are_those_of_splitmix64():
    # first outputs of the reference implementation seeded with 1234567
    assert splitmix.words(1234567, np.arange(3)).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]
    assert splitmix.fold(1234567, 2) == 9817491932198370423


def test_the_compiled_generator_is_the_same():
    compiled = pytest.importorskip("cimc.sim.devices.kernels.compiled")
    from numba import njit

    @njit
    def first(keys, n):
        out = np.empty((len(keys), n), np.uint64)
        for i in range(len(keys)):
            for j in range(n):
                out[i, j] = compiled._word(keys[i], j)
        return out

    keys = splitmix.words(5, np.arange(7))
    assert (first(keys, 9) == splitmix.words(keys[:, None], np.arange(9))).all()


def test_normal_quantiles_have_the_moments_of_a_normal():
    table = splitmix.normal_quantiles()
    assert abs(table.mean()) < 1e-15
    assert np.mean(table**2) == pytest.approx(1.0, abs=1e-12)
    assert np.mean(table**4) == pytest.approx(3.0, rel=2e-3)
    assert (np.diff(table) > 0).all()
    assert 4.2 < table[-1] < 4.4


def test_deviates_of_conversions_are_those_quantiles():
    table, exact = splitmix.deviates().astype(np.float64), splitmix.normal_quantiles()
    assert np.abs(table - exact).max() < 8e-5
    assert (table == -table[::-1]).all()
    assert (np.diff(table) > 0).all()
    assert np.mean(table**2) == pytest.approx(1.0, abs=1e-7)
    assert np.mean(table**4) == pytest.approx(np.mean(exact**4), rel=1e-4)


def _deviates(key, n):
    words = splitmix.words(key, np.arange(n))
    return splitmix.deviates()[splitmix.lane(words[:, None], np.arange(4)[None])].astype(np.float64)


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
    first = splitmix.deviates()[splitmix.lane(splitmix.words(keys, 0), 0)]
    assert abs(np.mean(first[:-1] * first[1:])) < limit
    assert abs(first.mean()) < limit


def test_bits_are_balanced_and_keys_change_half_of_them():
    words = splitmix.words(splitmix.fold(0, 1), np.arange(1 << 14))
    bits = (words[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 4.5 * 0.5 / np.sqrt(1 << 14)
    other = splitmix.words(splitmix.fold(0, 2), np.arange(1 << 14))
    flipped = ((words ^ other)[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(flipped.mean(axis=0) - 0.5).max() < 4.5 * 0.5 / np.sqrt(1 << 14)


def test_names_and_seeds_give_different_keys():
    keys = {splitmix.name_key(seed, name) for seed in range(50) for name in ("a", "b", "emb.0", "emb.1")}
    assert len(keys) == 200


def test_accepted_quantiles_are_a_cut_normal():
    table = splitmix.accepted_quantiles(1.0, 1.0)
    assert np.abs(table).max() <= 1.0
    # variance of a standard normal cut to +/-1: 1 - 2 f(1) / (2 F(1) - 1)
    assert np.mean(table**2) == pytest.approx(0.29112509, rel=1e-4)


def test_cells_that_do_not_converge_lie_beyond_the_band():
    table = splitmix.accepted_quantiles(1.0, 0.99)
    assert np.mean(np.abs(table) > 1.0) == pytest.approx(0.01, abs=2e-5)
    assert (np.diff(table) > 0).all()
