"""Blocks of one gang on one range of rows, against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.sim.kernels.dense.group_plan import multiply
from cimc.sim.kernels.dense.row_spans import Span, significance
from cimc.target.cell_encoding import encode_weights, phase_plan

WEIGHTS = np.random.default_rng(0).integers(-7, 8, (6, 4)).astype(np.int8)
PLAN = phase_plan(4, True, 2, "sign-phases")


def span(encoding: str = "differential") -> Span:
    code = encode_weights(WEIGHTS, encoding, 4, 4)  # type: ignore[arg-type]
    slices = len(code.digits)
    lsb = np.arange(1, 1 + len(PLAN.phases) * slices * 4).reshape(len(PLAN.phases), slices, 4)
    certified = np.zeros((slices, 4), np.bool_)
    certified[0, 1:] = True
    return Span(slice(2, 8), np.array([5, 0, 3, 1]), WEIGHTS, code, lsb, certified)


@pytest.mark.parametrize("encoding", ["offset", "differential"])
def test_all_slices_recombine_to_the_weights(encoding: str) -> None:
    found = span(encoding)
    every = np.ones_like(found.certified)
    np.testing.assert_array_equal(found.recombined(every) - found.code.weight_offset, WEIGHTS)
    none = found.recombined(~every)
    assert not none.any()
    parts = found.recombined(found.certified) + found.recombined(~found.certified)
    np.testing.assert_array_equal(parts, found.recombined(every))


def test_a_part_of_the_columns() -> None:
    whole = span()
    part = whole.within(1, 4)
    assert part.columns.tolist() == [2, 0]  # columns 3 and 1 of the result, counted from 1
    np.testing.assert_array_equal(part.weights, WEIGHTS[:, [2, 3]])
    np.testing.assert_array_equal(part.lsb, whole.lsb[:, :, [2, 3]])
    np.testing.assert_array_equal(part.certified, whole.certified[:, [2, 3]])
    assert part.code.digits.shape == (*whole.code.digits.shape[:2], 2)
    assert whole.within(0, 6) is whole


def test_reach_is_what_the_worst_inputs_add_up_to() -> None:
    found = span()
    reach = found.reach(PLAN)
    for p, phase in enumerate(PLAN.phases):
        full = (1 << phase.width) - 1
        for s, digits in enumerate(found.code.digits.astype(int)):
            for c in range(4):
                up = sum(full * d for d in digits[:, c] if d > 0)
                down = sum(-full * d for d in digits[:, c] if d < 0)
                assert reach[p, s, c] == max(up, down)


def test_significance_is_step_times_phase_times_slice() -> None:
    found = span()
    values = significance(found, PLAN)
    for p, phase in enumerate(PLAN.phases):
        for s, weight in enumerate(found.code.digit_weights):
            expected = found.lsb[p, s] * phase.weight * int(weight)
            np.testing.assert_array_equal(values[p, s], expected)


@pytest.mark.parametrize("contiguous", [True, False])
def test_each_kernel_writes_its_part(contiguous: bool) -> None:
    """Two blocks of columns times two parts of the batch, on two threads."""
    wide = np.full((6, 9), -1, np.int32)
    out = wide if contiguous else wide[:, 2:7]
    x = np.arange(6, dtype=np.uint8).reshape(6, 1)
    half = out.shape[1] // 2
    blocks = [slice(0, half), slice(half, out.shape[1])]

    def kernel(number: int):  # type: ignore[no-untyped-def]
        def write(x: np.ndarray, flat: np.ndarray, place: int, pitch: int) -> None:
            for b in range(len(x)):
                at = place + b * pitch
                flat[at : at + blocks[number].stop - blocks[number].start] = 100 * number + x[b, 0]

        return write

    multiply([kernel(0), kernel(1)], x, out, [slice(0, 4), slice(4, 6)], blocks, 2)
    for b in range(6):
        assert set(out[b, :half].tolist()) == {b}
        assert set(out[b, half:].tolist()) == {100 + b}
    if not contiguous:
        assert (wide[:, :2] == -1).all()
        assert (wide[:, 7:] == -1).all()
    multiply([], x, np.empty((6, 0), np.int32), [], [], 1)
