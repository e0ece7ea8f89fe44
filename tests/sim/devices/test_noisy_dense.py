"""Noisy products: equal to plain loops to the bit, to ``adc`` in ideal cells, distributed as expected."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.errors import ProgramError
from cimc.sim.devices.model.aged_levels import FRACTION
from cimc.sim.devices.model.load_device import load_device
from cimc.sim.devices.noisy_dense import Conditions, NoisyDense
from cimc.sim.kernels.dense.mvm import DenseKernel
from cimc.support.random import quantiles, splitmix
from cimc.target import load_target, preset_names
from cimc.target.cell_encoding import encode_weights, input_phases
from tests.sim.devices import devices_oracle as oracle
from tests.sim.devices.devices_setup import changed, grid, inputs_for, make_array, make_dense

SCHEMES = ["offset", "sign-phases", "twos-complement", "native"]
DEVICES = ["ideal", "wan2022", "falcone2025"]

arrays = st.builds(
    make_array,
    encoding=st.sampled_from(["offset", "differential"]),
    levels=st.sampled_from([2, 4, 8, 16]),
    dac_bits=st.sampled_from([1, 2, 4, 8]),
    adc_bits=st.integers(3, 10),
    scheme=st.sampled_from(SCHEMES),
)


def adc_of(kernel: NoisyDense, input_bits: int, signed: bool) -> DenseKernel:
    return DenseKernel(
        kernel.weights, kernel.blocks, kernel.ranges, kernel.array, kernel.weight_bits, input_bits, signed
    )


@settings(max_examples=25)
@given(
    array=arrays, rows=st.integers(1, 23), cols=st.integers(1, 11), height=st.integers(1, 12),
    width=st.integers(1, 6), bits=st.integers(2, 8), input_bits=st.integers(2, 8), signed=st.booleans(),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_ideal_cells_give_the_results_of_adc(
    array, rows, cols, height, width, bits, input_bits, signed, seed
):
    for compiled in (False, True):
        kernel, plan = make_dense(
            array, (rows, cols), (height, width), Conditions(load_device("ideal")),
            bits=bits, input_bits=input_bits, signed=signed, high=9, seed=seed, compiled=compiled,
        )  # fmt: skip
        x = inputs_for(plan, (5, rows), np.random.default_rng(seed))
        expected = adc_of(kernel, input_bits, signed).adc(x, 0, len(kernel.blocks))
        assert (kernel.noisy(x, 0, len(kernel.blocks), 3) == expected).all()


@pytest.mark.parametrize("name", preset_names())
def test_ideal_cells_on_the_presets(name):
    array = load_target(name).array
    kernel, plan = make_dense(
        array, (479, 37), (array.rows, 16), Conditions(load_device("ideal")), high=array.rows // 4
    )
    x = inputs_for(plan, (9, 479), np.random.default_rng(1))
    expected = adc_of(kernel, 8, False).adc(x, 0, len(kernel.blocks))
    assert (kernel.noisy(x, 0, len(kernel.blocks), 0) == expected).all()


@settings(max_examples=25)
@given(
    array=arrays, rows=st.integers(1, 14), cols=st.integers(1, 7), bits=st.integers(2, 8),
    input_bits=st.integers(2, 5), signed=st.booleans(), device=st.sampled_from(DEVICES),
    age=st.sampled_from([0.0, 1.0, 86400.0]), seed=st.integers(0, 99), request=st.integers(0, 1 << 40),
)  # fmt: skip
def test_products_are_those_of_plain_loops(
    array, rows, cols, bits, input_bits, signed, device, age, seed, request
):
    conditions = Conditions(load_device(device), age, seed)
    kernel, plan = make_dense(
        array, (rows, cols), (rows, cols), conditions,
        bits=bits, input_bits=input_bits, signed=signed, seed=seed,
    )  # fmt: skip
    x = inputs_for(plan, (5, rows), np.random.default_rng(seed))
    found = kernel.noisy(x, 0, 1, request, use=2)
    (tile,) = kernel._tiles[0, 1]
    noisy = kernel.levels.noisy
    assert found.tolist() == oracle.mvm(x, tile, plan, array, request, 2, cols, noisy)
    kernel.compiled = False
    assert (kernel.noisy(x, 0, 1, request, use=2) == found).all()


@settings(max_examples=25)
@given(
    array=arrays, bits=st.integers(2, 8), device=st.sampled_from(DEVICES),
    age=st.sampled_from([0.0, 86400.0]), seed=st.integers(0, 99),
)  # fmt: skip
def test_planes_hold_the_cells_of_plain_loops(array, bits, device, age, seed):
    """Each column keeps at least the binary places it needs, and rounds to nearest."""
    kernel, _ = make_dense(array, (9, 5), (4, 3), Conditions(load_device(device), age, seed), bits=bits)
    levels = kernel.levels
    key = oracle.word(oracle.word(oracle.name_key(seed, "w"), 0), 0)
    code = encode_weights(kernel.weights, array.encoding, array.cell_levels, bits)
    for tile in kernel._prepare(0, len(kernel.blocks)):
        slices, cols = tile.scale.shape
        for s in range(slices):
            for c in range(cols):
                step, lsb = float(tile.step[0, s, c]), int(tile.factor[0, s, c])
                lsb //= int(kernel.plan.weights[0]) * int(code.digit_weights[s])
                dropped = FRACTION - round(np.log2(step / lsb))
                assert FRACTION - dropped >= levels.needed
                for i, r in enumerate(range(*tile.rows.indices(9))):
                    digit = int(code.digits[s, r, tile.first_col + c])
                    mean, variance = oracle.cell(levels, array, key, r, tile.first_col + c, s, digit)
                    found = int(tile.means[i, s * cols + c]) * 2**dropped
                    assert abs(found - mean) <= 2**dropped / 2
                    if levels.noisy:
                        unit = float(tile.scale[s, c]) * 4.0**dropped / levels.variance_scale
                        assert abs(int(tile.spreads[i, s * cols + c]) * unit - variance) <= unit / 2


@pytest.mark.parametrize(("dac_bits", "scheme"), [(1, "offset"), (4, "sign-phases"), (8, "offset")])
@pytest.mark.parametrize("compiled", [True, False])
def test_results_do_not_depend_on_the_split(dac_bits, scheme, compiled):
    array = make_array("differential", 4, dac_bits, 7, scheme)
    conditions = Conditions(load_device("wan2022"), 86400.0, 5)
    kernel, plan = make_dense(
        array, (150, 70), (64, 19), conditions, signed=scheme == "sign-phases", compiled=compiled
    )
    x = inputs_for(plan, (41, 150), np.random.default_rng(2))
    count = len(kernel.blocks)
    whole = kernel.noisy(x, 0, count, 100)
    for size in (1, 7, 40):
        parts = [kernel.noisy(x[b : b + size], 0, count, 100 + b) for b in range(0, 41, size)]
        assert (np.concatenate(parts) == whole).all()
    # block by block: the array group does not matter
    total = np.zeros_like(whole)
    for k in range(count):
        left, right = kernel.columns(k, 1)
        total[:, left:right] += kernel.noisy(x, k, 1, 100)
    assert (total == whole).all()


@pytest.mark.parametrize("levels_and_array", [(4, 1, 128), (8, 4, 512), (8, 8, 256)])
def test_compiled_and_numpy_agree_at_size(levels_and_array):
    levels, dac_bits, rows = levels_and_array
    for encoding in ("offset", "differential"):
        array = make_array(encoding, levels, dac_bits, 8, rows=rows)
        conditions = Conditions(load_device("wan2022"), 3600.0, 1)
        kernel, plan = make_dense(array, (rows, 70), (rows, 33), conditions, high=30)
        x = inputs_for(plan, (70, rows), np.random.default_rng(3))
        found = kernel.noisy(x, 0, len(kernel.blocks), 0)
        if dac_bits == 1:
            assert all(tile.short for tile in kernel._tiles[0, len(kernel.blocks)])
        kernel.compiled = False
        assert (kernel.noisy(x, 0, len(kernel.blocks), 0) == found).all()


def test_seed_name_request_and_use_all_matter():
    array = make_array()
    device = load_device("wan2022")

    def run(seed=0, name="w", request=0, use=0):
        kernel, plan = make_dense(array, (60, 8), (60, 8), Conditions(device, 1.0, seed), name=name)
        return kernel.noisy(inputs_for(plan, (4, 60), np.random.default_rng(0)), 0, 1, request, use)

    base = run()
    assert (base == run()).all()
    for other in (run(seed=1), run(name="v"), run(request=9), run(use=1)):
        assert (base != other).mean() > 0.5


def test_static_errors_alone_repeat_for_every_request():
    device = changed(load_device("wan2022"), read__of_high=0.0)
    kernel, plan = make_dense(make_array(), (60, 8), (60, 8), Conditions(device, 86400.0))
    x = np.repeat(inputs_for(plan, (1, 60), np.random.default_rng(0)), 20, axis=0)
    found = kernel.noisy(x, 0, 1, 0)
    assert (found == found[0]).all()
    assert (found[0] != x[0].astype(np.int64) @ kernel.weights).any()


@pytest.mark.parametrize("encoding", ["offset", "differential"])
@pytest.mark.parametrize("dac_bits", [1, 4])
def test_one_draw_per_conversion_has_the_moments_of_one_per_cell(encoding, dac_bits):
    """Against a simulation that draws every cell of every read, cut at 0 uS: mean, variance, distribution."""
    array = make_array(encoding, 4, dac_bits, 16, rows=24)  # fine converters: what remains is the noise
    device = changed(load_device("wan2022"), read__of_high=0.04)
    rows, requests = 24, 4000
    kernel, plan = make_dense(
        array, (rows, 2), (rows, 2), Conditions(device, 86400.0, 3), bits=2, input_bits=dac_bits, high=1
    )
    x = np.repeat(inputs_for(plan, (1, rows), np.random.default_rng(4)), requests, axis=0)
    (tile,) = kernel._prepare(0, 1)
    levels = kernel.levels
    drive = input_phases(x[:1], plan)[0, 0].astype(np.float64)
    table = np.random.default_rng(5)
    sigma = 0.04 * 40 / levels.unit
    code = encode_weights(kernel.weights, encoding, 4, 2)
    key = oracle.word(oracle.word(oracle.name_key(3, "w"), 0), 0)
    for c in range(2):
        reads = np.zeros(60_000)
        for r in range(rows):
            for which in range(2 if encoding == "differential" else 1):
                sign = -1 if which else 1
                level = max(sign * int(code.digits[0, r, c]), 0)
                m = oracle.device(levels, key, r, c, 0, which, level) / 2**FRACTION
                low = levels.low / levels.unit
                seen = np.maximum(m + low + sigma * table.standard_normal(reads.size), 0.0) - low
                reads += sign * drive[r] * seen
        at = np.arange(requests)
        keys = splitmix.words(splitmix.words(tile.key, at), 0)
        z = quantiles.deviates()[quantiles.lane(splitmix.words(keys, 0), c)]
        unit = float(tile.step[0, 0, c])
        mean = drive @ tile.means[:, c] / unit
        spread = np.sqrt(drive**2 @ tile.spreads[:, c] * tile.scale[0, c]) / unit
        simulated = mean + spread * z
        noise = reads.std()
        assert abs(mean - reads.mean()) < 5 * noise / np.sqrt(reads.size) + 0.02
        assert spread == pytest.approx(noise, rel=0.03)
        at = np.linspace(0.05, 0.95, 19)
        gap = np.quantile(simulated, at) - np.quantile(reads, at)
        assert np.abs(gap).max() < 0.12 * noise
    # and what the kernel shows is those deviates, converted
    shown = kernel.noisy(x, 0, 1, 0)
    half = tile.half[0, 0, 1]
    sums = np.float32(drive @ tile.means[:, 1])
    sigma_sum = np.sqrt(np.float32(drive**2 @ tile.spreads[:, 1]) * tile.scale[0, 1])
    y = np.floor((sums + sigma_sum * z.astype(np.float32) + half) / tile.step[0, 0, 1])
    y = np.clip(y, *array.adc_codes) * int(tile.factor[0, 0, 1]) + int(tile.constant[1])
    assert (shown[:, 1] == y + tile.input_factor * x.astype(int).sum(axis=1)).all()


def test_errors_grow_with_age_and_shrink_without_noise():
    array = make_array("differential", 8, 4, 12)

    def error(device, age):
        kernel, plan = make_dense(array, (200, 40), (200, 40), Conditions(device, age), high=8)
        x = inputs_for(plan, (50, 200), np.random.default_rng(0))
        return (kernel.noisy(x, 0, 1, 0) - x.astype(np.int64) @ kernel.weights).std()

    wan = load_device("wan2022")
    fresh, second, day = (error(wan, age) for age in (0.0, 1.0, 86400.0))
    assert fresh < second < day
    assert error(changed(wan, read__of_high=0.0), 0.0) < fresh


def test_results_beyond_32_bits_are_refused():
    array = make_array("differential", 8, 8, 16)
    blocks, ranges = grid(4, 1, 4, 1), np.ones((1, 2, 1), np.int32)
    weights = np.full((4, 1), 112, np.int8)
    kernel = NoisyDense("w", weights, blocks, ranges, array, 8, 8, False, Conditions(load_device("ideal")))
    kernel._tiles[0, 1] = kernel._prepare(0, 1)
    (tile,) = kernel._tiles[0, 1]
    tile.factor[...] <<= 20  # no input format and matrix of a test gets there by itself
    with pytest.raises(ProgramError) as error:
        kernel.noisy(np.full((1, 4), 255, np.uint8), 0, 1, 0)
    assert error.value.code == "sim.accumulator-overflow"
