"""Static power by hand, and the energy of a request as a function of load."""

from __future__ import annotations

import pytest

from cimc.cost import estimate
from cimc.target import load_target
from cimc.target.spec import Target
from tests.cost.cost_programs import TSINGHUA, dense, layer, load, mvm, program, quant, store


def one_layer(target: Target = TSINGHUA):
    """One array and one tile work."""
    return program(
        {9: [load(64), quant(64, 0, 256), mvm(256, 320), store(64, 320)]},
        [(layer("w", 64, 64), [(0, 64, 0, 64, 9, 0, 0)])],
        inputs=[dense(64)], outputs=[dense(64)], target=target,
    )  # fmt: skip


def test_watts_by_hand():
    """512 macros, 64 tiles of 32 lanes, one link; one macro and one tile of them work."""
    static = estimate(one_layer(), TSINGHUA).static
    lane, clock = 0.173, 34.7 - 32 * 5.1 / 10  # half of the preset's lanes
    tile = 0.46 + 3.85 + clock
    assert static.watts == pytest.approx((512 * 4.07 + 64 * (tile + 32 * lane) + 3830) / 1e3)
    assert static.used_watts == pytest.approx((4.07 + tile + 32 * lane + 3830) / 1e3)
    assert {item.name for item in static.items if item.mw == 0} == {"table SRAM", "DRAM"}
    assert static.missing == ()
    assert static.basis == "assumed"


def test_energy_at_a_load():
    cost = estimate(one_layer(), TSINGHUA)
    assert cost.energy_at_pj(1e6) == pytest.approx(cost.energy_pj + cost.static.watts * 1e6)
    assert cost.energy_at_pj(1e3) > 900 * cost.energy_at_pj(1e6)
    assert cost.energy_at_pj(None) is None
    found = cost.to_json()
    assert found["energy_at_bound_pj"] == cost.energy_at_pj(cost.throughput_rps)
    assert found["static_power"]["watts"] == cost.static.watts


def test_the_link_decides_most_of_a_small_system():
    """The same program under another link: time and watts differ, work does not."""
    there = load_target("tsinghua28{tile.vector_lanes=32 link=ucie}")
    base, other = estimate(one_layer(), TSINGHUA), estimate(one_layer(), there)
    assert base.static.watts - other.static.watts == pytest.approx(3.83 - 0.0192)
    bits = base.events["host_link.bits"]
    assert other.energy_pj - base.energy_pj == pytest.approx(bits * 0.425)


def test_a_target_without_static_power_says_so():
    data = TSINGHUA.model_dump(mode="json")
    data["array"]["static_mw"] = data["tile"]["clock_mw"] = None
    bare = Target.model_validate(data)
    static = estimate(one_layer(bare), bare).static
    assert static.missing == ("arrays", "clock")
    assert static.watts == pytest.approx((64 * (0.46 + 3.85 + 32 * 0.173) + 3830) / 1e3)
