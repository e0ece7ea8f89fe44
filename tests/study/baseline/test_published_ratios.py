"""Published ratios over scopes, baselines and loads: sums on invented terms, written out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cimc.study.baseline.published_ratios import (
    ANCHORED,
    AtLoad,
    Line,
    Reference,
    lines_of,
    references_of,
)
from cimc.study.baseline.records import FUSED, ORT
from cimc.study.baseline.scopes import CostTerms
from tests.study.baseline.baselines import BASELINE, ROW

TERMS = CostTerms(80.0, {"ADC": 50.0, "array rows": 30.0, "router": 20.0, "DRAM": 10.0}, 4.0)
"""80 pJ in arrays, 100 on the chip, 110 with DRAM; 4 W always on."""
CPU = Reference("fused fp32", "fp32", 1e6, 1e5)
FULL, ALONE = AtLoad("64 in flight", 1e8, "a link"), AtLoad("one at a time", 1e6, "latency", alone=True)


def lines(*loads: AtLoad, cpus: tuple[Reference, ...] = (CPU,)) -> list[Line]:
    return lines_of("m", loads, TERMS, 2.0, cpus)


def test_every_scope_at_full_load_by_hand() -> None:
    arrays, chip, whole = lines(FULL)
    assert [line.times_per_s for line in (arrays, chip, whole)] == [100.0] * 3
    assert arrays.watts == pytest.approx(0.008)  # 80 pJ x 1e8
    assert arrays.times_per_joule == pytest.approx(1e8 / 0.008 / 1e5)
    assert chip.times_per_joule == pytest.approx(1e8 / 0.010 / 1e5)
    assert whole.watts == pytest.approx(0.010 + 0.001 + 4 + 2)  # chip, DRAM, static, host core
    assert whole.times_per_joule == pytest.approx(1e8 / 6.011 / 1e5)  # 166
    assert (whole.reached_per_s, whole.reached_per_joule) == (True, False)
    assert (chip.reached_per_s, chip.reached_per_joule) == (True, True)
    assert whole.spare_w == pytest.approx(1e8 / (181 * 1e5) - 6.011)  # 5.525 W are allowed
    assert arrays.spare_w == pytest.approx(1e8 / (181 * 1e5) - 0.008)


def test_power_to_spare_is_what_may_be_added() -> None:
    chip = lines(FULL)[1]
    assert chip.spare_w is not None
    for more, reached in ((0.999, True), (1.001, False)):
        static = replace(TERMS, static_w=0.0, parts_pj={"ADC": 100.0})
        watts = chip.spare_w * more
        whole = lines_of("m", [FULL], static, watts, [CPU])[2]
        assert whole.reached_per_joule is reached


def test_what_limits_is_named() -> None:
    arrays, chip, whole = lines(FULL)
    assert {line.limit_per_s for line in (arrays, chip, whole)} == {"a link"}
    assert arrays.limit_per_joule == "arrays (100%)"
    assert chip.limit_per_joule == "ADC (50%)"
    assert whole.limit_per_joule == "static power (67%)"


def test_every_line_names_its_scope_baseline_load_and_precision() -> None:
    found = lines(FULL, ALONE, cpus=(CPU, ANCHORED))
    assert len(found) == 2 * 3 * 2
    assert len({(line.scope, line.baseline, line.load) for line in found}) == len(found)
    assert all(line.model and line.precision for line in found)


def test_another_model_gets_no_verdict() -> None:
    for line in lines(FULL, cpus=(replace(ANCHORED, why_not="another model"),)):
        assert (line.reached_per_s, line.reached_per_joule, line.spare_w) == (None, None, None)
        assert line.times_per_s == pytest.approx(1e8 / (9949 * 270))
    assert ANCHORED.why_not


def test_a_cpu_of_one_request_at_a_time_stands_beside_such_a_load_only() -> None:
    alone = replace(CPU, name="alone", alone=True)
    loads = {line.load for line in lines(FULL, ALONE, cpus=(CPU, alone)) if line.baseline == "alone"}
    assert loads == {"one at a time"}


def test_a_scope_without_power_reaches_nothing() -> None:
    arrays = lines_of("m", [FULL], replace(TERMS, arrays_pj=0.0), 2.0, [CPU])[0]
    assert (arrays.times_per_joule, arrays.reached_per_joule, arrays.limit_per_joule) == (None, None, "")


def test_references_are_the_best_rows_and_a_socket_of_the_best_core() -> None:
    single = replace(ROW, batch=1, requests_per_s=500.0, requests_per_joule=90.0)
    two = replace(ROW, engine=FUSED, streams=2, requests_per_s=30_000.0, requests_per_joule=3000.0)
    found = {each.name: each for each in references_of(replace(BASELINE, rows=(*BASELINE.rows, single, two)))}
    assert set(found) == {ORT, FUSED, f"{ORT}, one at a time", f"{FUSED}, 64 cores"}
    assert (found[ORT].requests_per_s, found[ORT].requests_per_joule) == (4000.0, 200.0)  # not the hot row
    assert (found[FUSED].requests_per_s, found[FUSED].requests_per_joule) == (30_000.0, 4000.0)
    assert found[f"{ORT}, one at a time"].requests_per_s == 500.0
    socket = found[f"{FUSED}, 64 cores"]  # one core does 20,000, half of two streams only 15,000
    assert (socket.requests_per_s, socket.requests_per_joule) == (64 * 20_000.0, 4000.0)


def test_power_of_whole_packages_gives_no_socket() -> None:
    names = [each.name for each in references_of(replace(BASELINE, power_source="rapl"))]
    assert names
    assert not any("cores" in name for name in names)
