"""Scopes: which watts are in which."""

from __future__ import annotations

import pytest

from cimc.study.baseline.scopes import CostTerms, scopes_of

PARTS = {"array rows": 30.0, "ADC": 50.0, "router": 20.0, "host link": 10.0, "DRAM": 5.0}


def test_each_scope_holds_its_terms() -> None:
    arrays, chip, whole = scopes_of(CostTerms(80.0, PARTS, 3.0, ("clock",)), 1e9, 2.0)
    assert arrays.watts == pytest.approx(0.080)
    assert chip.watts == pytest.approx(0.100)
    assert dict(whole.terms_w) == pytest.approx(
        {"chip, dynamic": 0.1, "host link": 0.01, "DRAM": 0.005, "one host core": 2.0, "static power": 3.0}
    )
    assert "static power of clock" in whole.includes
    assert whole.requests_per_joule == pytest.approx(1e9 / 5.115)


def test_what_is_not_stated_is_named() -> None:
    *_, whole = scopes_of(CostTerms(80.0, {"ADC": 50.0}), 1e6, 2.0)
    assert "static power, which the cost model states nowhere" in whole.includes
    assert "DRAM, which the target states no energy of" in whole.includes
    assert "static power" not in whole.terms_w


@pytest.mark.parametrize("static", [None, {"watts": 1.5, "missing": ["routers"]}])
def test_terms_of_a_cost_report(static: dict[str, object] | None) -> None:
    report = {"array_energy_pj": 8.0, "energy": {"ADC": {"pj": 8.0}, "bus": {"pj": 2.0}}, "host_segments": 1}
    terms = CostTerms.of(report if static is None else {**report, "static_power": static})
    assert (terms.arrays_pj, dict(terms.parts_pj), terms.host_segments) == (8.0, {"ADC": 8.0, "bus": 2.0}, 1)
    assert (terms.static_w, terms.static_missing) == ((None, ()) if static is None else (1.5, ("routers",)))


def test_a_scope_without_power_has_no_requests_per_joule() -> None:
    assert scopes_of(CostTerms(0.0, {}), 1e6, 1.0)[0].requests_per_joule is None
