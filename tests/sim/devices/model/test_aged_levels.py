"""Devices against their published figures: spreads, drift, stuck cells and read noise at given g and age."""

import math

import numpy as np
import pytest

from cimc.errors import DeviceError
from cimc.sim.devices.model import programmed_cells
from cimc.sim.devices.model.aged_levels import FRACTION, check_age, levels_for, notes, read_sigma, spread
from cimc.sim.devices.model.load_device import load_device
from tests.sim.devices.devices_setup import base_array, changed, make_array, quiet

WAN = {
    1.0: (0.348, 16.030, -43.853, 45.393, -16.815),
    86400.0: (0.701, 22.086, -50.773, 47.095, -16.458),
    172800.0: (0.782, 20.274, -43.507, 37.062, -11.934),
}
SAMPLES = 40_000


def drawn(device, age, levels=8, n=SAMPLES):
    """Conductances in uS of ``n`` cells at each level, ``[levels, n]``."""
    array = make_array(levels=levels)
    tables = levels_for(device, age, array, 1)
    level = np.repeat(np.arange(levels)[None, :, None], n // 200, axis=1).reshape(1, -1, 1)
    level = np.broadcast_to(level, (1, level.shape[1], 200))
    m = programmed_cells.draw_devices(tables, 99, np.arange(level.shape[1]), np.arange(200), 0, level)[0]
    uS = tables.low + m / 2**FRACTION * tables.unit
    return np.stack([uS[level[0] == k] for k in range(levels)]), tables


def targets(tables):
    return tables.low + tables.unit * np.arange(tables.count)


@pytest.mark.parametrize("age", sorted(WAN))
def test_wan2022_spreads_as_published(age):
    device = quiet("wan2022")
    found, tables = drawn(device, age)
    for g, sample in zip(targets(tables), found, strict=True):
        sigma = sum(c * (g / 40) ** i for i, c in enumerate(WAN[age]))
        if g - 4.4 * sigma < 0:
            continue  # cut at 0 uS: not a whole distribution
        assert sample.mean() == pytest.approx(g, abs=5 * sigma / math.sqrt(sample.size))
        assert sample.std() == pytest.approx(sigma, rel=0.02)


def test_wan2022_is_interpolated_in_the_logarithm_of_time():
    device = load_device("wan2022")
    g = np.array([10.0, 20.0, 30.0])
    early, late = (spread(device, age, g).total for age in (1.0, 86400.0))
    middle = spread(device, math.sqrt(86400.0), g).total
    assert middle == pytest.approx((early + late) / 2, rel=1e-9)


def test_wan2022_holds_the_last_curve_and_says_so():
    device = load_device("wan2022")
    g = np.array([10.0, 20.0, 30.0])
    assert (spread(device, 1e8, g).total == spread(device, 172800.0, g).total).all()
    assert any("nothing is published beyond 172800 s" in n for n in notes(device, 1e8, "neurram130"))
    assert any("before 1 s" in n for n in notes(device, 0.5, "neurram130"))
    assert notes(device, 3600.0, "neurram130") == []


def test_write_verify_keeps_cells_in_the_band():
    device = quiet("wan2022")
    found, tables = drawn(device, 0.0)
    error = found - targets(tables)[:, None]
    beyond = np.abs(error) > 1.0 + 1e-3
    assert beyond.mean() == pytest.approx(0.01, abs=0.001)  # 99 % converge
    inside = error[2:][~beyond[2:]]
    assert inside.std() == pytest.approx(math.sqrt(0.29112509), rel=0.01)
    all_converge = changed(device, programming__converged=1.0)
    error = drawn(all_converge, 0.0)[0] - targets(tables)[:, None]
    assert np.abs(error).max() <= 1.0 + 1e-3


@pytest.mark.parametrize("age", [0.0, 1.0, 3600.0, 86400.0 * 30])
def test_falcone2025_programs_and_drifts_as_published(age):
    found, tables = drawn(quiet("falcone2025"), age)
    for g, sample in zip(targets(tables), found, strict=True):
        sigma, mean = 0.01129 * g + 0.0112, g
        if age:
            sigma = math.hypot(sigma, 0.042 * math.log(age) + 0.412)
            mean = g - 0.089 * math.log(age)
        assert sample.mean() == pytest.approx(mean, abs=5 * sigma / math.sqrt(sample.size))
        assert sample.std() == pytest.approx(sigma, rel=0.02)


def test_stuck_cells_have_their_shares():
    device = changed(load_device("ideal"), stuck__low=0.02, stuck__high=0.05)
    found, _ = drawn(device, 0.0)
    middle = found[3]
    assert np.mean(middle == found.min()) == pytest.approx(0.02, abs=5 * math.sqrt(0.02 / middle.size))
    assert np.mean(middle == found.max()) == pytest.approx(0.05, abs=5 * math.sqrt(0.05 / middle.size))
    assert np.unique(middle).size == 3


def test_conductances_are_never_negative():
    found, tables = drawn(quiet("wan2022"), 172800.0)
    assert found.min() >= -tables.unit / 2**FRACTION
    assert np.mean(found[0] <= 0.001) > 0.1  # level 0 lies at 1 uS, less than one sigma from 0


def test_read_noise_of_falcone2025_as_published():
    device = load_device("falcone2025")
    g = np.array([10.0, 30.0, 80.0])
    for age in (1.0, 86400.0):
        expected = 0.0277 * np.log10(g) * math.sqrt(math.log((age + 1e-6) / 2e-6))
        assert read_sigma(device, age, g) == pytest.approx(expected, rel=1e-12)
    assert (read_sigma(device, 0.0, g) == 0).all()
    assert (read_sigma(device, 1.0, np.array([0.0, 0.5, 1.0])) == 0).all()


def test_read_noise_of_wan2022_is_one_percent_of_the_window():
    assert (read_sigma(load_device("wan2022"), 5.0, np.array([0.0, 40.0])) == 0.4).all()


def test_read_moments_are_those_of_the_cut_gaussian():
    tables = levels_for(load_device("wan2022"), 1.0, base_array(), 1)
    rng = np.random.default_rng(0)
    for uS in (0.0, 0.2, 0.4, 1.0, 20.0):
        m = np.array([round((uS - tables.low) / tables.unit * 2**FRACTION)])
        mean, variance = programmed_cells.read_moments(tables, m)
        reads = np.maximum(uS + 0.4 * rng.standard_normal(400_000), 0.0)
        in_uS = tables.low + mean[0] / 2**FRACTION * tables.unit
        sigma = math.sqrt(variance[0] / 2**tables.variance_places) * tables.unit
        assert in_uS == pytest.approx(reads.mean(), abs=0.015)  # tabulated every 1/256 level, 0.02 uS
        assert sigma == pytest.approx(reads.std(), rel=0.03)


def test_a_smaller_on_off_ratio_makes_levels_closer():
    device = changed(load_device("wan2022"), window__low=20.0)
    wide, narrow = (levels_for(d, 1.0, base_array(), 1) for d in (load_device("wan2022"), device))
    assert narrow.unit == pytest.approx(20 / 7)
    assert narrow.sigma_p[7] > 1.9 * wide.sigma_p[7]


@pytest.mark.parametrize("age", [-1.0, float("nan"), float("inf")])
def test_impossible_ages_are_refused(age):
    with pytest.raises(DeviceError) as error:
        check_age(age)
    assert error.value.code == "device.age"


def test_a_device_of_another_array_is_an_assumption():
    (note,) = notes(load_device("wan2022"), 0.0, "tsinghua28")
    assert "was not measured on tsinghua28" in note
    assert notes(load_device("ideal"), 0.0, "tsinghua28") == []


@pytest.mark.parametrize(
    "figures", [{"window__low": 39.9999}, {"programming__sigma": 1e100, "programming__accept": 1e100}]
)
def test_absurd_figures_are_refused(figures):
    with pytest.raises(DeviceError) as error:
        levels_for(changed(load_device("wan2022"), **figures), 1.0, base_array(), 1)
    assert error.value.code == "device.invalid"
