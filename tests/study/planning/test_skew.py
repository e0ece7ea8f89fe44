"""Shares of reads in closed form are those of the rows one by one."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.study.planning.skew import Skew, block_runs, touched


@pytest.mark.parametrize("exponent", [0.0, 0.6, 0.85, 1.0, 1.2, 2.5])
def test_a_zipf_law_is_the_sum_of_its_rows(exponent: float) -> None:
    rows = 5000
    weight = np.arange(1.0, rows + 1) ** -exponent
    want = np.concatenate([[0.0], np.cumsum(weight)]) / weight.sum()
    np.testing.assert_allclose(Skew(rows, exponent).share(np.arange(rows + 1.0)), want, rtol=2e-4, atol=1e-9)


def test_steps_are_even_between_them() -> None:
    law = Skew(100, steps=((10.0, 0.5), (100.0, 1.0)))
    np.testing.assert_allclose(law.share(np.array([0.0, 5.0, 10.0, 55.0, 100.0])), [0, 0.25, 0.5, 0.75, 1])


@pytest.mark.parametrize("rows", [1, 511, 512, 513, 100_000])
def test_runs_are_all_blocks_once(rows: int) -> None:
    law, height = Skew(rows, 0.9), 512
    runs, shares = block_runs(law, height), law.of_blocks(height)
    assert runs.first[0] == 0
    np.testing.assert_array_equal(np.cumsum(runs.count), np.append(runs.first[1:], len(shares)))
    for first, count, share in zip(runs.first, runs.count, runs.share, strict=True):
        assert share * count == pytest.approx(shares[first : first + count].sum())
    assert (np.diff(runs.share) <= 1e-15).all()


def test_runs_of_a_huge_table_are_few() -> None:
    assert len(block_runs(Skew(10**12, 0.8), 512).first) < 150


def test_touched_is_what_draws_touch() -> None:
    rng, share = np.random.default_rng(0), np.array([0.6, 0.3, 0.1])
    drawn = rng.choice(3, size=(100_000, 4), p=share)
    seen = np.array([(drawn == k).any(axis=1).mean() for k in range(3)])
    np.testing.assert_allclose(touched(share, ((4.0, 1.0),)), seen, atol=0.005)
    np.testing.assert_allclose(touched(share, ((0.5, 1.0),)), share / 2)
