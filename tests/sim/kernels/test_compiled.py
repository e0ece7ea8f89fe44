"""The compiled kernels, each variant by name, against the oracle and against each other."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.errors import ProgramError
from cimc.isa.certificate import certify, shares, unpack
from cimc.sim.kernels import availability
from cimc.sim.kernels.dense.mvm import DenseKernel
from cimc.sim.kernels.lookups import pooled_rows, row_sums
from cimc.target.cell_encoding import slices_for
from tests.sim.kernels.test_kernels import BACKENDS, SCHEMES, dense, grid, make_array, oracle, random_case

converters = pytest.importorskip("cimc.sim.kernels.dense.unit_selection", exc_type=ImportError)
KINDS = ["clipped", "bytes", "words", "products"]


def uncertified(blocks, slices):
    return np.zeros(-(-slices * int(blocks[:, 3].sum()) // 8), np.uint8)


def of_kind(kind, *arguments):
    """A kernel whose converters are of ``kind`` wherever they can be, and how many kernels are."""
    real = converters.usable

    def choose(span, plan, codes):
        kinds = real(span, plan, codes)
        return [kind] if kind in kinds else kinds

    kernel = DenseKernel(*arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(converters, "usable", choose)
        plan = kernel._plan("adc", 0, len(kernel.blocks), 0, kernel.weights.shape[1])
    named = [getattr(each, "kind", "products") for each in getattr(plan, "others", [])]
    return kernel, named.count(kind)


@given(
    kind=st.sampled_from(KINDS),
    encoding=st.sampled_from(["offset", "offset", "differential"]),
    levels=st.sampled_from([2, 3, 4, 8, 16]),
    adc_bits=st.integers(3, 12),
    scheme=st.sampled_from(SCHEMES),
    bits=st.integers(2, 8),
    input_bits=st.integers(1, 8),
    signed=st.booleans(),
    shape=st.tuples(st.integers(1, 37), st.integers(1, 21)),
    height=st.integers(3, 19),
    batch=st.integers(1, 3),
    top=st.sampled_from([1, 1, 3, 60]),
    certified=st.booleans(),
    seed=st.integers(0, 1 << 32),
)
@settings(max_examples=120, deadline=None)
def test_one_bit_phases(
    kind,
    encoding,
    levels,
    adc_bits,
    scheme,
    bits,
    input_bits,
    signed,
    shape,
    height,
    batch,
    top,
    certified,
    seed,
):
    """Tables of all kinds and products, with and without the certificate."""
    rng = np.random.default_rng(seed)
    array = make_array(encoding, levels, 1, adc_bits, scheme)
    w, x, blocks, steps = random_case(rng, array, bits, input_bits, signed, shape, height, 11, batch)
    ranges = rng.integers(1, top, steps, endpoint=True).astype(np.int32)
    none = None if certified else uncertified(blocks, steps[1])
    kernel, _ = of_kind(kind, w, blocks, ranges, array, bits, input_bits, signed, none)
    expected = oracle(x, w, array, bits, input_bits, signed, blocks, ranges)
    np.testing.assert_array_equal(kernel.adc(x, 0, len(blocks)), expected)


def mixed_case(seed=3, rows=479, cols=70, batch=150, lsb=1):
    """Offset cells whose certificates differ by slice, column and block of rows; blocks of 128 rows."""
    rng = np.random.default_rng(seed)
    array = make_array("offset", 4, 1, 8, "twos-complement", rows=128)
    w, x, blocks, steps = random_case(rng, array, 8, 8, True, (rows, cols), 128, 33, batch)
    w[:, ::3] |= 3  # the lowest slice of these columns holds 3 everywhere, and can pass 255
    w[130:300, 5:40] = 127
    return w, x, blocks, np.full(steps, lsb, np.int32), array


def test_every_kind_is_reached_and_equal():
    w, x, blocks, ranges, array = mixed_case()
    x[:, 50:90] = 0  # groups of rows that nothing drives
    expected = dense("numpy", w, blocks, ranges, array, 8, 8, True).adc(x, 0, len(blocks))
    for kind in ("clipped", "words", "products"):
        kernel, used = of_kind(kind, w, blocks, ranges, array, 8, 8, True)
        assert used == 1
        np.testing.assert_array_equal(kernel.adc(x, 0, len(blocks)), expected)
    coarse = ranges * 2
    small = np.clip(w, -128, -40)  # few levels: sums of bytes
    expected = dense("numpy", small, blocks, coarse, array, 8, 8, True).adc(x, 0, len(blocks))
    small_array = make_array("offset", 2, 1, 8, "twos-complement", rows=128)
    coarse = np.full((len(blocks), slices_for("offset", 2, 8), 8), 2, np.int32)
    expected = dense("numpy", small, blocks, coarse, small_array, 8, 8, True).adc(x, 0, len(blocks))
    kernel, used = of_kind("bytes", small, blocks, coarse, small_array, 8, 8, True)
    assert used == 1
    np.testing.assert_array_equal(kernel.adc(x, 0, len(blocks)), expected)


def test_certified_slices_of_a_column_are_folded():
    """Certified and other slices of one column take different kernels, and add up to the oracle's result."""
    w, x, blocks, ranges, array = mixed_case(rows=200, cols=40, batch=2)
    kernel = dense("numba", w, blocks, ranges, array, 8, 8, True)
    parts = np.concatenate([units.reshape(4, -1) for units in kernel.certified], axis=1)
    assert (parts.any(axis=0) & ~parts.all(axis=0)).any()
    plan = kernel._plan_adc(0, len(blocks), 0, kernel.weights.shape[1])
    assert type(plan.first).__name__ == "IntegerProduct"
    assert plan.others
    np.testing.assert_array_equal(
        kernel.adc(x, 0, len(blocks)), oracle(x, w, array, 8, 8, True, blocks, ranges)
    )


