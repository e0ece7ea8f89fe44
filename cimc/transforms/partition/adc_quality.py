"""What the chosen ADC steps cost a layer, on its calibration inputs: for the report, not for the choice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.ir.cim import COL0, COLS, ROW0, ROWS
from cimc.remarks import LayerRanges
from cimc.target.cell_encoding import encode_weights, input_phases, phase_plan
from cimc.target.spec import Array
from cimc.transforms.partition.adc_steps import MAX_SAMPLES, clip_free_steps, column_sums, thinned

Integers = NDArray[np.integer[Any]]


def layer_ranges(
    name: str,
    kind: str,
    samples: Integers | None,
    weights: NDArray[np.int8],
    scales: NDArray[np.float32],
    blocks: Integers,
    steps: NDArray[np.int32],
    array: Array,
    weight_bits: int,
    input_bits: int,
    signed: bool,
) -> LayerRanges:
    """The remark on one layer: kind of range, extreme steps; SQNR and clips on calibration inputs.

    ``samples [n, K]`` or ``None``, ``weights [K, N]``, ``scales [N]`` of its columns, ``steps`` ``[blocks,
    slices, phases]``.  ``sqnr_db`` compares the layer's output (before bias) with and without converters;
    ``None`` where nothing is lost or there are no samples.  ``clipped`` is the share of conversions that left
    the codes.
    """
    if samples is None or not len(samples):
        return LayerRanges(name, kind, int(steps.min()), int(steps.max()), 0, None, None)
    x = thinned(samples)
    plan = phase_plan(input_bits, signed, array.dac_bits, array.signed_inputs)
    drive = input_phases(x, plan)
    error = np.zeros((len(x), weights.shape[1]), dtype=np.int64)
    clipped = conversions = 0
    for (r0, rows, c0, cols), chosen in zip(blocks[:, [ROW0, ROWS, COL0, COLS]].tolist(), steps, strict=True):
        code = encode_weights(
            weights[r0 : r0 + rows, c0 : c0 + cols], array.encoding, array.cell_levels, weight_bits
        )
        conversions += chosen.size * len(x) * cols
        lossless = (chosen == 1) & (clip_free_steps(code.digits, plan, array) <= 1)
        slices, phases = (np.unique(where) for where in np.nonzero(~lossless))
        if not len(slices):
            continue
        sums = column_sums(drive[phases][:, :, r0 : r0 + rows], code.digits[slices])
        lsb = chosen[np.ix_(slices, phases)].astype(np.int64)[:, :, np.newaxis]
        codes = (sums + lsb // 2) // lsb
        held = np.clip(codes, *array.adc_codes)
        clipped += int((codes != held).sum())
        significance = code.digit_weights[slices, np.newaxis, np.newaxis] * plan.weights[phases, np.newaxis]
        lost = ((held * lsb - sums) * significance).sum(axis=(0, 1))
        error[:, c0 : c0 + cols] += lost.reshape(len(x), cols)
    wanted = x.astype(np.float64) @ weights.astype(np.float64)  # integers below 2**53
    return LayerRanges(
        name, kind, int(steps.min()), int(steps.max()), samples=min(len(samples), MAX_SAMPLES),
        sqnr_db=_decibels(_energy(wanted, scales), _energy(error.astype(np.float64), scales)),
        clipped=float(f"{clipped / max(conversions, 1):.4g}"),
    )  # fmt: skip


def _energy(values: NDArray[np.float64], scales: NDArray[np.float32]) -> float:
    """Sum of squares of ``values * scales``, correctly rounded: the same on every machine."""
    return math.fsum(np.square(values * scales.astype(np.float64)).ravel().tolist())


def _decibels(signal: float, noise: float) -> float | None:
    if noise == 0.0:
        return None
    return round(10.0 * math.log10(max(signal, 1e-30) / noise), 2)
