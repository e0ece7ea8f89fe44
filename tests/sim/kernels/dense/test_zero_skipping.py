"""What nothing drives is left out: the kernels list driven groups of rows and driven phases, and no others.

Results cannot show it (what is left out converts to 0), so the lists themselves are looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.target.cell_encoding import input_phases, phase_plan

pytest.importorskip("numba")
from cimc.sim.devices.kernels import noisy_lut4
from cimc.sim.kernels.dense import dot_products, lut4
from cimc.sim.kernels.dense.unit_selection import SOURCES, pattern

BY_TABLE = ["offset", "sign-phases", "twos-complement"]
SCHEMES = st.sampled_from([*BY_TABLE, "native"])


def sparse_inputs(plan: Any, batch: int, rows: int, seed: int) -> Any:
    """Most are 0, and some samples have none else."""
    rng = np.random.default_rng(seed)
    low, high = plan.bounds
    x = rng.integers(low, high + 1, (batch, rows)) * (rng.random((batch, rows)) < rng.random((batch, 1)) / 3)
    return x.astype(np.int8 if plan.signed else np.uint8)


def driven_groups(bits: Any) -> list[int]:
    """Numbers of the groups of four rows of which any is driven."""
    padded = np.zeros(-(-len(bits) // 4) * 4, bool)
    padded[: len(bits)] = bits != 0
    found: list[int] = np.flatnonzero(padded.reshape(-1, 4).any(axis=1)).tolist()
    return found


@given(
    scheme=SCHEMES, signed=st.booleans(), rows=st.integers(1, 30), batch=st.integers(1, 5),
    dac=st.integers(1, 8), seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_products_take_the_phases_that_drive_a_row(
    scheme: Any, signed: bool, rows: int, batch: int, dac: int, seed: int
) -> None:
    plan = phase_plan(8, signed, dac, scheme)
    x = sparse_inputs(plan, batch, rows, seed)
    phases = np.array([[SOURCES[p.sign], p.low, (1 << p.width) - 1] for p in plan.phases], np.int64)
    inputs = np.full((len(phases) * batch, rows + dot_products.DOT_ROWS), 99, dot_products.INPUT)
    driven = np.empty(len(inputs), np.int64)
    used = dot_products._drive(x.view(np.uint8), 0, batch, phases, *pattern(plan), inputs, driven)
    digits = input_phases(x, plan).reshape(len(inputs), rows)
    busy = np.flatnonzero(digits.any(axis=1))
    assert driven[:used].tolist() == busy.tolist()
    raised = np.repeat(phases[:, 2], batch) if plan.native else np.zeros(len(digits), np.int64)
    np.testing.assert_array_equal(inputs[:used, :rows], (digits + raised[:, None])[busy])


@given(signed=st.booleans(), rows=st.integers(1, 30), batch=st.integers(1, 5), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_tables_take_the_groups_that_are_driven_in_any_phase(
    signed: bool, rows: int, batch: int, seed: int
) -> None:
    plan = phase_plan(8, signed, 1, "twos-complement")
    x = sparse_inputs(plan, batch, rows, seed)
    groups = -(-rows // 4)
    index = np.zeros((1, batch, 8 * groups), np.uint16)
    listed = np.zeros((1, 1, batch), np.int64)
    chunks = np.array([[dot_products.PATTERN, 0, 8, 1, 1, 0]], np.int64)
    spans = np.array([[0, rows, 0]], np.int64)
    row = np.zeros(4 * groups, np.uint8)
    lut4._index(x.view(np.uint8), 0, batch, chunks, spans, *pattern(plan), row, index, listed)
    for i in range(batch):
        busy = driven_groups(x[i])
        assert listed[0, 0, i] == max(len(busy), 1)
        rows_of_tables = index[0, i, : 8 * len(busy)].reshape(-1, 8) // 8
        assert (rows_of_tables // 16 == np.array(busy)[:, None]).all()


@given(
    scheme=st.sampled_from(BY_TABLE), signed=st.booleans(), rows=st.integers(1, 70), batch=st.integers(1, 4),
    seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_noisy_tables_take_the_groups_that_are_driven_in_the_phase(
    scheme: Any, signed: bool, rows: int, batch: int, seed: int
) -> None:
    plan = phase_plan(8, signed, 1, scheme)
    x = sparse_inputs(plan, batch, rows, seed)
    groups = -(-rows // 4)
    phases = np.array([[SOURCES[p.sign], p.low] for p in plan.phases], np.int64)
    entries = np.zeros(
        (batch, len(phases), -(-groups // noisy_lut4.UNROLLED) * noisy_lut4.UNROLLED + 1), np.uint16
    )
    counts = np.zeros((batch, len(phases)), np.int64)
    row = np.zeros(4 * groups, np.uint8)
    noisy_lut4._list(x.view(np.uint8), 0, batch, phases, *pattern(plan), row, entries, counts)
    digits = input_phases(x, plan)
    for i in range(batch):
        for p in range(len(phases)):
            busy = driven_groups(digits[p, i])
            assert counts[i, p] == max(-(-len(busy) // noisy_lut4.UNROLLED), 1)
            rows_of_tables = entries[i, p, : noisy_lut4.UNROLLED * counts[i, p]] // 8
            assert (rows_of_tables[: len(busy)] // 16).tolist() == busy
            assert not rows_of_tables[len(busy) :].any()
