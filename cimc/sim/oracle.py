"""What the arrays compute, as plain integer loops: the definition that every kernel must equal bit for bit.

Slow on purpose: nothing here is vectorised, shared with a kernel, or worth optimising.  Only the digits
of weights and inputs come from :mod:`cimc.target.cell_encoding`, which defines them.  ``docs/simulator.md``
gives the same formulas in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.target.cell_encoding import Encoding, SignedScheme, encode_weights, input_phases, phase_plan

Integers = NDArray[np.integer[Any]]


def adc_value(total: int, lsb: int, adc_bits: int, encoding: Encoding) -> int:
    """The column sum ``total`` after conversion with step ``lsb``: the code times the step.

    Rounds to the nearest code, halves up, and clips to the codes of the converter: unsigned for
    ``offset`` cells, two's complement for ``differential`` ones.
    """
    low = 0 if encoding == "offset" else -(1 << (adc_bits - 1))
    high = low + (1 << adc_bits) - 1
    return min(max((total + lsb // 2) // lsb, low), high) * lsb


def oracle_mvm(
    x: Integers,
    w: Integers,
    *,
    encoding: Encoding,
    cell_levels: int,
    weight_bits: int,
    dac_bits: int,
    adc_bits: int,
    signed: bool,
    scheme: SignedScheme,
    input_bits: int,
    blocks: Sequence[Sequence[int]] | Integers,
    ranges: Integers,
) -> NDArray[np.int64]:
    """Products of ``x [B, K]`` and ``w [K, N]`` through the ADC, int64 ``[B, N]``.

    ``blocks``: per block ``row0, rows, col0, cols`` (further fields are ignored); ``ranges``: the ADC
    step, ``[blocks, slices, phases]``.  Row blocks of a column add up digitally.
    """
    plan = phase_plan(input_bits, signed, dac_bits, scheme)
    drive = input_phases(x, plan)
    code = encode_weights(w, encoding, cell_levels, weight_bits)
    xo, wo = plan.input_offset, code.weight_offset
    acc = np.zeros((x.shape[0], w.shape[1]), dtype=np.int64)
    for k, block in enumerate(blocks):
        r0, rows, c0, cols = (int(v) for v in block[:4])
        for b in range(x.shape[0]):
            for c in range(c0, c0 + cols):
                for s in range(len(code.digits)):
                    for p in range(len(plan.phases)):
                        total = sum(
                            int(drive[p, b, r]) * int(code.digits[s, r, c]) for r in range(r0, r0 + rows)
                        )
                        value = adc_value(total, int(ranges[k, s, p]), adc_bits, encoding)
                        acc[b, c] += plan.phases[p].weight * int(code.digit_weights[s]) * value
                acc[b, c] -= wo * sum(int(x[b, r]) for r in range(r0, r0 + rows))
                acc[b, c] -= xo * sum(int(w[r, c]) for r in range(r0, r0 + rows))
                acc[b, c] -= rows * xo * wo
    return acc


def oracle_pool(
    table: Integers,
    ids: Sequence[int] | Integers,
    starts: Sequence[int] | Integers,
    *,
    first_rows: Sequence[int] | Integers,
    encoding: Encoding,
    cell_levels: int,
    weight_bits: int,
    adc_bits: int,
    pool_rows: int,
    lsb: int,
) -> NDArray[np.int64]:
    """Sums of the rows of each bag, int64 ``[bags, D]``, pooled inside the arrays.

    Bag ``i`` holds ``ids[starts[i] : starts[i + 1]]`` of ``table [R, D]``; ``first_rows``: first row of
    each block of rows, ascending from 0.  The rows of one bag that lie in one block are dealt out to as few
    steps as drive at most ``pool_rows`` rows each and no row twice; every step is converted with ``lsb``.
    """
    code = encode_weights(table, encoding, cell_levels, weight_bits)
    bounds = [*(int(r) for r in first_rows), table.shape[0]]
    out = np.zeros((len(starts) - 1, table.shape[1]), dtype=np.int64)
    for i in range(len(starts) - 1):
        bag = [int(r) for r in ids[starts[i] : starts[i + 1]]]
        for begin, end in pairwise(bounds):
            here = sorted(r for r in bag if begin <= r < end)
            steps = max([-(-len(here) // pool_rows), *(here.count(r) for r in here)])
            for t in range(steps):
                step = here[t::steps]  # equal rows are neighbours, so they fall into different steps
                for c in range(table.shape[1]):
                    for s in range(len(code.digits)):
                        total = sum(int(code.digits[s, r, c]) for r in step)
                        value = adc_value(total, lsb, adc_bits, encoding)
                        out[i, c] += int(code.digit_weights[s]) * value
                    out[i, c] -= code.weight_offset * len(step)
    return out


def oracle_weighted_sum(
    table: Integers,
    scale: float,
    ids: Sequence[int] | Integers,
    weights: NDArray[np.float32],
    starts: Sequence[int] | Integers,
) -> NDArray[np.float32]:
    """``sum_j weights[j] * (table[ids[j]] * scale)`` per bag, float32 ``[bags, D]``.

    In the order of the bag, from 0.0, each of the three operations rounded to float32.
    """
    out = np.zeros((len(starts) - 1, table.shape[1]), dtype=np.float32)
    for i in range(len(starts) - 1):
        for j in range(int(starts[i]), int(starts[i + 1])):
            for c in range(table.shape[1]):
                value = np.float32(table[ids[j], c]) * np.float32(scale)
                out[i, c] = out[i, c] + np.float32(weights[j]) * value
    return out


def oracle_row_scaled(
    rows: NDArray[np.integer[Any]],
    scales: NDArray[np.float32],
    biases: NDArray[np.float32] | None,
    ids: Sequence[int] | Integers,
    weights: NDArray[np.float32] | None,
    starts: Sequence[int] | Integers,
    mode: str,
) -> NDArray[np.float32]:
    """Lookups in a table ``rows [R, D]`` (as read) whose rows have scales of their own, mode by mode.

    float32 ``[bags, D]``, or ``[ids, D]`` in mode ``none``; ``weights`` go with mode ``sum``.  Each product
    and sum is rounded to float32, in the order of the bag; an empty bag gives zeros.
    """

    def value(row: int, c: int) -> np.float32:
        scaled = np.float32(rows[row, c]) * np.float32(scales[row])
        return scaled if biases is None else np.float32(scaled + np.float32(biases[row]))

    dim = rows.shape[1]
    if mode == "none":
        return np.array([[value(int(r), c) for c in range(dim)] for r in ids], np.float32).reshape(-1, dim)
    out = np.zeros((len(starts) - 1, dim), np.float32)
    for i in range(len(starts) - 1):
        bag = range(int(starts[i]), int(starts[i + 1]))
        for c in range(dim):
            values = [value(int(ids[j]), c) for j in bag]
            if mode == "max":
                out[i, c] = max(values, default=np.float32(0))
                continue
            for j, v in zip(bag, values, strict=True):
                out[i, c] += v if weights is None else np.float32(weights[j]) * v
            if mode == "mean" and values:
                out[i, c] /= np.float32(len(values))
    return out
