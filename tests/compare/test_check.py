"""The rule of ``--check``."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.compare.check import Bound, Check, check_outputs
from cimc.errors import RequestError
from cimc.metrics.intervals import wilson


def check(want: object, have: object, bound: Bound | None = None, labels: object = None) -> Check:
    given_labels = None if labels is None else np.asarray(labels)
    return check_outputs({"y": np.asarray(want)}, {"y": np.asarray(have)}, bound or Bound(), given_labels)


def noisy(db: float) -> tuple[np.ndarray, np.ndarray]:
    """A reference, and a value whose SQNR is exactly ``db``."""
    want = np.random.default_rng(0).standard_normal(1000)
    noise = np.random.default_rng(1).standard_normal(1000)
    scale = math.sqrt(np.sum(want**2) / np.sum(noise**2) / 10 ** (db / 10))
    return want, want + scale * noise


def test_equal_outputs_pass() -> None:
    found = check([1.0, 2.0], [1.0, 2.0])
    assert found.passed
    assert found.outputs[0].sqnr_db == math.inf
    assert found.outputs[0].max_abs_error == 0


@given(st.floats(-10, 60))
def test_sqnr_decides_for_outputs_that_vary(db: float) -> None:
    want, have = noisy(db)
    tight = Bound(peak_share=None)
    assert check(want, have, tight).passed == (check(want, have).outputs[0].sqnr_db >= 15)


def test_outputs_that_are_mostly_zero_pass_by_the_peak() -> None:
    want, have = np.zeros(1000), np.full(1000, 0.04)
    want[0] = have[0] = 1.0  # SQNR -2 dB, largest error 4 % of the peak
    assert check(want, have).passed
    have[1:] = 0.06
    assert not check(want, have).passed


def test_bounds_of_the_user_replace_the_default_and_must_all_hold() -> None:
    want, have = noisy(20)
    worst = float(np.abs(want - have).max())
    assert check(want, have, Bound.of(19)).passed
    assert not check(want, have, Bound.of(21)).passed
    assert check(want, have, Bound.of(None, worst * 1.01)).passed
    assert not check(want, have, Bound.of(None, worst * 0.99)).passed
    assert not check(want, have, Bound.of(19, worst * 0.99)).passed
    assert Bound.of() == Bound()


def test_integer_outputs_must_mostly_be_equal() -> None:
    want = np.arange(100)
    have = want.copy()
    have[:5] += 1000
    assert check(want, have).passed
    have[5] += 1
    assert not check(want, have).passed
    assert check(np.array([True, False]), np.array([True, False])).passed


def test_a_share_of_equal_elements_has_an_interval_where_requests_have_one_each() -> None:
    want = np.arange(100)
    have = want.copy()
    have[:5] += 1000
    one = check(want, have).outputs[0]
    share = wilson(95, 100)
    assert (one.equal, one.equal_low, one.equal_high) == (share.value, share.low, share.high)
    assert check(want[:, np.newaxis], have[:, np.newaxis]).outputs[0].equal_low == share.low
    assert check(want.reshape(50, 2), have.reshape(50, 2)).outputs[0].equal_low is None
    assert check(want.astype(float), want.astype(float)).outputs[0].equal_low is None


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_elements_that_are_not_finite_must_be_the_same(odd: float) -> None:
    want = np.array([1.0, odd, 3.0])
    found = check(want, want.copy())
    assert found.passed
    assert found.outputs[0].not_finite == 1
    assert not check(want, np.array([1.0, 2.0, 3.0])).passed
    assert not check(np.array([1.0, 2.0, 3.0]), want).passed


def test_shapes_must_agree() -> None:
    found = check(np.zeros((2, 3)), np.zeros((2, 4)))
    assert not found.passed
    assert "shape [2, 4] instead of [2, 3]" in found.outputs[0].failures[0]


def test_labels_bring_auc_and_a_bound_on_its_fall() -> None:
    labels = np.repeat([0, 1], 500)
    want = np.linspace(0, 1, 1000)
    good, bad = want.copy(), want.copy()
    bad[400:600] = bad[400:600][::-1]  # close in value, in another order
    loose = Bound.of(0.0)
    assert check(want, good, loose, labels).outputs[0].auc_drop == 0
    found = check(want, bad, loose, labels)
    assert found.outputs[0].auc_drop == pytest.approx(0.04)
    low, high = found.outputs[0].auc_drop_low, found.outputs[0].auc_drop_high
    assert low is not None
    assert high is not None
    assert 0 < low < 0.04 < high < 0.08
    assert not found.passed
    assert "AUC falls by 0.0400" in str(found.error("it", "adc", []))


def test_labels_that_fit_no_output_or_are_of_one_class_are_noted() -> None:
    assert "no AUC" in check([1.0, 2.0], [1.0, 2.0], labels=[0, 1, 0]).notes[0]
    assert "no AUC" in check([1.0, 2.0], [1.0, 2.0], labels=[1, 1]).notes[0]
    with pytest.raises(RequestError):
        check([1.0, 2.0], [1.0, 2.0], labels=[1, 2])


def test_the_rule_is_printed_and_the_error_names_the_output() -> None:
    assert "15 dB" in str(Bound())
    assert "0.05" in str(Bound())
    found = check([1.0, 2.0], [2.0, 1.0])
    error = found.error("the program", "noisy", ["use more bits"])
    assert error.exit_code == 1
    assert "output 'y'" in error.message
    assert found.to_json()["passed"] is False
