"""Kernels against the oracle, bit for bit, over random targets, shapes and ADC steps."""

from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cimc.errors import ProgramError
from cimc.sim.kernels.dense import bit_planes
from cimc.sim.kernels.dense.gemm import integer_matmul
from cimc.sim.kernels.dense.mvm import DenseKernel
from cimc.sim.kernels.lookups import pooled_rows
from cimc.sim.oracle import adc_value, oracle_mvm, oracle_pool, oracle_weighted_sum
from cimc.target import load_target
from cimc.target.cell_encoding import max_weight, phase_plan, slices_for
from tests.sim.single_rows import through_adc

SCHEMES = ["offset", "sign-phases", "twos-complement", "native"]
ENCODINGS = ["offset", "differential"]


@cache
def base_array():
    return load_target("tsinghua28").array


def make_array(encoding="differential", levels=8, dac_bits=4, adc_bits=8, scheme="offset", **more):
    return base_array().model_copy(
        update={
            "encoding": encoding,
            "cell_levels": levels,
            "dac_bits": dac_bits,
            "adc_bits": adc_bits,
            "signed_inputs": scheme,
            **more,
        }
    )


def weight_bounds(array, bits):
    high = max_weight(array.encoding, array.cell_levels, bits)
    return (-high - 1 if array.encoding == "offset" else -high), high


def grid(rows, cols, height, width):
    """A block table that cuts a matrix into blocks of at most ``height`` rows and ``width`` columns."""
    cells = [
        (r, min(height, rows - r), c, min(width, cols - c), -1, -1, -1)
        for c in range(0, cols, width)
        for r in range(0, rows, height)
    ]
    return np.array(cells, dtype=np.int32)


