"""The loops of noisy mode, compiled and in numpy: the same numbers to the bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.sim.devices.kernels import compiled, plain
from cimc.support.random import quantiles, splitmix


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 2**62), max_size=5), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_branches_are_words_of_words(key: int, first: list[int], second: int) -> None:
    at = np.array(first, np.int64)
    expected = splitmix.words(splitmix.words(np.uint64(key), at), second)
    np.testing.assert_array_equal(compiled.branches(np.uint64(key), at, np.uint64(second)), expected)


@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 70), st.integers(0, 9),
    st.booleans(), st.sampled_from([np.float32, np.float64]), st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=20, deadline=None)
def test_conversions(
    phases: int, batch: int, slices: int, cols: int, first: int, noisy: bool, real: type, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = (phases, batch, slices, cols)
    sums = rng.integers(-(1 << 20), 1 << 20, shape).astype(real)
    spreads = rng.integers(0, 1 << 10, shape).astype(real) if noisy else np.zeros((0, 0, 0, 0), real)
    keys = rng.integers(0, 2**63, batch).astype(np.uint64)
    scale = rng.uniform(0.5, 2, (slices, cols)).astype(real)
    step = rng.integers(1, 1 << 14, (phases, slices, cols)).astype(real)
    half = (step / 2).astype(real)
    factor = rng.integers(1, 64, (phases, slices, cols))
    total = first + cols + 3
    found, expected = np.zeros((2, batch, cols), np.int64)
    active = np.ones((phases, batch), bool)
    compiled.dense_epilogue(
        found,
        sums,
        spreads,
        keys,
        active,
        scale,
        half,
        step,
        factor,
        first,
        total,
        real(-64),
        real(63),
        noisy,
    )
    plain.dense_epilogue(
        expected, sums, spreads, keys, quantiles.deviates().astype(real), scale, half, step, factor, first,
        total, (-64, 63), noisy,
    )  # fmt: skip
    np.testing.assert_array_equal(found, expected)


def test_phases_that_drive_nothing_are_left_out() -> None:
    sums = np.full((2, 1, 1, 4), 100.0)
    ones = np.ones((2, 1, 4))
    acc = np.zeros((1, 4), np.int64)
    keys, none = np.zeros(1, np.uint64), np.zeros((0, 0, 0, 0))
    active = np.array([[True], [False]])
    compiled.dense_epilogue(
        acc,
        sums,
        none,
        keys,
        active,
        np.ones((1, 4)),
        ones / 2,
        ones,
        ones.astype(np.int64),
        0,
        4,
        -8.0,
        7.0,
        False,
    )
    assert acc.tolist() == [[7] * 4]
