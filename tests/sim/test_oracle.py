"""The oracle against hand-computed values and against the algebra it stands for."""

import numpy as np
import pytest

from cimc.sim.oracle import adc_value, oracle_mvm, oracle_pool, oracle_weighted_sum
from cimc.target.cell_encoding import phase_plan, slices_for


@pytest.mark.parametrize(
    ("total", "lsb", "encoding", "value"),
    [
        (5, 1, "offset", 5),
        (7, 1, "offset", 7),
        (8, 1, "offset", 7),  # clipped at the top code of 3 bits
        (-1, 1, "offset", 0),
        (2, 4, "offset", 4),  # halves round up
        (1, 4, "offset", 0),
        (40, 4, "offset", 28),
        (4, 3, "offset", 3),
        (5, 3, "offset", 6),
        (-2, 4, "differential", 0),  # up means towards plus infinity
        (-3, 4, "differential", -4),
        (-100, 4, "differential", -16),
        (100, 4, "differential", 12),
        (-4, 1, "differential", -4),
    ],
)
def test_adc_value(total, lsb, encoding, value):
    assert adc_value(total, lsb, 3, encoding) == value


def test_mvm_by_hand():
    # Offset cells of 4 levels, 4-bit weights: w + 8 in two digits.  9 -> (1, 2), 5 -> (1, 1).
    # Inputs 3 and 2 as bits: phase 0 drives (1, 0), phase 1 drives (1, 1).
    x, w = np.array([[3, 2]]), np.array([[1], [-3]])
    # column sums [slice][phase]: slice 0: 1, 2; slice 1: 2, 3.  A 1-bit ADC clips all to 1:
    # 1*1 + 2*1 + 4*(1*1 + 2*1) = 15; minus 8 * (3 + 2) = -25.
    clipped = oracle_mvm(
        x,
        w,
        encoding="offset",
        cell_levels=4,
        weight_bits=4,
        dac_bits=1,
        adc_bits=1,
        signed=False,
        scheme="offset",
        input_bits=2,
        blocks=[(0, 2, 0, 1)],
        ranges=np.ones((1, 2, 2), dtype=int),
    )
    assert clipped.tolist() == [[-25]]


@pytest.mark.parametrize(
    ("encoding", "scheme"),
    [
        *((e, s) for e in ("offset", "differential") for s in ("offset", "sign-phases", "twos-complement")),
        ("differential", "native"),
    ],
)
@pytest.mark.parametrize("signed", [False, True])
def test_wide_converter_gives_the_integer_product(encoding, scheme, signed):
    rng = np.random.default_rng(1)
    low, high = phase_plan(4, signed, 3, scheme).bounds
    x = rng.integers(low, high, (3, 11), endpoint=True)
    w = rng.integers(-7, 7, (11, 5), endpoint=True)
    blocks = [(0, 4, 0, 5), (4, 7, 0, 2), (4, 7, 2, 3)]
    shape = (3, slices_for(encoding, 2, 4), len(phase_plan(4, signed, 3, scheme).phases))
    got = oracle_mvm(
        x,
        w,
        encoding=encoding,
        cell_levels=2,
        weight_bits=4,
        dac_bits=3,
        adc_bits=12,
        signed=signed,
        scheme=scheme,
        input_bits=4,
        blocks=blocks,
        ranges=np.ones(shape, dtype=int),
    )
    np.testing.assert_array_equal(got, x @ w)


def test_pooling_clips_per_step_not_per_bag():
    table = np.array([[7], [7], [7], [-7]])
    how = {"encoding": "differential", "cell_levels": 8, "weight_bits": 4, "adc_bits": 5, "lsb": 1}
    ids, starts = [0, 1, 2, 0, 3], [0, 3, 3, 5]

    def pooled(first_rows, pool_rows):
        return oracle_pool(
            table, ids, starts, first_rows=first_rows, pool_rows=pool_rows, **how
        ).ravel().tolist()  # fmt: skip

    assert pooled([0], 3) == [15, 0, 0]  # 21 clips at 15
    assert pooled([0], 2) == [21, 0, 0]
    assert pooled([0, 1], 3) == [21, 0, 0]  # the first row lies in a block of its own
    assert pooled([0], 1) == [21, 0, 0]


def test_weighted_sum_rounds_every_operation():
    table, scale = np.array([[3], [5]], dtype=np.int8), 0.1
    weights = np.array([0.3, 0.7], dtype=np.float32)
    f = np.float32
    expected = f(f(0) + f(f(0.3) * f(f(3) * f(0.1)))) + f(f(0.7) * f(f(5) * f(0.1)))
    got = oracle_weighted_sum(table, scale, [0, 1], weights, [0, 2, 2])
    assert got.dtype == np.float32
    assert got[:, 0].tolist() == [float(expected), 0.0]
