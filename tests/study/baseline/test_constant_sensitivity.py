"""Which constants move the ratio: on a program of one layer, by hand."""

from __future__ import annotations

import pytest

from cimc.cost import estimate
from cimc.sim.activity import Activity
from cimc.study.baseline.constant_sensitivity import WITH, Sensitivity, sensitivities
from cimc.target.spec import Constant
from tests.cost.cost_programs import TSINGHUA, dense, layer, load, mvm, program, quant, store

PROGRAM = program(
    {9: [load(64), quant(64, 0, 256), mvm(256, 320), store(64, 320)]},
    [(layer("w", 64, 64), [(0, 64, 0, 64, 9, 0, 0)])],
    inputs=[dense(64)],
    outputs=[dense(64)],
)
COST = estimate(PROGRAM, TSINGHUA)
HOST_W = 2.0


@pytest.fixture(scope="module")
def found() -> dict[str, Sensitivity]:
    return {each.constant: each for each in sensitivities(PROGRAM, TSINGHUA, Activity(), COST, HOST_W)}


def test_static_power_by_hand(found: dict[str, Sensitivity]) -> None:
    assert COST.throughput_rps is not None
    watts = COST.energy_pj * 1e-12 * COST.throughput_rps + COST.static.watts + HOST_W
    link = found["chip.host_link_static_mw"]
    assert link.per_s == (1.0, 1.0)
    assert link.per_joule == pytest.approx((watts / (watts - 3.83 / 2), watts / (watts + 3.83)))


def test_energy_of_rows_by_hand(found: dict[str, Sensitivity]) -> None:
    assert COST.throughput_rps is not None
    dynamic = COST.energy_pj * 1e-12 * COST.throughput_rps
    rows = next(item.pj for item in COST.energy.items if item.name == "array rows")
    rows *= 1e-12 * COST.throughput_rps
    watts = dynamic + COST.static.watts + HOST_W
    half, twice = found["array.row_pj"].per_joule
    assert (half, twice) == pytest.approx((watts / (watts - rows / 2), watts / (watts + rows)))


def test_the_unit_that_limits_moves_requests_per_second(found: dict[str, Sensitivity]) -> None:
    assert COST.bottleneck.startswith("mesh link")
    assert found["tile.link_gbps"].per_s == pytest.approx((0.5, 2.0))
    assert {path for path, each in found.items() if each.per_s != (1.0, 1.0)} == {"tile.link_gbps"}


def test_all_constants_but_parts_and_noughts_the_strongest_first(found: dict[str, Sensitivity]) -> None:
    parts = {path for paths in WITH.values() for path in paths}
    constants = {path for path, value, _ in TSINGHUA.fields() if isinstance(value, Constant) and value.value}
    assert set(found) == constants - parts
    sizes = [abs(each.elasticity) for each in found.values()]
    assert sizes == sorted(sizes, reverse=True)


def test_elasticity_is_the_power_that_the_ratio_goes_with() -> None:
    each = Sensitivity("c", "1 W", "assumed", (0.5, 2.0), (2.0, 0.5))
    assert (each.elasticity, each.elasticity_per_s) == pytest.approx((-1.0, 1.0))
