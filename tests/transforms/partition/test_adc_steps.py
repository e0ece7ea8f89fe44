"""ADC steps: optimal by brute force, safe without samples, deterministic."""

import ast
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cimc.transforms.partition.adc_steps as module
from cimc.errors import PassError
from cimc.target import load_target, preset_names
from cimc.target.cell_encoding import encode_weights, input_phases, max_weight, phase_plan
from cimc.transforms.partition.adc_steps import choose_ranges, pool_rows


@cache
def base_array():
    return load_target("tsinghua28").array


def make_array(**fields):
    return base_array().model_copy(update=fields)


def column_sums(x, w, array, bits, input_bits, signed):
    """Column sums int64 ``[S, P, n, C]``."""
    plan = phase_plan(input_bits, signed, array.dac_bits, array.signed_inputs)
    drive = input_phases(x, plan).astype(np.int64)
    digits = encode_weights(w, array.encoding, array.cell_levels, bits).digits.astype(np.int64)
    return np.einsum("pnr,src->spnc", drive, digits)


def converted(sums, lsb, array):
    return np.clip((sums + lsb // 2) // lsb, *array.adc_codes) * lsb


def one_block(w):
    return np.array([[0, w.shape[0], 0, w.shape[1], -1, -1, -1]], np.int32)


@st.composite
def cases(draw):
    array = make_array(
        encoding=draw(st.sampled_from(["offset", "differential"])),
        cell_levels=draw(st.sampled_from([2, 4, 8])),
        dac_bits=draw(st.integers(1, 4)),
        adc_bits=draw(st.integers(3, 8)),
        adc_min_lsb=draw(st.sampled_from([1, 1, 2])),
    )
    signed = draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    high = max_weight(array.encoding, array.cell_levels, 6)
    w = rng.integers(-high, high, (draw(st.integers(1, 20)), draw(st.integers(1, 4))), endpoint=True)
    bounds = phase_plan(5, signed, array.dac_bits, array.signed_inputs).bounds
    x = rng.integers(*bounds, (draw(st.integers(1, 6)), len(w)), endpoint=True)
    return array, signed, w.astype(np.int8), x


@given(cases())
@settings(max_examples=80, deadline=None)
def test_calibrated_steps_have_the_least_squared_error(case):
    array, signed, w, x = case
    steps = choose_ranges(x, w, one_block(w), array, 6, 5, signed)
    safe = choose_ranges(None, w, one_block(w), array, 6, 5, signed)
    sums = column_sums(x, w, array, 6, 5, signed)
    assert steps.dtype == np.int32
    assert steps.shape == (1, *sums.shape[:2])
    for s in range(sums.shape[0]):
        for p in range(sums.shape[1]):
            # Up to 32 above the finest every step is a candidate; the safe one always is.
            tried = [*range(array.adc_min_lsb, min(int(safe[0, s, p]), 32) + 1), int(safe[0, s, p])]
            errors = {k: int(((converted(sums[s, p], k, array) - sums[s, p]) ** 2).sum()) for k in tried}
            chosen = int(steps[0, s, p])
            assert array.adc_min_lsb <= chosen <= safe[0, s, p]
            error = int(((converted(sums[s, p], chosen, array) - sums[s, p]) ** 2).sum())
            assert error <= min(errors.values())
            if error == min(errors.values()):
                assert chosen >= max(k for k, e in errors.items() if e == error)


@given(cases())
@settings(max_examples=80, deadline=None)
def test_steps_without_samples_never_clip(case):
    array, signed, w, _ = case
    steps = choose_ranges(None, w, one_block(w), array, 6, 5, signed)
    plan = phase_plan(5, signed, array.dac_bits, array.signed_inputs)
    digits = encode_weights(w, array.encoding, array.cell_levels, 6).digits.astype(np.int64)
    for s, slice_digits in enumerate(digits):
        for p, phase in enumerate(plan.phases):
            lsb = int(steps[0, s, p])
            full = (1 << phase.width) - 1
            for worst in (np.maximum(slice_digits, 0), np.minimum(slice_digits, 0)):  # the extreme drives
                sums = full * worst.sum(axis=0)
                assert (np.abs(converted(sums, lsb, array) - sums) <= lsb // 2).all()
            if lsb > array.adc_min_lsb:  # and no finer step would do
                top = full * max(
                    np.maximum(slice_digits, 0).sum(0).max(), -np.minimum(slice_digits, 0).sum(0).min()
                )
                assert top > (lsb - 1) * array.adc_codes[1]


def test_each_block_gets_its_own_step():
    array = make_array(adc_bits=5)
    rng = np.random.default_rng(2)
    w = rng.integers(-112, 113, (64, 8)).astype(np.int8)
    w[:, 4:] //= 16
    x = rng.integers(0, 256, (50, 64))
    blocks = np.array([[0, 64, 0, 4, -1, -1, -1], [0, 64, 4, 4, -1, -1, -1]], np.int32)
    steps = choose_ranges(x, w, blocks, array, 8, 8, False)
    assert (steps[0, 1] > 2 * steps[1, 1]).all()  # the upper slice of small weights is nearly empty
    for i in range(2):
        alone = choose_ranges(x, w, blocks[i : i + 1], array, 8, 8, False)
        np.testing.assert_array_equal(alone[0], steps[i])


def test_calibration_beats_the_full_range():
    """512 rows of 4 b x 4 b products on an 8-bit converter: the case that needs calibration."""
    array = base_array()
    rng = np.random.default_rng(4)
    w = np.clip(np.rint(rng.normal(0, 30, (512, 16))), -112, 112).astype(np.int8)
    x = np.clip(rng.normal(0, 60, (64, 512)), 0, 255).astype(np.int64)
    calibrated = choose_ranges(x, w, one_block(w), array, 8, 8, False)
    safe = choose_ranges(None, w, one_block(w), array, 8, 8, False)
    fresh = np.clip(rng.normal(0, 60, (64, 512)), 0, 255).astype(np.int64)
    sums = column_sums(fresh, w, array, 8, 8, False)

    def error(steps):
        lsb = steps[0].astype(np.int64)[:, :, None, None]
        return float(((converted(sums, lsb, array) - sums) ** 2).mean())

    assert error(calibrated) < error(safe) / 10


def test_idle_phases_keep_the_safe_step():
    array = base_array()
    w = np.full((100, 3), 100, np.int8)
    x = np.full((5, 100), 15)  # the upper four bits are never driven
    steps = choose_ranges(x, w, one_block(w), array, 8, 8, False)
    safe = choose_ranges(None, w, one_block(w), array, 8, 8, False)
    np.testing.assert_array_equal(steps[:, :, 1], safe[:, :, 1])


def test_samples_are_thinned_evenly_and_empty_ones_mean_none(monkeypatch):
    array = base_array()
    rng = np.random.default_rng(6)
    w = rng.integers(-112, 113, (40, 5)).astype(np.int8)
    x = rng.integers(0, 256, (90, 40))
    monkeypatch.setattr(module, "MAX_SAMPLES", 30)
    np.testing.assert_array_equal(
        choose_ranges(x, w, one_block(w), array, 8, 8, False),
        choose_ranges(x[::3], w, one_block(w), array, 8, 8, False),
    )
    np.testing.assert_array_equal(
        choose_ranges(x[:0], w, one_block(w), array, 8, 8, False),
        choose_ranges(None, w, one_block(w), array, 8, 8, False),
    )


def test_huge_sums_do_not_overflow_the_errors():
    array = make_array(cell_levels=128, dac_bits=8, adc_bits=8, adc_max_lsb=1 << 24, rows=1 << 16)
    w = np.full((20_000, 40), 127, np.int8)
    x = np.full((4, 20_000), 255)
    x[0] = 0
    steps = choose_ranges(x, w, one_block(w), array, 8, 8, False)
    sums = 20_000 * 127 * 255
    assert abs(int(converted(np.array(sums), int(steps.item()), array)) - sums) <= sums // 200
    errors = module._squared_errors(np.array([[[sums, sums - 1, 7]]]), np.array([1, 3, 1000]), (-128, 127))
    assert (errors == np.floor(errors)).all()  # integers that float64 adds exactly, in any order
    assert 2**49 < errors.max() < 2**53


def test_out_of_reach():
    array = make_array(adc_bits=3, adc_max_lsb=4)
    w = np.full((64, 2), 112, np.int8)
    with pytest.raises(PassError) as caught:
        choose_ranges(None, w, one_block(w), array, 8, 8, False)
    assert caught.value.code == "shard.adc-range"
    x = np.full((3, 64), 255)
    assert int(choose_ranges(x, w, one_block(w), array, 8, 8, False).max()) == 4  # coarsest there is
    with pytest.raises(PassError):
        pool_rows(make_array(adc_bits=2, cell_levels=16, adc_max_lsb=8))


def test_pool_rows():
    assert {name: pool_rows(load_target(name).array) for name in preset_names()} == {
        "tsinghua28": (18, 1),  # 127 // 7
        "asscc28": (255, 1),  # 255 // 1
        "isaac32": (85, 1),  # 255 // 3
        "neurram130": (4, 1),  # 31 // 7
        "hermes14": (18, 1),
    }
    assert pool_rows(make_array(adc_bits=3)) == (1, 3)  # 7 levels, codes up to 3
    assert pool_rows(make_array(adc_bits=16, rows=64)) == (64, 1)
    assert pool_rows(make_array(adc_min_lsb=2)) == (1, 2)


def test_the_pass_does_not_use_the_simulator():
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    imported = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    assert "cimc.ir.cim" in imported
    assert not [name for name in imported if name.startswith("cimc.sim")]