def test_folded_weights_beyond_a_byte_go_through_converters():
    """127 in balanced digits of base 7 is 3 -3 1: the leading digit alone counts 147."""
    array = make_array("differential", 4, 2, 12, "offset")
    rng = np.random.default_rng(8)
    w = rng.integers(110, 128, (90, 6)).astype(np.int8)
    x = rng.integers(0, 256, (3, 90)).astype(np.uint8)
    blocks = grid(90, 6, 90, 6)
    ranges = np.ones((1, 3, 4), np.int32)
    ranges[0, :2] = 2  # only the leading slice is certified
    expected = oracle(x, w, array, 8, 8, False, blocks, ranges)
    for which in BACKENDS:
        kernel = dense(which, w, blocks, ranges, array, 8, 8, False)
        assert kernel.certified[0][2].all()
        np.testing.assert_array_equal(kernel.adc(x, 0, 1), expected)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("name", ["exact", "adc"])
def test_threads_and_place_do_not_matter(threads, name):
    w, x, blocks, ranges, array = mixed_case(batch=203)
    kernel = dense("numba", w, blocks, ranges, array, 8, 8, True)
    expected = getattr(dense("numpy", w, blocks, ranges, array, 8, 8, True), name)(x, 0, len(blocks))
    product = getattr(kernel, name)
    np.testing.assert_array_equal(product(x, 0, len(blocks), threads=threads), expected)
    memory = np.zeros((203, 2000), np.uint8)  # operand and result in one scratchpad, over one another
    memory[:, 40 : 40 + 479] = x.view(np.uint8)
    before = memory.copy()
    out = memory[:, 80 : 80 + 4 * 70].view(np.int32)
    returned = product(memory[:, 40 : 40 + 479].view(np.int8), 0, len(blocks), threads=threads, out=out)
    assert returned is out
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(memory[:, 360:], before[:, 360:])
    np.testing.assert_array_equal(memory[:, :80], before[:, :80])


