"""Plans from statistics: as good as full mappings, and honest about what a machine cannot do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.plan_check import Both, of_description, of_dlrm_small
from cimc.errors import CheckFailed, InfeasibleError
from cimc.study.planning.description import Description, PlanError, parse_description
from cimc.study.planning.machine_plan import Plan, make_plan
from cimc.target.load_target import load_target
from cimc.target.spec import Target
from tests.cli.test_cli_page import documented
from tests.cli.tiny_files import call

MODEL = """
name: small
dense: {features: 13, bottom: [64, 16], top: [64, 1]}
tables:
  - {name: a, count: 2, rows: ROWS, dim: 16, pooling: 4, skew: 0.9}
  - {name: b, count: 3, rows: 20000, dim: 16, skew: 1.05}
"""


def model(rows: int = 100_000, **changes: Any) -> Description:
    found = parse_description(MODEL.replace("ROWS", str(rows)), "model.yaml")
    return found.model_copy(update=changes)


@pytest.fixture(scope="module")
def one() -> Target:
    return load_target("tsinghua28")


def within_5_percent(both: Both) -> None:
    assert both.throughput == pytest.approx(1.0, abs=0.05)
    assert both.energy == pytest.approx(1.0, abs=0.05)
    assert both.plan.chips == both.cost.area.counts["chips"]


def test_the_shipped_model_is_planned_within_5_percent() -> None:
    within_5_percent(of_dlrm_small())


def test_a_generated_model_is_planned_within_5_percent(one: Target) -> None:
    within_5_percent(of_description(model(), one, requests=4096))


@pytest.fixture(scope="module")
def classes(one: Target) -> Plan:
    return make_plan(model(4_000_000), one, chips=4, detail="classes")


def test_classes_cost_what_blocks_cost(classes: Plan, one: Target) -> None:
    """The same work a request, whichever way it is planned: but for what crosses between chips."""
    blocks = make_plan(model(4_000_000), one, chips=4, detail="blocks")
    assert classes.energy_pj == pytest.approx(blocks.energy_pj, rel=0.05)
    for name in ("ADC", "array rows", "vector unit"):
        assert classes.energy[name] == pytest.approx(blocks.energy[name], rel=0.02), name
    assert classes.static_watts == pytest.approx(blocks.static_watts)
    assert classes.arrays == blocks.arrays


def test_classes_respect_the_room_and_their_bound(classes: Plan) -> None:
    assert classes.arrays_used <= classes.arrays
    assert classes.throughput_rps <= classes.bound_rps
    assert classes.crossing_bits == pytest.approx(sum(c.crossing_bits for c in classes.classes), rel=0.1)
    heavy, light = classes.classes
    assert 0 < heavy.near_reads < 1
    assert heavy.near_rows % 512 == 0
    assert light.near_rows <= light.rows


def test_equal_input_gives_equal_plans(classes: Plan, one: Target) -> None:
    assert make_plan(model(4_000_000), one, chips=4, detail="classes") == classes


def test_more_skew_crosses_less(classes: Plan, one: Target) -> None:
    tables = tuple(t.model_copy(update={"skew": 1.2}) for t in model(4_000_000).tables)
    hot = make_plan(model(4_000_000, tables=tables), one, chips=4, detail="classes")
    assert hot.crossing_bits < 0.5 * classes.crossing_bits


def test_a_machine_too_small_says_what_would_do(one: Target) -> None:
    with pytest.raises(InfeasibleError) as refused:
        make_plan(model(4_000_000), one)
    assert "--chips 2" in str(refused.value)
    make_plan(model(4_000_000), one, chips=2, detail="classes")


def test_a_dense_part_larger_than_a_chip(one: Target) -> None:
    wide = model(4_000_000).dense.model_copy(update={"top": (60_000, 60_000)})
    with pytest.raises(PlanError, match=r"plan\.one-chip"):
        make_plan(model(4_000_000, dense=wide), one, chips=4, detail="classes")


def test_a_rate_decides_the_chips(classes: Plan, one: Target) -> None:
    rate = classes.throughput_rps * 1.5
    found = make_plan(model(4_000_000), one, rate=rate, detail="classes")
    assert found.throughput_rps >= rate
    assert 4 < found.chips <= 8
    assert found.dynamic_watts == pytest.approx(found.energy_pj * 1e-12 * rate)
    with pytest.raises(CheckFailed, match=r"4 chips serve .* the limit is .*plan\.rate-not-reached"):
        make_plan(model(4_000_000), one, rate=rate, chips=4, detail="classes")


def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "model.yaml"
    file.write_text(MODEL.replace("ROWS", "9000"))
    found = call("plan", file, "--rate", "1k", "--json")
    assert found.code == 0
    assert set(found.json) == documented("plan")
    assert (found.json["chips"], found.json["rate_rps"], found.json["detail"]) == (1, 1000.0, "blocks")
    shown = call("plan", file).out
    for title in ("Machine", "Requests", "Power", "Crossing", "Energy of a request"):
        assert f"{title}\n" in shown
    assert call("plan", file, "--rate", "never").code == 2
    slow = call("plan", file, "--chips", "1", "--rate", "100G", "--json")
    assert (slow.code, slow.json["error"]["code"]) == (1, "plan.rate-not-reached")
