"""ADC steps of a corpus: fitted to the columns that win, not to all.

A layer's steps keep the mean error of all its columns small, and clip the extreme sums that hardly ever come.
In a search those are the answers: the best items of a query are the columns with the largest sums.  So the
sums that count here are those of the best items of each calibration query, and one step a slice and phase
serves all blocks, since each block holds few of them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cimc.interpreter import hits
from cimc.isa.certificate import DigitSums
from cimc.target.cell_encoding import PhasePlan, encode_weights, input_phases, phase_plan
from cimc.target.spec import Array
from cimc.transforms.partition.adc_steps import MAX_SAMPLES, fitted_steps

QUERIES_ITEMS = 1 << 26
"""Scores that are looked at: fewer queries count in a larger corpus."""
FEWEST_QUERIES = 32
WINNERS = 2
"""Items of a query that count, times as many as it asks for: those next to the last place decide, too."""
FEWEST_WINNERS = 32
_AT_A_TIME = 1 << 16

Floats = NDArray[np.float32]


class Corpus(NamedTuple):
    """Items as integers ``[items, dim]``, and what their sums are multiplied with and raised by."""

    integers: NDArray[np.int8]
    factors: Floats | None
    biases: Floats | None


class Fit(NamedTuple):
    """Steps int32 ``[S, P]``, and what they cost the winning sums: queries, SQNR in dB, share clipped."""

    steps: NDArray[np.int32]
    queries: int
    sqnr_db: float | None
    clipped: float | None


def queries_of(samples: NDArray[np.int32], items: int) -> NDArray[np.int32]:
    """The calibration queries that are looked at, evenly chosen."""
    most = min(MAX_SAMPLES, max(QUERIES_ITEMS // max(items, 1), FEWEST_QUERIES), len(samples))
    return samples[np.arange(most) * len(samples) // max(most, 1)]


def winners(queries: NDArray[np.int32], corpus: Corpus, best: int) -> NDArray[np.int32]:
    """The ``best`` items of each query ``[n, dim]`` by integer search, ``[n, best]``."""
    dtype: Any = np.float32 if corpus.integers.shape[1] * 128 * 255 < 1 << 24 else np.float64  # exact
    driven: NDArray[Any] = queries.astype(dtype)

    def scores(part: slice) -> Floats:
        there: NDArray[Any] = corpus.integers[part].astype(dtype)
        sums = (driven @ there.T).astype(np.int64)
        own = (None if of is None else of[part] for of in corpus[1:])
        return hits.as_scores(sums, *own)

    return hits.ids_of(hits.searched(len(queries), range(len(corpus.integers)), best, scores))


def clip_free(corpus: NDArray[np.int8], plan: PhasePlan, array: Array, bits: int) -> NDArray[np.int64]:
    """The finest steps ``[S, P]`` with which no query can clip at any item of ``corpus [items, dim]``."""
    sums = DigitSums(array, bits)
    reach = np.zeros(sums.slices, np.int64)
    for at in range(0, len(corpus), _AT_A_TIME):
        _, positive, negative = sums.of(np.ascontiguousarray(corpus[at : at + _AT_A_TIME].T))
        reach = np.maximum(reach, np.maximum(*plan.reach(positive, negative)).max(axis=1, initial=0))
    return np.array(
        [[array.lossless_lsb(int(r) * ((1 << p.width) - 1)) for p in plan.phases] for r in reach], np.int64
    )


def fit_steps(
    samples: NDArray[np.int32] | None,
    corpus: Corpus,
    columns: slice,
    k: int,
    array: Array,
    bits: int,
    inputs: tuple[int, bool],
) -> Fit:
    """The steps of the blocks that hold the numbers ``columns`` of the items.

    ``samples``: queries ``[n, dim]`` as integers; without any, the steps cannot clip.
    """
    plan = phase_plan(*inputs, array.dac_bits, array.signed_inputs)
    part = corpus.integers[:, columns]
    safe = clip_free(part, plan, array, bits)
    if samples is None or not len(samples):
        return Fit(safe.astype(np.int32), 0, None, None)
    queries = queries_of(samples, len(part))
    best = min(max(WINNERS * k, FEWEST_WINNERS), len(part))
    items = winners(queries, corpus, best)
    code = encode_weights(part[items.reshape(-1)].T, array.encoding, array.cell_levels, bits)
    drive = np.repeat(input_phases(queries[:, columns], plan), best, axis=1)  # [P, pairs, R]
    sums = np.stack(
        [
            [np.einsum("nr,rn->n", phase.astype(np.int64), digits.astype(np.int64)) for phase in drive]
            for digits in code.digits
        ]
    )
    steps = fitted_steps(sums, safe, array)
    lsb = steps[:, :, None]
    codes = (sums + lsb // 2) // lsb
    held = np.clip(codes, *array.adc_codes)
    weights = code.digit_weights[:, None, None] * plan.weights[:, None]
    signal = float(np.square((sums * weights).sum(axis=(0, 1)), dtype=np.float64).sum())
    noise = float(np.square(((held * lsb - sums) * weights).sum(axis=(0, 1)), dtype=np.float64).sum())
    sqnr = None if noise == 0 else round(10 * math.log10(max(signal, 1e-30) / noise), 2)
    clipped = float(f"{np.mean(codes != held):.4g}")
    return Fit(steps.astype(np.int32), len(queries), sqnr, clipped)