def test_a_certificate_may_be_left_out():
    w, x, blocks, ranges, array = mixed_case(batch=70)
    some = certify(w, blocks, ranges, array, 8, 8, True)
    expected = dense("numpy", w, blocks, ranges, array, 8, 8, True, some).adc(x, 0, len(blocks))
    for which in BACKENDS:
        for certificate in (some, some & 0x5A, some & 0):
            kernel = dense(which, w, blocks, ranges, array, 8, 8, True, certificate)
            np.testing.assert_array_equal(kernel.adc(x, 0, len(blocks)), expected)


def test_certificates_pack_and_count():
    w, _, blocks, ranges, array = mixed_case()
    packed = certify(w, blocks, ranges, array, 8, 8, True)
    units = unpack(packed, blocks, 4)
    assert [part.shape for part in units] == [(4, int(b[3])) for b in blocks]
    digits = (w.astype(np.int16) + 128) >> (2 * np.arange(4))[:, None, None] & 3
    for part, (row0, rows, col0, cols, *_) in zip(units, blocks.tolist(), strict=True):
        sums = digits[:, row0 : row0 + rows, col0 : col0 + cols].sum(axis=1)
        np.testing.assert_array_equal(part, sums <= 255)
    assert shares(packed, blocks, 4) == (sum(int(part.sum()) for part in units), 4 * 4 * 70)
    assert shares(certify(w, blocks, ranges * 2, array, 8, 8, True), blocks, 4)[0] == 0
    with pytest.raises(ValueError, match="bits expected"):
        unpack(packed[:-1], blocks, 4)


# --------------------------------------------------------------------------------------------------
# Traps that simulators fall into


@pytest.mark.parametrize("which", BACKENDS)
@pytest.mark.parametrize("dac_bits", [1, 4])
def test_remainder_rows_count(which, dac_bits):
    """479 rows leave 95 for the last array: they are computed, and the missing rows of it add nothing."""
    array = make_array("offset", 4, dac_bits, 8, "offset", rows=128)
    w = np.ones((479, 1), np.int8)
    blocks = grid(479, 1, 128, 1)
    phases = 8 // dac_bits
    for lsb, exact in ((1, dac_bits == 1), (30, False)):
        kernel = dense(which, w, blocks, np.full((4, 4, phases), lsb, np.int32), array, 8, 8, False)
        last = np.zeros((1, 479), np.uint8)
        last[0, 478] = 200
        assert kernel.exact(last, 0, 4).item() == 200
        if exact:
            assert kernel.adc(last, 0, 4).item() == 200
        else:
            ranges = np.full((4, 4, phases), lsb, np.int32)
            assert kernel.adc(last, 0, 4).item() == oracle(last, w, array, 8, 8, False, blocks, ranges).item()


