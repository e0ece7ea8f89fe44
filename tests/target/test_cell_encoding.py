"""Slicing and phasing are exact for every width, encoding and scheme."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.target.cell_encoding import (
    encode_weights,
    input_phases,
    max_weight,
    phase_plan,
    slices_for,
)

ENCODINGS = st.sampled_from(["differential", "offset"])
SCHEMES = st.sampled_from(["offset", "sign-phases", "twos-complement", "native"])


def weight_range(encoding, levels, bits):
    high = max_weight(encoding, levels, bits)
    return np.arange(-(1 << (bits - 1)) if encoding == "offset" else -high, high + 1)


@given(ENCODINGS, st.integers(2, 16), st.integers(2, 8))
def test_every_weight_survives_slicing(encoding, levels, bits):
    weights = weight_range(encoding, levels, bits)
    code = encode_weights(weights, encoding, levels, bits)
    np.testing.assert_array_equal(code.decode(), weights)
    assert code.digits.dtype == np.int8
    assert code.digits.shape == (slices_for(encoding, levels, bits), len(weights))
    low = 0 if encoding == "offset" else 1 - levels
    assert code.digits.min() >= low
    assert code.digits.max() <= levels - 1


@given(ENCODINGS, st.integers(2, 16), st.integers(2, 8))
def test_values_beyond_the_range_are_refused(encoding, levels, bits):
    weights = weight_range(encoding, levels, bits)
    for beyond in (weights[0] - 1, weights[-1] + 1):
        with pytest.raises(ValueError, match=f"must lie in {weights[0]}..{weights[-1]}"):
            encode_weights(np.array([0, beyond]), encoding, levels, bits)


@given(st.integers(2, 16), st.integers(2, 8))
def test_differential_slices_are_the_fewest_with_seven_eighths_of_the_range(levels, bits):
    full = 2 ** (bits - 1) - 1
    slices = slices_for("differential", levels, bits)
    base = 2 * levels - 1
    assert 8 * ((base**slices - 1) // 2) >= 7 * full
    assert slices == 1 or 8 * ((base ** (slices - 1) - 1) // 2) < 7 * full


@pytest.mark.parametrize(
    ("encoding", "levels", "bits", "slices", "maximum"),
    [
        ("differential", 8, 8, 2, 112),  # balanced base 15: (15**2 - 1) / 2
        ("differential", 8, 4, 1, 7),
        ("differential", 16, 8, 2, 127),
        ("differential", 2, 2, 1, 1),
        ("offset", 4, 8, 4, 127),
        ("offset", 4, 4, 2, 7),
        ("offset", 3, 8, 6, 127),  # 3**5 = 243 codes are too few
        ("offset", 16, 8, 2, 127),
    ],
)
def test_slices_and_reach(encoding, levels, bits, slices, maximum):
    assert slices_for(encoding, levels, bits) == slices
    assert max_weight(encoding, levels, bits) == maximum


@given(st.integers(1, 8), st.booleans(), st.integers(1, 8), SCHEMES)
def test_every_activation_survives_phasing(bits, signed, dac_bits, scheme):
    plan = phase_plan(bits, signed, dac_bits, scheme)
    low, high = plan.bounds
    least = -(2 ** (bits - 1)) + (scheme == "native")  # whose codes are symmetric
    assert (low, high) == ((least, 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1))
    x = np.arange(low, high + 1)
    digits = input_phases(x, plan)
    np.testing.assert_array_equal(plan.decode(digits), x)
    assert digits.dtype == (np.int8 if signed and scheme == "native" else np.uint8)
    for phase, codes in zip(plan.phases, digits, strict=True):
        assert 1 <= phase.width <= dac_bits
        assert np.abs(codes).max() < 1 << phase.width
    for beyond in (low - 1, high + 1):
        with pytest.raises(ValueError, match="must lie in"):
            input_phases(np.array([beyond]), plan)


@pytest.mark.parametrize(
    ("dac_bits", "scheme", "weights", "offset"),
    [
        (4, "offset", [1, 16], 128),
        (3, "offset", [1, 8, 64], 128),
        (8, "offset", [1], 128),
        (1, "twos-complement", [1, 2, 4, 8, 16, 32, 64, -128], 0),
        (4, "twos-complement", [1, 16, -256], 0),
        (7, "twos-complement", [1, -128], 0),  # the top phase is the sign bit: no further phase
        (4, "sign-phases", [1, 16, -1, -16], 0),
        (8, "sign-phases", [1, -1], 0),
        (7, "sign-phases", [1, -1, -128], 0),  # -128 needs an eighth bit
        (8, "native", [1], 0),
        (4, "native", [1, 8, 64], 0),  # three bits and a sign at a time
        (1, "native", [1, 2, 4, 8, 16, 32, 64], 0),
    ],
)
def test_phases_of_a_signed_byte(dac_bits, scheme, weights, offset):
    plan = phase_plan(8, True, dac_bits, scheme)
    assert plan.weights.tolist() == weights
    assert plan.input_offset == offset


@given(SCHEMES, st.integers(1, 8))
def test_unsigned_activations_do_not_depend_on_the_scheme(scheme, dac_bits):
    assert phase_plan(8, False, dac_bits, scheme) == phase_plan(8, False, dac_bits, "offset")


@given(
    ENCODINGS, st.integers(2, 16), st.integers(2, 8), st.integers(1, 8), st.integers(1, 8), SCHEMES,
    st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_a_dot_product_is_recovered_from_column_sums(enc, levels, wbits, bits, dac, scheme, signed, seed):
    rng = np.random.default_rng(seed)
    allowed = weight_range(enc, levels, wbits)
    w = rng.choice(allowed, size=(9, 3))
    plan = phase_plan(bits, signed, dac, scheme)
    x = rng.integers(plan.bounds[0], plan.bounds[1] + 1, size=(2, 9))
    code, drive = encode_weights(w, enc, levels, wbits), input_phases(x, plan)
    sums = np.einsum("pbr,src->psbc", drive.astype(np.int64), code.digits.astype(np.int64))
    total = np.einsum("p,s,psbc->bc", plan.weights, code.digit_weights, sums)
    correction = plan.input_offset * w.sum(axis=0)[None, :]
    correction = correction + code.weight_offset * (x + plan.input_offset).sum(axis=1)[:, None]
    np.testing.assert_array_equal(total - correction, x @ w)


def test_shapes_and_narrow_dtypes_are_kept():
    weights = np.full((2, 3, 4), -112, dtype=np.int8)
    code = encode_weights(weights, "differential", 8, 8)
    assert code.digits.shape == (2, 2, 3, 4)
    assert (code.decode() == -112).all()
    x = np.array([[-128, 127]], dtype=np.int8)
    plan = phase_plan(8, True, 4, "offset")
    np.testing.assert_array_equal(input_phases(x, plan), [[[0, 15]], [[0, 15]]])
    assert encode_weights(np.zeros((0, 4), dtype=np.int8), "offset", 4, 8).digits.shape == (4, 0, 4)


def test_floats_are_refused():
    with pytest.raises(TypeError, match="must be integers"):
        encode_weights(np.array([1.0]), "offset", 4, 8)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be integers"):
        input_phases(np.array([1.0]), phase_plan(8, False, 4, "offset"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "call",
    [
        lambda: slices_for("offset", 1, 8),
        lambda: slices_for("offset", 4, 9),
        lambda: slices_for("offset", 4, 1),
        lambda: slices_for("ternary", 4, 8),  # type: ignore[arg-type]
        lambda: phase_plan(0, False, 4, "offset"),
        lambda: phase_plan(8, False, 9, "offset"),
        lambda: phase_plan(8, True, 4, "magnitude"),  # type: ignore[arg-type]
    ],
)
def test_formats_out_of_range_are_refused(call):
    with pytest.raises(ValueError):
        call()
