"""The inner loops of noisy mode in numpy: what runs where numba is missing, to the same bits.

Arithmetic before a converter is exact in integers.  A conversion then does, in the kernel's float type and in
this order, each operation rounded once::

    y = P + sqrt(V * scale) * z
    code = min(max(floor((y + half) / step), low), high)

with ``P`` and ``V`` the exact sums of conductances and variances and ``z`` a deviate from the table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.sim.devices.model import programmed_cells
from cimc.sim.devices.model.aged_levels import FRACTION, Ints, Levels
from cimc.support.random import quantiles, splitmix

_ROW_CELLS = 1 << 18  # cells of table rows drawn at a time

Floats = NDArray[Any]


def convert(
    sums: Floats, spreads: Floats | None, z: Floats | None, scale: Any, half: Any, step: Any,
    codes: tuple[int, int],
) -> Ints:  # fmt: skip
    """ADC codes, int64, of column sums with noise; all arrays of one float type, broadcast to ``sums``."""
    y = sums
    if spreads is not None and z is not None:
        y = sums + np.sqrt(spreads * scale) * z
    codes_found: Ints = np.clip(np.floor((y + half) / step), *codes).astype(np.int64)
    return codes_found


def dense_epilogue(
    acc: Ints, sums: Floats, spreads: Floats, keys: splitmix.Words, table: Floats, scale: Floats,
    half: Floats, step: Floats, factor: Ints, first_col: int, cols_total: int, codes: tuple[int, int],
    noisy: bool,
) -> None:  # fmt: skip
    """Convert ``sums [P, B, S, C]`` with noise of variance ``spreads`` and add them to ``acc [B, C]``.

    ``keys [B]``: stream of each request; ``scale [S, C]``: of variances; ``half``, ``step`` (the float type
    of ``sums``) and ``factor`` are ``[P, S, C]``; columns are ``first_col ..`` of ``cols_total``.
    """
    phases, _, slices, cols = sums.shape
    at = first_col + np.arange(cols)
    wide = -(-cols_total // quantiles.LANES)
    for p in range(phases):
        for s in range(slices):
            z = None
            if noisy:
                word = splitmix.words(
                    keys[:, np.newaxis], ((p * slices + s) * wide + at // quantiles.LANES)[np.newaxis]
                )
                z = table[quantiles.lane(word, at % quantiles.LANES)]
            spread = spreads[p, :, s].astype(sums.dtype) if noisy else None
            code = convert(sums[p, :, s], spread, z, scale[s], half[p, s], step[p, s], codes)
            acc += code * factor[p, s]


def draw_rows(
    levels: Levels, copy_keys: splitmix.Words, rows: Ints, level: NDArray[Any], device: int
) -> Ints:
    """Conductances of one device per cell of rows ``rows [n]``, int64 ``[n, S, D]``; ``level`` alike.

    ``copy_keys [n]``: key of the copy that each row is read from.
    """
    _, slices, dim = level.shape
    row_keys = splitmix.words(copy_keys, rows)[:, np.newaxis]
    out = np.empty(level.shape, np.int64)
    for s in range(slices):
        word = splitmix.words(row_keys, programmed_cells.cell_index(s, device, np.arange(dim))[np.newaxis])
        out[:, s] = programmed_cells.settle(levels, word, level[:, s].astype(np.int64))
    return out


def row_moments(
    levels: Levels, digits: NDArray[np.int8], copy_keys: splitmix.Words, rows: Ints, values: NDArray[np.int8],
    pair: bool, word_ohm: float, group: int,
) -> tuple[Ints, Ints]:  # fmt: skip
    """Mean and variance of reads of rows ``rows [n]`` that hold ``values [n, D]``; int64 ``[n, S, D]``.

    ``digits [256, S]``: cell digits of each value's byte.  With ``word_ohm`` the word line's own current
    lowers its cells; ``group``: columns of a block, whose slices hang on the word line one after another.
    """
    digit = digits[values.view(np.uint8)].transpose(0, 2, 1)
    held = [
        draw_rows(levels, copy_keys, rows, np.maximum(sign * digit, 0), d)
        for d, sign in enumerate((1, -1) if pair else (1,))
    ]
    moments = [programmed_cells.read_moments(levels, m) for m in held]
    if word_ohm:
        load = np.asarray(sum(m - levels.floor for m in held), np.int64)
        moments = [_along_word_line(levels, load, *each, word_ohm, group) for each in moments]
    if not pair:
        return moments[0]
    (mean, variance), (below, more) = moments
    return mean - below, variance + more


def _along_word_line(
    levels: Levels, load: Ints, mean: Ints, variance: Ints, word_ohm: float, group: int
) -> tuple[Ints, Ints]:
    """Moments after the drop along word lines that carry ``load [n, S, D]`` (units of ``m`` from 0 uS)."""
    n, slices, dim = load.shape
    scale = word_ohm * 1e-6 * levels.unit * 2.0**-FRACTION
    for left in range(0, dim, group):
        span = slice(left, min(left + group, dim))
        line = load[:, :, span].reshape(n, -1)
        places = np.arange(1, line.shape[1] + 1)
        weighted = np.cumsum(line * places, axis=1)
        weighted += places * (line.sum(axis=1, keepdims=True) - np.cumsum(line, axis=1))
        factor = (1.0 / (1.0 + scale * weighted.astype(np.float64))).reshape(n, slices, -1)
        full = (mean[:, :, span] - levels.floor).astype(np.float64)
        mean[:, :, span] = np.floor(full * factor + 0.5).astype(np.int64) + levels.floor
        spread = variance[:, :, span].astype(np.float64)
        variance[:, :, span] = np.floor(spread * (factor * factor) + 0.5).astype(np.int64)
    return mean, variance


def table_steps(
    out: Ints, levels: Levels, digits: NDArray[np.int8], weights: Ints, offset: int, table: NDArray[np.int8],
    rows: Ints, copy_keys: splitmix.Words, starts: Ints, keys: splitmix.Words, targets: Ints, normal: Floats,
    lsb: int, codes: tuple[int, int], pair: bool, word_ohm: float, group: int,
) -> None:  # fmt: skip
    """Read steps of rows and add what the converters show to ``out [targets, D]``.

    Step ``i`` drives ``rows[starts[i] : starts[i + 1]]``, has the stream ``keys[i]`` and adds to row
    ``targets[i]``.  ``weights [S]`` recombine slices; each row leaves ``offset`` to subtract.
    """
    dim, slices = table.shape[1], len(weights)
    at = np.arange(dim)
    wide = -(-dim // quantiles.LANES)
    half, step = lsb * 2.0 ** (FRACTION - 1), lsb * 2.0**FRACTION
    per = max(1, _ROW_CELLS // (slices * dim))
    begin = 0
    while begin < len(keys):
        end = max(begin + 1, int(np.searchsorted(starts, starts[begin] + per, side="right")) - 1)
        span = slice(int(starts[begin]), int(starts[end]))
        mean, variance = row_moments(
            levels, digits, copy_keys[span], rows[span], table[rows[span]], pair, word_ohm, group
        )
        cut = (starts[begin:end] - starts[begin]).astype(np.intp)
        sums = np.add.reduceat(mean, cut, axis=0).astype(np.float64)
        spread = np.add.reduceat(variance, cut, axis=0).astype(np.float64)
        count = np.diff(starts[begin : end + 1])[:, np.newaxis]
        shown = np.zeros((end - begin, dim), np.int64)
        for s in range(slices):
            z = None
            if levels.noisy:
                word = splitmix.words(
                    keys[begin:end, np.newaxis], (s * wide + at // quantiles.LANES)[np.newaxis]
                )
                z = normal[quantiles.lane(word, at % quantiles.LANES)]
            code = convert(sums[:, s], spread[:, s], z, levels.variance_scale, half, step, codes)
            shown += code * (lsb * int(weights[s]))
        np.add.at(out, targets[begin:end], shown - offset * count)
        begin = end
