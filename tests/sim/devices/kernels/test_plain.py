"""Conversions and word lines in numpy, by hand."""

from __future__ import annotations

import numpy as np

from cimc.sim.devices.kernels.plain import _along_word_line, convert
from cimc.sim.devices.model.aged_levels import FRACTION, levels_for
from cimc.sim.devices.model.load_device import load_device
from tests.sim.devices.devices_setup import make_array


def test_codes_are_rounded_down_after_half_a_step_and_clipped() -> None:
    sums = np.array([-100.0, -1.0, 0.0, 1.0, 2.0, 3.0, 100.0])
    assert convert(sums, None, None, 1.0, 1.0, 2.0, (-4, 3)).tolist() == [-4, 0, 0, 1, 1, 2, 3]


def test_noise_is_a_deviate_times_the_root_of_the_scaled_variance() -> None:
    z = np.array([0.0, 1.0, -2.0])
    found = convert(np.zeros(3), np.full(3, 4.0), z, 0.25, 0.0, 0.5, (-8, 7))
    assert found.tolist() == [0, 2, -4]


def test_a_word_line_without_current_loses_nothing() -> None:
    levels = levels_for(load_device("ideal"), 1.0, make_array(), 1)
    mean = np.full((1, 2, 3), 3 << FRACTION, np.int64)
    still = np.zeros((1, 2, 3), np.int64)
    found, spread = _along_word_line(levels, still, mean.copy(), mean.copy(), 100.0, 3)
    np.testing.assert_array_equal(found, mean)
    np.testing.assert_array_equal(spread, mean)


def test_cells_far_along_a_line_lose_more_and_blocks_begin_anew() -> None:
    levels = levels_for(load_device("ideal"), 1.0, make_array(), 1)
    load = np.full((1, 1, 6), 5 << FRACTION, np.int64)
    mean, _ = _along_word_line(levels, load, load.copy(), load.copy(), 1000.0, 3)
    line = mean[0, 0]
    assert (np.diff(line[:3]) < 0).all()
    np.testing.assert_array_equal(line[:3], line[3:])
    assert (line < 5 << FRACTION).all()
