"""The ADC's step (LSB) for every use of an array: chosen at compile time, part of the program.

A step that covers every possible column sum wastes most codes: sums of many rows crowd around their mean.
:func:`choose_ranges` therefore looks at the column sums of calibration inputs and takes, per block, slice and
phase, the step with the least squared error between a sum and its converted value.  That is the unit in
which a macro's range can be programmed between steps; sharing it among the columns of a block keeps the
table small and the converters of one array alike.

All sums and errors are integers, so the choice is the same on every machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import PassError
from cimc.ir.cim import COL0, COLS, ROW0, ROWS
from cimc.target.cell_encoding import Codes, PhasePlan, encode_weights, input_phases, phase_plan
from cimc.target.spec import Array

MAX_SAMPLES = 256
"""Calibration inputs used; more are thinned evenly."""

_ALL_UP_TO = 32  # every step up to here is tried, then a geometric grid
_GROWTH = 1.04
_HISTOGRAM_BINS = 1024  # width of the slabs in which errors are evaluated

Integers = NDArray[np.integer[Any]]


RANGES = ("calibrated", "clip-free")
"""Values of the option ``ranges`` of the pass ``choose-adc-steps``."""


def choose_ranges(
    samples: Integers | None,
    weights: NDArray[np.int8],
    blocks: Integers,
    array: Array,
    weight_bits: int,
    input_bits: int,
    signed: bool,
) -> NDArray[np.int32]:
    """ADC steps of a dense matrix, int32 ``[blocks, slices, phases]``.

    ``samples``: quantised calibration inputs ``[n, K]`` or ``None``; ``weights``: ``[K, N]``; ``blocks``: a
    block table (:data:`cimc.ir.cim.BLOCK_FIELDS`).  With samples, the step of least squared error over
    them (on a tie the coarser: unseen inputs clip less), never coarser than needed for no clipping at
    all; without, or with none, the finest that cannot clip.

    Raises :class:`~cimc.errors.PassError` (``shard.adc-range``) if, without samples, the coarsest step of the
    target cannot cover the worst case, and ``ValueError`` for samples outside the input format.
    """
    plan = phase_plan(input_bits, signed, array.dac_bits, array.signed_inputs)
    calibrated = samples is not None and len(samples) > 0
    drive = input_phases(thinned(samples), plan) if samples is not None and calibrated else None
    chosen = []
    for r0, rows, c0, cols in blocks[:, [ROW0, ROWS, COL0, COLS]].tolist():
        part = weights[r0 : r0 + rows, c0 : c0 + cols]
        digits = encode_weights(part, array.encoding, array.cell_levels, weight_bits).digits
        safe = clip_free_steps(digits, plan, array)
        if drive is None:
            _check_reach(int(safe.max()), array)
            chosen.append(safe)
        else:
            chosen.append(_calibrate(drive[:, :, r0 : r0 + rows], digits, safe, array))
    return np.array(chosen, dtype=np.int32)


def clip_free_steps(digits: NDArray[np.int8], plan: PhasePlan, array: Array) -> NDArray[np.int64]:
    """Finest steps with which no input can clip, int64 ``[S, P]``, for cells holding ``digits [S, R, C]``.

    From the largest sum of positive or of negative digits of any column, all rows at full drive; can
    exceed ``array.adc_max_lsb``.
    """
    positive = np.maximum(digits, 0).sum(axis=1, dtype=np.int64)
    negative = -np.minimum(digits, 0).sum(axis=1, dtype=np.int64)
    reach = np.maximum(*plan.reach(positive, negative)).max(axis=1, initial=0)
    return np.array(
        [
            [array.lossless_lsb(int(bound) * ((1 << phase.width) - 1)) for phase in plan.phases]
            for bound in reach
        ],
        dtype=np.int64,
    )


def pool_rows(array: Array) -> tuple[int, int]:
    """How many rows of a block one step may drive so that their sum reads exactly, and the ADC step for it.

    With step 1, ``floor(largest code / largest digit)`` rows (for ``differential`` cells the negative side
    has one code more, so the positive side decides), at most the rows of the array.  Where even one row
    cannot be read with step 1, rows are read one at a time with the finest step that does not clip, and
    every digit is altered by a fixed map.

    Raises :class:`~cimc.errors.PassError` (``shard.adc-range``) if no permitted step covers one digit.
    """
    digit = array.digit_bounds[1]
    lsb = array.lossless_lsb(digit)
    _check_reach(lsb, array)
    if lsb > 1:
        return 1, lsb
    return min(array.rows, array.adc_codes[1] // digit), 1


def _check_reach(lsb: int, array: Array) -> None:
    if lsb > array.adc_max_lsb:
        raise PassError(
            "shard.adc-range",
            f"covering every possible column sum needs an ADC step of {lsb}, the target's coarsest is "
            f"{array.adc_max_lsb}",
            hint="give calibration inputs (and choose-adc-steps{ranges=calibrated}), or a target with more "
            "adc_bits or a larger adc_max_lsb",
        )


def thinned(samples: Integers) -> Integers:
    """At most :data:`MAX_SAMPLES` of ``samples [n, K]``, evenly chosen."""
    if len(samples) <= MAX_SAMPLES:
        return samples
    return samples[np.arange(MAX_SAMPLES) * len(samples) // MAX_SAMPLES]


# --------------------------------------------------------------------------------------------------
# Calibration of one block


def _calibrate(
    drive: Codes, digits: NDArray[np.int8], safe: NDArray[np.int64], array: Array
) -> NDArray[np.int64]:
    """Steps ``[S, P]`` of one block for phases ``drive [P, n, R]`` on cells ``digits [S, R, C]``."""
    steps = np.minimum(safe, array.adc_max_lsb)
    open_s, open_p = np.nonzero(steps > array.adc_min_lsb)  # elsewhere the finest step is already safe
    if not len(open_s):
        return steps
    slices, phases = np.unique(open_s), np.unique(open_p)
    here = np.ix_(slices, phases)
    steps[here] = fitted_steps(column_sums(drive[phases], digits[slices]), steps[here], array)
    return steps


def fitted_steps(sums: NDArray[np.int64], coarsest: NDArray[np.int64], array: Array) -> NDArray[np.int64]:
    """The steps ``[S, P]`` of least squared error over ``sums [S, P, n]``, none above ``coarsest [S, P]``."""
    steps = np.minimum(coarsest, array.adc_max_lsb)
    candidates = _candidates(array.adc_min_lsb, steps)
    errors = _squared_errors(sums, candidates, array.adc_codes)
    for s, p in zip(*np.nonzero(steps > array.adc_min_lsb), strict=True):
        allowed = np.searchsorted(candidates, steps[s, p], side="right")
        error = errors[s, p, :allowed]
        steps[s, p] = candidates[np.flatnonzero(error == error.min())[-1]]
    return steps


def _candidates(finest: int, coarsest: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ascending steps to try: all small ones, a geometric grid, and every one of ``coarsest``."""
    top = int(coarsest.max())
    steps = set(range(finest, min(top, finest + _ALL_UP_TO) + 1))
    step = finest + _ALL_UP_TO
    while step < top:
        steps.add(step)
        step = max(step + 1, int(step * _GROWTH))
    return np.array(sorted(steps | set(coarsest[coarsest >= finest].tolist())), dtype=np.int64)