def dense(which, *arguments):
    """A kernel of the backend ``which``: numba or numpy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIMC_KERNELS", which)
        return DenseKernel(*arguments)


BACKENDS = ["numba", "numpy"]


def random_case(rng, array, bits, input_bits, signed, shape, height, width, batch, skew=False):
    """Weights, inputs, block table and the shape of the ranges."""
    low, high = weight_bounds(array, bits)
    w = rng.integers(low, high, shape, endpoint=True).astype(np.int8)
    plan = phase_plan(input_bits, signed, array.dac_bits, array.signed_inputs)
    x = rng.integers(*plan.bounds, (batch, shape[0]), endpoint=True)
    if skew:  # many zeros: idle phases
        x = x * (rng.random(x.shape) < 0.2) // 3
    blocks = grid(*shape, height, width)
    slices = slices_for(array.encoding, array.cell_levels, bits)
    return w, x.astype(np.int8 if signed else np.uint8), blocks, (len(blocks), slices, len(plan.phases))


def oracle(x, w, array, bits, input_bits, signed, blocks, ranges):
    return oracle_mvm(
        x,
        w,
        encoding=array.encoding,
        cell_levels=array.cell_levels,
        weight_bits=bits,
        dac_bits=array.dac_bits,
        adc_bits=array.adc_bits,
        signed=signed,
        scheme=array.signed_inputs,
        input_bits=input_bits,
        blocks=blocks,
        ranges=ranges,
    )


@st.composite
def arrays(draw):
    return make_array(
        draw(st.sampled_from(ENCODINGS)),
        draw(st.sampled_from([2, 3, 4, 8, 16])),
        draw(st.integers(1, 8)),
        draw(st.integers(3, 12)),
        draw(st.sampled_from(SCHEMES)),
    )


# --------------------------------------------------------------------------------------------------
# Dense


@given(
    array=arrays(),
    bits=st.integers(2, 8),
    input_bits=st.integers(1, 8),
    signed=st.booleans(),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 5)),
    height=st.integers(1, 9),
    width=st.integers(1, 5),
    batch=st.integers(1, 3),
    top=st.sampled_from([1, 2, 3, 9, 400]),
    skew=st.booleans(),
    seed=st.integers(0, 1 << 32),
    which=st.sampled_from(BACKENDS),
)
@settings(max_examples=200, deadline=None)
def test_adc_equals_the_oracle(
    which, array, bits, input_bits, signed, shape, height, width, batch, top, skew, seed
):
    rng = np.random.default_rng(seed)
    w, x, blocks, steps = random_case(rng, array, bits, input_bits, signed, shape, height, width, batch, skew)
    ranges = rng.integers(1, top, steps, endpoint=True).astype(np.int32)
    kernel = dense(which, w, blocks, ranges, array, bits, input_bits, signed)
    expected = oracle(x, w, array, bits, input_bits, signed, blocks, ranges)
    got = kernel.adc(x, 0, len(blocks))
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(kernel.exact(x, 0, len(blocks)), x.astype(np.int64) @ w)


@pytest.mark.parametrize("name", ["tsinghua28", "isaac32", "neurram130", "hermes14"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("which", BACKENDS)
def test_presets_on_awkward_shapes(which, name, signed):
    """479 rows (no multiple of any array), more than one row block, few columns."""
    array = load_target(name).array
    rng = np.random.default_rng(7)
    w, x, blocks, steps = random_case(rng, array, 8, 8, signed, (479, 5), array.rows, 3, 2)
    top = 2 * array.lossless_lsb(array.partial_sum_bound()) // 3 + 1
    ranges = rng.integers(1, top, steps, endpoint=True).astype(np.int32)
    kernel = dense(which, w, blocks, ranges, array, 8, 8, signed)
    np.testing.assert_array_equal(
        kernel.adc(x, 0, len(blocks)), oracle(x, w, array, 8, 8, signed, blocks, ranges)
    )
    np.testing.assert_array_equal(kernel.exact(x, 0, len(blocks)), x.astype(np.int64) @ w)


@pytest.mark.parametrize(
    ("encoding", "scheme"),
    [(e, s) for e in ENCODINGS for s in SCHEMES if (e, s) != ("offset", "native")],  # no target has both
)
@pytest.mark.parametrize("which", BACKENDS)
def test_without_clipping_or_rounding_adc_is_exact(which, encoding, scheme):
    array = make_array(encoding, 4, 2, 16, scheme)
    rng = np.random.default_rng(3)
    w, x, blocks, steps = random_case(rng, array, 8, 8, True, (300, 10), 128, 4, 9)
    kernel = dense(which, w, blocks, np.ones(steps, np.int32), array, 8, 8, True)
    np.testing.assert_array_equal(
        kernel.adc(x, 0, len(blocks)), kernel.exact(x, 0, len(blocks))
    )  # every column is certified clip-free
    # The converters themselves must agree too: a narrower ADC, and inputs that keep clear of its limits.
    tight = make_array(encoding, 4, 2, 8, scheme)
    undriven = -128 if scheme == "offset" else 0
    x = np.where(rng.random(x.shape) < 0.05, x, undriven).astype(np.int8)
    kernel = dense(which, w, blocks, np.ones(steps, np.int32), tight, 8, 8, True)
    assert not all(units.all() for units in kernel.certified)
    np.testing.assert_array_equal(kernel.adc(x, 0, len(blocks)), x.astype(np.int64) @ w)


@pytest.mark.parametrize("which", BACKENDS)
def test_certified_and_other_columns_mix(which):
    array = make_array("offset", 4, 1, 8, "twos-complement")
    rng = np.random.default_rng(5)
    w, x, blocks, steps = random_case(rng, array, 8, 8, False, (128, 12), 128, 7, 4)
    w[:, ::2] = 127  # digits all 3: sums up to 384 clip at 255
    ranges = np.ones(steps, np.int32)
    kernel = dense(which, w, blocks, ranges, array, 8, 8, False)
    sure = np.concatenate(kernel.certified, axis=1).all(axis=0)
    assert sure.tolist() == [False, True] * 6
    got = kernel.adc(x | 240, 0, len(blocks))
    np.testing.assert_array_equal(got, oracle(x | 240, w, array, 8, 8, False, blocks, ranges))
    assert (got != kernel.exact(x | 240, 0, len(blocks))).any()


@pytest.mark.parametrize("name", ["tsinghua28", "isaac32"])
@pytest.mark.parametrize("which", BACKENDS)
def test_results_do_not_depend_on_the_batch_split(which, name, monkeypatch):
    array = load_target(name).array
    rng = np.random.default_rng(11)
    w, x, blocks, steps = random_case(rng, array, 8, 8, False, (200, 6), array.rows, 4, 133)
    ranges = rng.integers(1, 20, steps).astype(np.int32)
    kernel = dense(which, w, blocks, ranges, array, 8, 8, False)
    whole, exact = kernel.adc(x, 0, len(blocks)), kernel.exact(x, 0, len(blocks))
    for cut, inside in ((1, "_TILE_ELEMENTS"), (7, "_TILE_ELEMENTS"), (65, "_DRIVE_ELEMENTS")):
        monkeypatch.setattr(bit_planes, inside, 300)  # small steps inside, too
        parts = [kernel.adc(x[i : i + cut], 0, len(blocks)) for i in range(0, 133, cut)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
        parts = [kernel.exact(x[i : i + cut], 0, len(blocks)) for i in range(0, 133, cut)]
        np.testing.assert_array_equal(np.concatenate(parts), exact)
    assert kernel.adc(x[:0], 0, len(blocks)).shape == (0, 6)
    assert kernel.exact(x[:0], 0, len(blocks)).shape == (0, 6)


def test_array_groups_are_partial_products():
    array = make_array(adc_bits=5)
    rng = np.random.default_rng(13)
    w, x, blocks, steps = random_case(rng, array, 8, 8, True, (30, 10), 8, 4, 5)  # 4 row cuts, 3 column cuts
    ranges = rng.integers(1, 50, steps).astype(np.int32)
    kernel = DenseKernel(w, blocks, ranges, array, 8, 8, True)
    whole = kernel.adc(x, 0, 12)
    strip = kernel.adc(x, 4, 2) + kernel.adc(x, 6, 2)
    assert kernel.columns(4, 2) == (4, 8)
    np.testing.assert_array_equal(strip, whole[:, 4:8])
    np.testing.assert_array_equal(kernel.exact(x, 4, 2), x[:, :16].astype(np.int64) @ w[:16, 4:8])
    # Blocks 3 and 4: the last rows of columns 0..3 and the first rows of columns 4..7.
    ragged = kernel.exact(x, 3, 2)
    np.testing.assert_array_equal(ragged[:, :4], x[:, 24:].astype(np.int64) @ w[24:, :4])
    np.testing.assert_array_equal(ragged[:, 4:], x[:, :8].astype(np.int64) @ w[:8, 4:8])
    both = np.concatenate([kernel.adc(x, 3, 1), kernel.adc(x, 4, 1)], axis=1)
    np.testing.assert_array_equal(kernel.adc(x, 3, 2), both)
    slices, phases = steps[1:]
    assert kernel.conversions(3, 2) == 8 * slices * phases


@pytest.mark.parametrize("which", BACKENDS)
def test_float64_takes_over_where_float32_cannot_round_right(which):
    """Column sums near 2**24: 1024 rows of 128-level cells at 8-bit drive."""
    array = make_array("differential", 128, 8, 12, "offset")
    rng = np.random.default_rng(17)
    w = rng.choice(np.array([-127, 127, 126], np.int8), (1024, 3))
    w[:, 0] = 127
    x = rng.integers(250, 256, (4, 1024)).astype(np.uint8)
    blocks = grid(1024, 3, 1024, 3)
    for lsb in (1, 16187, 16200, 16213):
        ranges = np.full((1, 1, 1), lsb, np.int32)
        kernel = dense(which, w, blocks, ranges, array, 8, 8, False)
        plan = kernel._plan_adc(0, 1, 0, kernel.weights.shape[1])
        assert plan.groups[0].planes.dtype == np.float64 if which == "numpy" else plan.others[0].steps.size
        np.testing.assert_array_equal(kernel.adc(x, 0, 1), oracle(x, w, array, 8, 8, False, blocks, ranges))


@pytest.mark.parametrize("lsb", [2, 41, 47, 55, 82, 97, 128, 255])
@pytest.mark.parametrize("which", BACKENDS)
def test_sums_on_the_edge_between_codes(which, lsb):
    """A reciprocal rounded down (41, 47, 55, ...) must not lose a code at its lower edge."""
    array = make_array("differential", 128, 8, 12)
    w = np.arange(-127, 128, dtype=np.int8)[np.newaxis]
    x = np.arange(256, dtype=np.uint8)[:, np.newaxis]
    kernel = dense(which, w, grid(1, 255, 1, 255), np.full((1, 1, 1), lsb, np.int32), array, 8, 8, False)
    plan = kernel._plan_adc(0, 1, 0, kernel.weights.shape[1])
    assert plan.groups[0].planes.dtype == np.float32 if which == "numpy" else not plan.others[0].steps.size
    sums = x.astype(np.int64) @ w
    value = {int(p): adc_value(int(p), lsb, 12, "differential") for p in np.unique(sums)}
    assert kernel.adc(x, 0, 1).tolist() == [[value[p] for p in row] for row in sums.tolist()]


@pytest.mark.parametrize(
    ("encoding", "column", "result"),
    [
        ("offset", [3, 3, 1], 7),  # the top code of 3 bits
        ("offset", [3, 3, 2], 7),
        ("differential", [3, 0, 0], 3),
        ("differential", [3, 1, 0], 3),
        ("differential", [-3, -1, 0], -4),
        ("differential", [-3, -2, 0], -4),
    ],
)
@pytest.mark.parametrize("which", BACKENDS)
def test_the_certificate_stops_at_the_last_code(which, encoding, column, result):
    array = make_array(encoding, 4, 1, 3)
    bits = 2 if encoding == "offset" else 3
    offset = 2 if encoding == "offset" else 0
    w = np.array(column, np.int8)[:, np.newaxis] - np.int8(offset)
    kernel = dense(which, w, grid(3, 1, 3, 1), np.ones((1, 1, 1), np.int32), array, bits, 1, False)
    got = int(kernel.adc(np.ones((1, 3), np.uint8), 0, 1).item())
    assert got == result - 3 * offset
    assert kernel.certified[0].all() == (sum(column) == result)


@pytest.mark.parametrize("which", BACKENDS)
def test_float64_takes_over_where_float32_cannot_add_up(which):
    array = make_array("offset", 4, 1, 12)
    rng = np.random.default_rng(23)
    w = rng.integers(110, 128, (512, 2)).astype(np.int8)
    x = rng.integers(240, 256, (3, 512)).astype(np.uint8)
    blocks, ranges = grid(512, 2, 512, 2), np.full((1, 4, 8), 7, np.int32)
    kernel = dense(which, w, blocks, ranges, array, 8, 8, False)
    if which == "numpy":
        assert kernel._plan_adc(0, 1, 0, kernel.weights.shape[1]).groups[0].planes.dtype == np.float64
    np.testing.assert_array_equal(kernel.adc(x, 0, 1), oracle(x, w, array, 8, 8, False, blocks, ranges))


def test_float32_conversion_rounds_right_up_to_its_limit():
    """The worst sums for the reciprocal, next to every boundary between codes, at the edge of the claim."""
    limit = bit_planes.F32_CONVERSION
    for lsb in [1, 2, 3, 5, 7, 10, 49, 127, 419, 4097, 65535, 1 << 20, limit // 2]:
        edges = np.arange(0, limit, lsb, dtype=np.int64)[-3000:]
        n = np.unique(np.concatenate([edges - 1, edges, edges + 1, -edges - 1, -edges, 1 - edges]))
        n = n[np.abs(n) < limit]
        t = (n.astype(np.float32) + np.float32(0.5)) * np.reciprocal(np.float32(lsb))
        np.testing.assert_array_equal(np.floor(t).astype(np.int64), n // lsb)


def test_exact_splits_long_products():
    rng = np.random.default_rng(19)
    x = np.full((3, 2000), 255, np.uint8)
    w = rng.integers(100, 128, (2000, 4)).astype(np.int8)
    expected = x.astype(np.int64) @ w
    assert expected.max() > 1 << 24
    np.testing.assert_array_equal(integer_matmul(x, w.astype(np.float32), 255, 127), expected)


def test_accumulators_that_could_overflow_are_refused():
    rows = (1 << 31) // (255 * 127) + 2
    w, x = np.full((rows, 1), 127, np.int8), np.zeros((1, rows), np.uint8)
    array = make_array("differential", 128, 8, 12, rows=1 << 17)
    for edge, fails in ((rows, True), (rows - 8, False)):
        kernel = DenseKernel(
            w[:edge], grid(edge, 1, 512, 1), np.ones((-(-edge // 512), 1, 1), np.int32), array, 8, 8, False
        )
        if fails:
            with pytest.raises(ProgramError, match="32-bit accumulator"):
                kernel.exact(x[:, :edge], 0, 1)
            with pytest.raises(ProgramError, match="32-bit accumulator"):
                kernel.adc(x[:, :edge], 0, 1)
        else:
            assert kernel.exact(x[:, :edge] + np.uint8(255), 0, len(kernel.blocks)).item() == edge * 255 * 127


def test_wrong_arguments_are_refused():
    array = make_array()
    w, blocks = np.ones((4, 3), np.int8), grid(4, 3, 4, 3)
    good = np.ones((1, 2, 2), np.int32)
    DenseKernel(w, blocks, good, array, 8, 8, False)
    with pytest.raises(ValueError, match="at least 1"):
        DenseKernel(w, blocks, good * 0, array, 8, 8, False)
    with pytest.raises(ValueError, match="phases need"):
        DenseKernel(w, blocks, good[:, :1], array, 8, 8, False)
    with pytest.raises(ValueError, match="outside the matrix"):
        DenseKernel(w, blocks + 1, good, array, 8, 8, False)
    with pytest.raises(ValueError, match="same rows and columns"):
        DenseKernel(w, np.repeat(blocks, 2, axis=0), np.repeat(good, 2, axis=0), array, 8, 8, False)
    kernel = DenseKernel(w, blocks, good[:, :, :1], array, 8, 4, False)
    with pytest.raises(ValueError, match=r"0\.\.15"):
        kernel.exact(np.full((1, 4), 16, np.uint8), 0, 1)
    with pytest.raises(TypeError):
        kernel.adc(np.zeros((1, 4), np.int32), 0, 1)
    with pytest.raises(ValueError, match="expected"):
        kernel.adc(np.zeros((1, 3), np.uint8), 0, 1)
    with pytest.raises(ValueError, match=r"blocks 0\.\.1"):
        kernel.adc(np.zeros((1, 4), np.uint8), 0, 2)


# --------------------------------------------------------------------------------------------------
# Lookups


@st.composite
def bags(draw):
    rows, dim = draw(st.integers(1, 12)), draw(st.integers(1, 10))
    lengths = draw(st.lists(st.integers(0, 7), min_size=0, max_size=6))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    return (
        rng.integers(-112, 113, (rows, dim)).astype(np.int8),
        rng.integers(0, rows, starts[-1]),
        starts,
        rng,
    )


@given(case=bags(), chunk=st.sampled_from([1, 20, 1 << 22]))
@settings(max_examples=150, deadline=None)
def test_pooling_equals_plain_loops(case, chunk):
    table, ids, starts, rng = case
    n, dim = len(starts) - 1, table.shape[1]
    sums, tops = np.zeros((n, dim), np.int64), np.zeros((n, dim), np.int64)
    for i in range(n):
        for j in range(starts[i], starts[i + 1]):
            row = table[ids[j]].astype(np.int64)
            sums[i] += row
            tops[i] = row if j == starts[i] else np.maximum(tops[i], row)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooled_rows, "_GATHERED_ELEMENTS", chunk)
        got = pooled_rows.pooled_sum(table, ids, starts)
        np.testing.assert_array_equal(got, sums)
        assert got.dtype == np.int32
        got = pooled_rows.pooled_max(table, ids, starts)
        np.testing.assert_array_equal(got, tops)
        assert got.dtype == np.int8
    weights = rng.standard_normal(len(ids)).astype(np.float32)
    got = pooled_rows.weighted_sum(table, 0.037, ids, weights, starts)
    expected = oracle_weighted_sum(table, 0.037, ids, weights, starts)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got.view(np.int32), expected.view(np.int32))
    np.testing.assert_array_equal(pooled_rows.rows_of(table, ids), table[ids])


def test_pooled_sum_is_wide_enough():
    table = np.full((1, 2), -128, np.int8)
    ids, starts = np.zeros(70_000, np.int64), np.array([0, 0, 70_000, 70_000])
    assert pooled_rows.pooled_sum(table, ids, starts).tolist() == [[0, 0], [-8_960_000] * 2, [0, 0]]
    assert pooled_rows.pooled_sum(table, ids, np.array([0, 70_000])).tolist() == [[-8_960_000] * 2]


def test_bags_are_checked():
    table = np.ones((3, 2), np.int8)
    for bad in ([3], [-1]):
        with pytest.raises(IndexError, match=r"0\.\.2"):
            pooled_rows.pooled_sum(table, np.array(bad), np.array([0, 1]))
        with pytest.raises(IndexError):
            pooled_rows.rows_of(table, np.array(bad))
    for bad in ([0], [1, 2], [0, 2, 1, 2], []):
        with pytest.raises(ValueError, match="starts"):
            pooled_rows.pooled_sum(table, np.array([0, 1]), np.array(bad, dtype=np.int64))


@given(
    array=arrays(),
    bits=st.integers(2, 8),
    lsb=st.sampled_from([1, 2, 3, 5]),
    rows=st.integers(1, 8),
    seed=st.integers(0, 1 << 32),
)
@settings(max_examples=100, deadline=None)
def test_through_adc_is_what_single_rows_read(array, bits, lsb, rows, seed):
    rng = np.random.default_rng(seed)
    table = rng.integers(*weight_bounds(array, bits), (rows, 3), endpoint=True).astype(np.int8)
    ids, starts = np.arange(rows), np.arange(rows + 1)
    seen = through_adc(table, array, bits, lsb)
    expected = pool_oracle(table, ids, starts, array, bits, np.array([0]), 1, lsb)
    np.testing.assert_array_equal(seen, expected)
    np.testing.assert_array_equal(
        pooled_rows.pooled_sum(seen, ids, np.array([0, rows]))[0], expected.sum(axis=0)
    )


def pool_oracle(table, ids, starts, array, bits, first_rows, pool_rows, lsb):
    return oracle_pool(
        table,
        ids,
        starts,
        first_rows=first_rows,
        encoding=array.encoding,
        cell_levels=array.cell_levels,
        weight_bits=bits,
        adc_bits=array.adc_bits,
        pool_rows=pool_rows,
        lsb=lsb,
    )


@given(case=bags(), array=arrays(), height=st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_pools_of_the_permitted_size_read_exactly(case, array, height):
    from cimc.transforms.partition.adc_steps import pool_rows

    table, ids, starts, _ = case
    assume(array.adc_codes[1] >= array.cell_levels - 1)
    low, high = weight_bounds(array, 8)
    table = np.clip(table, low, high).astype(np.int8)
    rows, lsb = pool_rows(array)
    first_rows = np.arange(0, len(table), height)
    np.testing.assert_array_equal(
        pooled_rows.pooled_sum(through_adc(table, array, 8, lsb), ids, starts),
        pool_oracle(table, ids, starts, array, 8, first_rows, rows, lsb),
    )


def test_shard_hits():
    ids = np.array([0, 9, 1, 1, 5, 2])
    starts = np.array([0, 4, 4, 6])
    hits = pooled_rows.shard_hits(ids, starts, np.array([0, 4, 8]), 2)
    assert hits.bag.tolist() == [0, 0, 2, 2]
    assert hits.block.tolist() == [0, 2, 0, 1]
    assert hits.rows.tolist() == [3, 1, 1, 1]
    assert hits.steps.tolist() == [2, 1, 1, 1]
    assert hits.blocks_per_bag(3).tolist() == [2, 0, 2]
    assert hits.steps_per_bag(3).tolist() == [3, 0, 2]


@given(case=bags(), height=st.integers(1, 5), pool=st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_shard_hits_equal_plain_counts(case, height, pool):
    table, ids, starts, _ = case
    hits = pooled_rows.shard_hits(ids, starts, np.arange(0, len(table), height), pool)
    expected = []
    for i in range(len(starts) - 1):
        bag = [int(r) for r in ids[starts[i] : starts[i + 1]]]
        for b in sorted({r // height for r in bag}):
            here = [r for r in bag if r // height == b]
            most = max(here.count(r) for r in here)  # a word line is driven once per step
            expected.append((i, b, len(here), max(-(-len(here) // pool), most)))
    assert list(zip(hits.bag, hits.block, hits.rows, hits.steps, strict=True)) == expected
