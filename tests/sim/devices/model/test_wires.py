"""The fast model of IR drop against an exact nodal solution of small arrays."""

import numpy as np
import pytest

from cimc.errors import DeviceError
from cimc.sim.devices.model import wires
from cimc.sim.devices.model.load_device import load_device
from cimc.sim.devices.noisy_dense import Conditions
from cimc.sim.devices.noisy_lookups import NoisyTable
from tests.sim.devices.devices_setup import changed, inputs_for, make_array, make_dense, weights_for


def nodal(g, volts, word_ohm, bit_ohm):
    """Column currents of ``g [R, C]`` in uS driven with ``volts [R]``: every node is solved for."""
    rows, cols = g.shape
    word, bit = 1e6 / word_ohm, 1e6 / bit_ohm
    n = rows * cols
    matrix, right = np.zeros((2 * n, 2 * n)), np.zeros(2 * n)

    def tie(a, b, conductance):
        for i, j in ((a, b), (b, a)):
            matrix[i, i] += conductance
            matrix[i, j] -= conductance

    for r in range(rows):
        for c in range(cols):
            top, bottom = r * cols + c, n + r * cols + c  # on the word line, on the bit line
            tie(top, bottom, g[r, c])
            if c == 0:
                matrix[top, top] += word
                right[top] += word * volts[r]
            else:
                tie(top, top - 1, word)
            if r == rows - 1:
                matrix[bottom, bottom] += bit  # virtual ground
            else:
                tie(bottom, bottom + cols, bit)
    v = np.linalg.solve(matrix, right)
    return v[n + (rows - 1) * cols :] * bit


def fast(g, volts, line):
    return volts @ (g / (1.0 + wires.drop(line, g, g)))


def line_of(word_ohm, bit_ohm):
    return _device(word_ohm, bit_ohm).wires


def _device(word_ohm, bit_ohm=0.0):
    return changed(load_device("ideal"), wires__word_ohm=word_ohm, wires__bit_ohm=bit_ohm)


def test_the_nodal_solution_is_ohms_law_for_one_cell():
    # 1 ohm, a cell of 25,000 uS (40 ohm), 1 ohm in series
    assert nodal(np.array([[25_000.0]]), np.array([1.0]), 1.0, 1.0) == pytest.approx([1e6 / 42.0])


@pytest.mark.parametrize("size", [8, 16, 20])
@pytest.mark.parametrize(("word_ohm", "bit_ohm"), [(1.0, 1.0), (2.0, 0.5), (5.0, 5.0), (10.0, 15.0)])
def test_the_error_is_second_order_in_the_drop(size, word_ohm, bit_ohm):
    """Many rows driven: at most a quarter of the deepest drop squared, relative to each column's current."""
    rng = np.random.default_rng(size)
    g = rng.uniform(1.0, 40.0, (size, size))
    line = line_of(word_ohm, bit_ohm)
    deepest = float(wires.drop(line, g, g).max())
    assert deepest < wires.LIMIT
    some = (np.arange(size) % 3 == 0).astype(float)
    for volts in (np.ones(size), rng.random(size), some):
        exact, ideal = nodal(g, volts, word_ohm, bit_ohm), volts @ g
        error = np.abs(fast(g, volts, line) / exact - 1).max()
        assert error <= 0.25 * deepest**2 + 1e-9
        assert error < 0.1 * np.abs(ideal / exact - 1).max()


@pytest.mark.parametrize("row", [0, 7, 15])
def test_a_single_driven_row(row):
    """At most the deepest drop squared, relative to the mean current: other paths reach small cells too."""
    g = np.random.default_rng(row).uniform(1.0, 40.0, (16, 16))
    volts = np.zeros(16)
    volts[row] = 1.0
    for ohm in (1.0, 10.0):
        deepest = float(wires.drop(line_of(ohm, ohm), g, g).max())
        exact, ideal = nodal(g, volts, ohm, ohm), volts @ g
        error = np.abs(fast(g, volts, line_of(ohm, ohm)) - exact).max() / exact.mean()
        assert error <= deepest**2
        assert error < 0.2 * np.abs(ideal - exact).max() / exact.mean()


def test_the_limit_of_the_model():
    """Next to the largest drop that is accepted the error is below 2 %."""
    rng = np.random.default_rng(9)
    g = rng.uniform(1.0, 40.0, (20, 20))
    ohm = 0.98 * wires.LIMIT / float(wires.drop(line_of(1.0, 1.0), g, g).max())
    volts = np.ones(20)
    exact = nodal(g, volts, ohm, ohm)
    assert np.abs(fast(g, volts, line_of(ohm, ohm)) / exact - 1).max() < 0.02


