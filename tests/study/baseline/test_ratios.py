"""Ratios are what they say: quotients of stated figures, scope by scope."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cimc.report.blocks import plain
from cimc.study.baseline.bounded_load import BoundedLoad
from cimc.study.baseline.ratios import BOUND, load_ratios, ratios
from cimc.study.baseline.request_batches import digest_of
from cimc.study.baseline.scopes import CostTerms
from tests.study.baseline.baselines import BASELINE

TERMS = CostTerms(80.0, {"ADC": 80.0, "router": 20.0, "host link": 10.0})


def test_ratios_are_quotients_of_the_best_rows() -> None:
    found = ratios(BASELINE, TERMS, 1e6, BOUND).to_json()
    arrays, _, whole = found["scopes"]
    assert arrays["ratios"]["fused"]["requests_per_s"] == pytest.approx(1e6 / 20_000)
    assert arrays["ratios"]["best"] == arrays["ratios"]["fused"]
    assert arrays["ratios"]["onnxruntime"]["requests_per_s"] == pytest.approx(1e6 / 4000)
    assert arrays["ratios"]["onnxruntime"]["requests_per_joule"] == pytest.approx(1e6 / 80e-6 / 200)
    watts = 110e-6 + BASELINE.watts_per_core
    assert whole["ratios"]["fused"]["requests_per_joule"] == pytest.approx(1e6 / watts / 4000)
    assert found["rows"]["onnxruntime"]["requests_per_joule"]["batch"] == 16


def test_people_read_scopes_power_and_what_was_left_out() -> None:
    text = plain(ratios(BASELINE, TERMS, 1e6, BOUND).blocks())
    scopes = ("arrays", "chip, dynamic", "whole system")
    for part in (*scopes, "5 W a core, stated", "not installed", "MLPerf", BOUND):
        assert part in text


def test_without_a_fused_reference_there_is_no_ratio_to_it() -> None:
    alone = replace(BASELINE, rows=BASELINE.rows[:2])
    found = ratios(alone, TERMS, 1e6, BOUND)
    assert set(found.rows) == {"best", "onnxruntime"}
    assert "x fused" not in plain(found.blocks())


def test_other_requests_are_noted() -> None:
    x = np.arange(4)
    same = replace(BASELINE, requests_digest=digest_of({"x": x}))
    for arrays, noted in (({"x": x, "labels": x}, False), ({"x": x + 1}, True), ({}, True)):
        notes = ratios(same, TERMS, 1e6, BOUND, arrays).notes
        assert any("other requests" in note for note in notes) is noted


def test_a_bound_on_latency_holds_for_both() -> None:
    bounded = BoundedLoad(0.1e9, 5e5, 0.09e9, 100)
    found = load_ratios(BASELINE, TERMS, 1e6, {}, bounded)
    assert found["load"].scopes[0].requests_per_s == 1e6
    kept = found["at_p99"]
    assert kept.scopes[0].requests_per_s == 5e5
    assert kept.rows["onnxruntime"][0].batch == 16
    none = load_ratios(BASELINE, TERMS, 1e6, {}, BoundedLoad(1e3, None, 2e3, 100))["at_p99"]
    assert none.scopes == ()
    assert none.rows == {}
    assert any("no row of fused" in note for note in none.notes)
    assert any("no rate" in note for note in none.notes)


def test_an_engine_without_rows_is_not_said_to_miss_the_bound() -> None:
    """It was not measured, which another note says."""
    alone = replace(BASELINE, rows=BASELINE.rows[:2])
    notes = ratios(alone, TERMS, 1e6, BOUND, None, 1e-6).notes
    assert "no row of onnxruntime keeps the bound" in notes
    assert not any("no row of fused keeps" in note for note in notes)


def test_host_segments_are_told() -> None:
    for number, text in ((2, "2 host segments of"), (1, "1 host segment of")):
        notes = ratios(BASELINE, replace(TERMS, host_segments=number), 1e6, BOUND).notes
        assert any(text in note for note in notes)
