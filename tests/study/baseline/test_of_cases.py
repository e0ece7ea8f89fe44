"""Cases of a study that have a baseline are set beside it; others are not."""

from __future__ import annotations

import pytest

from cimc.study.baseline.of_cases import case_blocks, case_json
from tests.study.baseline.baselines import BASELINE

ROW = {
    "model": "m", "target": "t", "strategy": "s", "seed": 0, "throughput_rps": 1e6, "static_w": 2.0,
    "array_energy_pj": 80.0, "energy_parts_pj": {"ADC": 80.0, "bus": 20.0},
}  # fmt: skip


def test_each_case_has_its_ratios() -> None:
    others = [{**ROW, "model": "n"}, {**ROW, "error": "x"}, {**ROW, "array_energy_pj": None}]
    (found,) = case_json([ROW, *others], {"m": BASELINE})
    assert (found["model"], found["strategy"]) == ("m", "s")
    assert found["scopes"][2]["terms_w"]["static power"] == 2.0
    assert found["scopes"][0]["ratios"]["fused"]["requests_per_s"] == pytest.approx(50)
    assert case_blocks([ROW, *others], {"m": BASELINE})[0].title == "m against a CPU"