def column_sums(drive: Codes, digits: NDArray[np.int8]) -> NDArray[np.int64]:
    """Column sums of phases ``[P, n, R]`` on slices ``[S, R, C]``: int64 ``[S, P, n * C]``."""
    phases, n, rows = drive.shape
    slices, _, cols = digits.shape
    largest = rows * int(np.abs(drive).max(initial=0)) * int(np.abs(digits).max(initial=0))
    dtype = np.float32 if largest < 1 << 24 else np.float64  # integers, so the product is exact
    planes = digits.transpose(1, 0, 2).reshape(rows, -1).astype(dtype)
    sums = np.matmul(drive.reshape(-1, rows).astype(dtype), planes).reshape(phases, n, slices, cols)
    return np.asarray(sums.transpose(2, 0, 1, 3).reshape(slices, phases, -1), dtype=np.int64)


def _squared_errors(
    sums: NDArray[np.int64], candidates: NDArray[np.int64], codes: tuple[int, int]
) -> NDArray[np.float64]:
    """Sum over the last axis of (converted - sum)**2, float64 ``[S, P, candidates]``.

    By way of a histogram of each unit: the error depends on a sum's value alone.  Everything is an integer
    below ``2**53``, so no order of additions matters; should a total not fit, all errors are halved until
    it does.
    """
    slices, phases, n = sums.shape
    low, high = int(sums.min()), int(sums.max())
    if high - low < sums.size:
        values, places = np.arange(low, high + 1, dtype=np.int64), sums - low
    else:
        values, places = np.unique(sums, return_inverse=True)
    units = np.arange(slices * phases, dtype=np.int64)[:, np.newaxis]
    places = places.reshape(slices * phases, n) + units * len(values)
    counts = np.bincount(places.ravel(), minlength=slices * phases * len(values)).astype(np.float64)
    counts = counts.reshape(slices * phases, len(values))
    worst = max(abs(low), abs(high), int(candidates[-1]))
    scale = 0.5 ** max(0, (n * worst * worst).bit_length() - 53)
    steps = candidates.astype(np.float64)
    errors = np.zeros((slices * phases, len(candidates)))
    for at in range(0, len(values), _HISTOGRAM_BINS):
        value = values[at : at + _HISTOGRAM_BINS, np.newaxis].astype(np.float64)
        error = (value + candidates // 2) / steps  # correctly rounded: its floor is the integers' floor
        np.floor(error, out=error)
        np.clip(error, *codes, out=error)
        error *= steps
        error -= value
        error *= error
        if scale < 1:
            np.floor(error * scale, out=error)
        errors += counts[:, at : at + _HISTOGRAM_BINS] @ error
    return errors.reshape(slices, phases, -1)
