"""The presets against the published figures they rest on; each expected number is worked out here."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.target import Constant, load_target, preset_names
from cimc.target.constants_table import full_step_pj, rows

ISAAC_TILE_MW = {"edram": 20.7, "bus": 7, "router": 42 / 4, "sigmoid": 0.52, "shift-add": 0.05, "pool": 0.4}
ISAAC_TILE_MM2 = {"edram": 0.083, "bus": 0.090, "router": 0.151 / 4, "sigmoid": 0.0006, "shift-add": 0.00006,
                  "pool": 0.00024, "register": 0.0032}  # fmt: skip
ISAAC_IMA_MW = {
    "adc": 16,
    "dac": 4,
    "sample-hold": 0.01,
    "arrays": 2.4,
    "shift-add": 0.2,
    "in": 1.24,
    "out": 0.23,
}


@pytest.fixture(params=preset_names())
def target(request):
    return load_target(request.param)


def test_the_presets_the_default_first():
    assert preset_names() == ("tsinghua28", "asscc28", "hermes14", "isaac32", "neurram130")


def test_every_figure_is_sourced(target):
    table = rows(target)
    assert len({row.path for row in table}) == len(table)
    for row in table:
        assert row.basis in ("measured", "simulated", "derived", "assumed")
        assert len(row.source) > 10
        assert "[M]" not in row.source


def test_the_full_range_of_column_sums_can_be_covered(target):
    array = target.array
    lsb = array.lossless_lsb(array.partial_sum_bound())
    assert array.partial_sum_bound() <= lsb * array.adc_codes[1]
    assert lsb <= array.adc_max_lsb


def test_tsinghua28_energy_per_step():
    array = load_target("tsinghua28").array
    assert round(512 * float(array.row_pj)) == 1057
    assert full_step_pj(array) == pytest.approx(1057 + 1519, abs=1)
    share = full_step_pj(array) / 100  # published: ADC 31.8 %, DAC 16.8 %, digital and drivers 8.6 %
    assert 64 * float(array.conversion_pj) == pytest.approx(31.8 * share, rel=0.04)
    assert float(array.step_pj) == pytest.approx((16.8 + 8.6) * share, rel=0.04)
    assert array.cols / array.columns_per_step * float(array.step_ns) == pytest.approx(184.6, abs=0.05)


def test_tsinghua28_meets_the_four_measured_powers():
    array = load_target("tsinghua28").array
    driven, powers_mw = np.array([128, 256, 384, 512]), np.array([77.05, 88.93, 100.23, 111.43])
    energy = driven * float(array.row_pj) + 64 * float(array.conversion_pj) + float(array.step_pj)
    np.testing.assert_allclose(energy / float(array.step_ns), powers_mw, rtol=0.004)
    slope, intercept = np.polyfit(driven, powers_mw * float(array.step_ns), 1)
    assert float(array.row_pj) == pytest.approx(slope, abs=0.001)
    assert 64 * float(array.conversion_pj) + float(array.step_pj) == pytest.approx(intercept, abs=1)


def test_asscc28_meets_the_four_measured_powers():
    array = load_target("asscc28").array
    driven, powers_mw = np.array([64, 128, 256, 512]), np.array([67.2, 87.0, 126.6, 195])
    energy = driven * float(array.row_pj) + 512 * float(array.conversion_pj) + float(array.step_pj)
    np.testing.assert_allclose(energy / float(array.step_ns), powers_mw, rtol=0.03)
    operations = 2 * 512 * 512
    assert operations / full_step_pj(array) == pytest.approx(89.7, rel=0.01)  # TOPS/W
    assert operations / float(array.step_ns) / 1000 / float(array.area_mm2) == pytest.approx(17.0, rel=0.001)


def test_tsinghua28_pooled_rows_against_scattered_ones():
    """80 rows of dimension 32 (64 columns, one step): 1.68 nJ in one array, 122 nJ over 80 arrays."""
    target = load_target("tsinghua28")
    array = target.array
    assert 32 * target.slices(8) == array.columns_per_step
    convert = 64 * float(array.conversion_pj) + float(array.step_pj)
    assert 80 * float(array.row_pj) + convert == pytest.approx(1680, rel=0.01)
    assert 80 * (float(array.row_pj) + convert) == pytest.approx(122_000, rel=0.01)


def test_isaac_table_adds_up():
    ima = sum(ISAAC_IMA_MW.values())
    assert 12 * ima == pytest.approx(289, abs=0.1)
    assert sum(ISAAC_TILE_MW.values()) + 1.68 + 289 == pytest.approx(330, abs=0.2)
    assert sum(ISAAC_TILE_MM2.values()) + 0.157 == pytest.approx(0.372, abs=0.0005)


def test_isaac32_array_energy_is_the_table_over_one_cycle():
    target = load_target("isaac32")
    array = target.array
    per_array = {name: mw * 100 / 8 for name, mw in ISAAC_IMA_MW.items()}  # mW x ns = pJ
    assert 128 * float(array.row_pj) == pytest.approx(per_array["dac"] + per_array["arrays"])
    assert 128 * float(array.conversion_pj) == pytest.approx(per_array["adc"])
    assert float(array.step_pj) == pytest.approx(
        per_array["sample-hold"] + per_array["in"] + per_array["out"]
    )
    shift_adds = 128 * float(target.tile.shift_add_pj)
    assert full_step_pj(array) + shift_adds == pytest.approx(301, rel=0.001)


def test_isaac32_size_and_area():
    target = load_target("isaac32")
    tile = float(target.tile.area_mm2) + target.tile.arrays * float(target.array.area_mm2)
    assert target.tile.arrays == 12 * 8
    assert target.tiles_per_chip == 168
    assert tile == pytest.approx(0.372, rel=0.002)
    assert 168 * tile == pytest.approx(62.5, rel=0.002)
    lanes = 168 * 32 * float(target.tile.vector_lane_mm2)  # not ISAAC's
    assert target.area_mm2 - lanes == pytest.approx(85.4, rel=0.002)


def test_borrowed_rates_follow_from_power_over_energy_per_bit():
    target = load_target("isaac32")
    assert float(target.tile.bus_gbps) == pytest.approx(384 * 1.2)  # wires, GHz
    assert float(target.tile.bus_pj_per_bit) == pytest.approx(7 / 460.8, rel=0.001)
    assert float(target.chip.host_link_gbps) == pytest.approx(10_400 / 50.8, rel=0.001)
    mean_hops = (14**2 - 1) / (3 * 14) + (12**2 - 1) / (3 * 12)
    assert float(target.tile.hop_ns) == pytest.approx(29 / mean_hops / 1.2, abs=0.05)


OWN = ("vector_", "router_static", "clock", "host_link")
"""Beginnings of fields that follow the node of each preset, or its link."""


@pytest.mark.parametrize("name", [name for name in preset_names() if name != "isaac32"])
def test_what_is_borrowed_equals_isaac32_and_is_assumed(name):
    target, isaac = load_target(name), load_target("isaac32")
    borrowed = 0
    for part in ("tile", "chip"):
        for field in type(getattr(target, part)).model_fields:
            own = getattr(getattr(target, part), field)
            if isinstance(own, Constant) and not field.startswith(OWN):
                assert float(own) == float(getattr(getattr(isaac, part), field)), field
                assert own.basis == "assumed", field
                borrowed += 1
    assert borrowed == 19


@pytest.mark.parametrize(
    ("point", "femtojoule_per_op"),
    [("in1-out3", 23.1), ("in3-out5", 43.3), ("in4-out6", 62.4), ("in6-out8", 108.9), ("in8-out10", 153.9)],
)
def test_neurram130_energy_per_product_is_ops_times_energy_per_op(point, femtojoule_per_op):
    points = {p.name: p for p in load_target("neurram130").operating_points}
    operations = 2 * 128 * 256
    assert len(points) == 5
    assert float(points[point].step_pj) == pytest.approx(operations * femtojoule_per_op / 1000, rel=0.005)


def test_neurram130_default_point_and_rows():
    array = load_target("neurram130").array
    assert (array.dac_bits, array.adc_bits) == (4, 6)
    assert full_step_pj(array) == 4090
    assert float(array.step_ns) == 4230
    assert (array.rows, array.physical_rows) == (128, 256)


@pytest.mark.parametrize(
    ("point", "tops", "tops_per_watt"), [("one-phase", 63.1, 9.76), ("four-phase", 16.1, 2.48)]
)
def test_hermes14_points_follow_from_the_published_throughput(point, tops, tops_per_watt):
    published = {p.name: p for p in load_target("hermes14").operating_points}[point]
    operations = 2 * 256 * 256
    assert float(published.step_ns) == pytest.approx(64 * operations / tops / 1000, rel=0.002)
    assert float(published.step_pj) == pytest.approx(operations / tops_per_watt, rel=0.003)


@pytest.mark.parametrize(("name", "arrays", "cores"), [("neurram130", 116, 48), ("hermes14", 58, 64)])
def test_small_chips_hold_a_118k_row_table(name, arrays, cores):
    target = load_target(name)
    groups = target.array.cols // (16 * target.slices(8))
    needed = -(-118_000 // (groups * target.array.rows))
    assert needed == arrays
    assert target.tiles_per_chip * target.tile.arrays == cores
    assert needed < target.n_arrays