def test_ideal_wires_drop_nothing():
    g = np.full((4, 4), 30.0)
    assert (wires.drop(line_of(0.0, 0.0), g, g) == 0).all()
    assert not wires.resistive(load_device("wan2022").wires)


@pytest.mark.parametrize("encoding", ["offset", "differential"])
def test_products_shrink_with_the_wires(encoding):
    array = make_array(encoding, 4, 4, 12, rows=32)
    found = []
    for ohm in (0.0, 2.0, 6.0):
        kernel, plan = make_dense(
            array, (32, 4), (32, 4), Conditions(_device(ohm, ohm)), bits=4, input_bits=4, high=1
        )
        (tile,) = kernel._prepare(0, 1)
        found.append(np.abs(tile.means / tile.step[0].reshape(1, -1)).sum())
        x = inputs_for(plan, (3, 32), np.random.default_rng(0))
        compiled = kernel.noisy(x, 0, 1, 0)
        kernel.compiled = False
        assert (kernel.noisy(x, 0, 1, 0) == compiled).all()
    assert found[0] > found[1] > found[2] > 0.7 * found[0]


def test_planes_carry_the_drop_of_their_block():
    array = make_array("differential", 8, 4, 8, rows=16)
    kernel, _ = make_dense(array, (16, 6), (16, 3), Conditions(_device(4.0, 2.0)))
    ideal, _ = make_dense(array, (16, 6), (16, 3), Conditions(_device(0.0)))
    (tile,), (flat,) = kernel._prepare(0, 2), ideal._prepare(0, 2)
    slices = flat.factor.shape[1]

    def level(prepared, kernel):
        """Units of a plane per cell level, ``[S, C]``."""
        return prepared.step[0] / np.repeat(kernel.ranges[:, :, 0].T, 3, axis=1)

    exact = flat.means.reshape(16, slices, 6) / level(flat, ideal)
    for block in range(2):
        part = exact[:, :, 3 * block : 3 * block + 3].reshape(16, -1)
        load = np.abs(part) * kernel.levels.unit  # level 0 is open: one device of a pair conducts
        line = kernel.conditions.device.wires
        d_plus = wires.drop(line, load, np.maximum(part, 0) * kernel.levels.unit)
        d_minus = wires.drop(line, load, np.maximum(-part, 0) * kernel.levels.unit)
        expected = np.maximum(part, 0) / (1 + d_plus) - np.maximum(-part, 0) / (1 + d_minus)
        own = level(tile, kernel)
        found = (tile.means.reshape(16, slices, 6) / own)[:, :, 3 * block : 3 * block + 3].reshape(16, -1)
        assert np.abs(found - expected).max() <= 0.5 / own.min() + 2.0**-15


@pytest.mark.parametrize("encoding", ["offset", "differential"])
def test_lookups_feel_their_word_line(encoding):
    rng = np.random.default_rng(0)
    array = make_array(encoding, 8, 4, 8, rows=16)
    table = weights_for(array, 8, (40, 6), rng)
    device = changed(load_device("wan2022"), wires__word_ohm=30.0)
    ids = rng.integers(0, 40, 30)
    starts = np.array([0, 10, 30])
    kernel = NoisyTable("t", table, array, 8, 1, 4, Conditions(device, 1.0))
    found = kernel.pooled(ids, starts, ids // 16, 9, 0)
    kernel.compiled = False
    assert (kernel.pooled(ids, starts, ids // 16, 9, 0) == found).all()
    without = NoisyTable("t", table, array, 8, 1, 4, Conditions(load_device("wan2022"), 1.0))
    assert (without.pooled(ids, starts, ids // 16, 9, 0) != found).any()


def test_drops_beyond_the_model_are_refused():
    array = make_array("differential", 8, 4, 8, rows=512)
    kernel, plan = make_dense(array, (512, 64), (512, 64), Conditions(_device(20.0)))
    with pytest.raises(DeviceError) as error:
        kernel.noisy(inputs_for(plan, (1, 512), np.random.default_rng(0)), 0, 1, 0)
    assert error.value.code == "device.ir-drop"
    table = weights_for(array, 8, (4, 256), np.random.default_rng(0))
    with pytest.raises(DeviceError) as error:
        NoisyTable("t", table, array, 8, 1, 256, Conditions(_device(20.0)))
    assert error.value.code == "device.ir-drop"