@pytest.mark.parametrize("which", BACKENDS)
def test_company_does_not_change_a_sample(which):
    """No range comes from the batch: a small input converts the same beside a large one."""
    w, x, blocks, ranges, array = mixed_case(batch=3)
    kernel = dense(which, w, blocks, ranges * 7, array, 8, 8, True)
    alone = kernel.adc(x[:1] // 16, 0, len(blocks))
    beside = kernel.adc(np.concatenate([x[:1] // 16, np.full_like(x, 127)]), 0, len(blocks))
    np.testing.assert_array_equal(alone, beside[:1])


@pytest.mark.parametrize("which", BACKENDS)
def test_codes_lie_on_the_grid(which):
    """A wide converter with step 1 that never clips gives the integer product, whatever the range's top."""
    rng = np.random.default_rng(2)
    array = make_array("offset", 4, 1, 10, "offset", rows=128)
    w = rng.integers(-128, 128, (128, 9)).astype(np.int8)
    x = rng.integers(0, 256, (5, 128)).astype(np.uint8)
    blocks = grid(128, 9, 128, 9)
    one = np.ones((1, 4, 8), np.int32)
    for certificate in (None, uncertified(blocks, 4)):
        kernel = dense(which, w, blocks, one, array, 8, 8, False, certificate)
        np.testing.assert_array_equal(kernel.adc(x, 0, 1), x.astype(np.int64) @ w)


def test_products_need_no_float():
    """Sums beyond 2**24, where float32 products would have to be split."""
    x, w = np.full((7, 3000), 255, np.uint8), np.full((3000, 17), 127, np.int8)
    kernel = dense(
        "numba", w, grid(3000, 17, 512, 17), np.full((6, 2, 2), 99, np.int32), make_array(), 7, 8, False
    )
    np.testing.assert_array_equal(kernel.exact(x, 0, 6), np.full((7, 17), 3000 * 255 * 127))


# --------------------------------------------------------------------------------------------------
# Which kernels run


def test_the_variable_chooses(monkeypatch):
    for which in BACKENDS:
        monkeypatch.setenv(availability.VARIABLE, which)
        assert availability.backend() == which
    monkeypatch.setenv(availability.VARIABLE, "fortran")
    with pytest.raises(ProgramError, match="fortran") as caught:
        availability.backend()
    assert caught.value.code == "sim.kernels"
    monkeypatch.delenv(availability.VARIABLE)
    assert availability.backend() == "numba"
    assert availability.fallback_note() is None
    monkeypatch.setattr(availability.importlib.util, "find_spec", lambda name: None)
    assert availability.backend() == "numpy"
    assert "not installed" in availability.fallback_note()
    monkeypatch.setenv(availability.VARIABLE, "numba")
    with pytest.raises(ProgramError, match="not installed"):
        availability.backend()


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_lookups_are_equal(dtype, monkeypatch):
    rng = np.random.default_rng(4)
    table = rng.integers(-128, 128, (50, 19)).astype(dtype)
    table.setflags(write=False)
    lengths = rng.integers(0, 9, 40)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = rng.integers(0, 50, starts[-1])
    weights = rng.normal(size=len(ids)).astype(np.float32)
    found = []
    for which in BACKENDS:
        monkeypatch.setenv(availability.VARIABLE, which)
        assert row_sums.serves(table) == (which == "numba")
        found.append(
            (
                pooled_rows.pooled_sum(table, ids, starts),
                pooled_rows.weighted_sum(table, 0.3, ids, weights, starts),
            )
        )
    for a, b in zip(*found, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a.view(np.int32), b.view(np.int32))


_OTHER = """
import numpy as np
from cimc.sim.kernels.dense import dot_products, lut4
from tests.sim.kernels.test_kernels import dense
from tests.sim.kernels.test_compiled import mixed_case, of_kind
assert (dot_products.DOT, dot_products.PANELS, lut4.CHAINS) == ("pairs", (1,), (4, 1))
w, x, blocks, ranges, array = mixed_case(batch=100)
for step in (1, 3):
    expected = dense("numpy", w, blocks, ranges * step, array, 8, 8, True)
    for kind in ("clipped", "words", "products"):
        kernel, _ = of_kind(kind, w, blocks, ranges * step, array, 8, 8, True)
        assert np.array_equal(kernel.adc(x, 0, len(blocks)), expected.adc(x, 0, len(blocks))), (step, kind)
    assert np.array_equal(kernel.exact(x, 0, len(blocks)), expected.exact(x, 0, len(blocks)))

from cimc.sim.devices.noisy_dense import Conditions
from cimc.sim.devices.model.load_device import load_device
from tests.sim.devices.devices_setup import inputs_for, make_array, make_dense
conditions = Conditions(load_device("wan2022"), 3600.0)
kernel, plan = make_dense(make_array("differential", 8, 4), (130, 20), (130, 20), conditions)
x = inputs_for(plan, (9, 130), np.random.default_rng(0))
found = kernel.noisy(x, 0, 1, 0)
assert any(kernel._integers.values())
kernel.compiled = False
assert np.array_equal(kernel.noisy(x, 0, 1, 0), found)
"""


def test_processors_without_wide_vectors():
    """The same code for a plain x86-64 (or what this is, without its extensions), in its own process."""
    environment = {**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "PYTHONPATH": "."}
    done = subprocess.run(
        [sys.executable, "-c", _OTHER], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
