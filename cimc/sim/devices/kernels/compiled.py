"""The inner loops of noisy mode, compiled.  :mod:`cimc.sim.devices.kernels.plain` defines what they compute.

Importing this imports numba.
"""

from __future__ import annotations

import numpy as np

from cimc.sim.devices.kernels.deviates import LANES, fill
from cimc.sim.devices.model.aged_levels import FRACTION
from cimc.support.jit import jit
from cimc.support.random.splitmix_jit import word_at

_16 = np.uint64(16)
_LANE = np.uint64(0xFFFF)


@jit
def branches(key, first, second):  # type: ignore[no-untyped-def]
    """``words(words(key, first), second)`` of :mod:`cimc.support.random.splitmix` for ``first int64[n]``."""
    out = np.empty(len(first), np.uint64)
    for i in range(len(first)):
        out[i] = word_at(word_at(key, first[i]), second)
    return out


@jit
def dense_epilogue(  # type: ignore[no-untyped-def]
    acc, sums, spreads, keys, active, scale, half, step, factor, first_col, cols_total, low, high, noisy
):
    """See :func:`cimc.sim.devices.kernels.plain.dense_epilogue`; ``active bool[P, B]``: phases that drive
    any row.

    The others convert to 0 whatever the deviate.
    """
    phases, batch, slices, cols = sums.shape
    wide = (cols_total + 3) // 4
    first_word = first_col // 4
    skip = first_col - 4 * first_word
    groups = -(-(skip + cols) // LANES)
    z = np.empty(groups * LANES, np.float32)
    for b in range(batch):
        key = keys[b]
        for p in range(phases):
            if not active[p, b]:
                continue
            for s in range(slices):
                if noisy:
                    fill(key, (p * slices + s) * wide + first_word, groups, z)
                    for c in range(cols):
                        y = sums[p, b, s, c] + np.sqrt(spreads[p, b, s, c] * scale[s, c]) * z[skip + c]
                        q = np.floor((y + half[p, s, c]) / step[p, s, c])
                        acc[b, c] += np.int64(min(max(q, low), high)) * factor[p, s, c]
                else:
                    for c in range(cols):
                        q = np.floor((sums[p, b, s, c] + half[p, s, c]) / step[p, s, c])
                        acc[b, c] += np.int64(min(max(q, low), high)) * factor[p, s, c]


_COUNT, _FLOOR, _STUCK_LOW, _STUCK_ANY, _READ_SHIFT = range(5)
_PLACES = FRACTION


@jit
def table_steps(  # type: ignore[no-untyped-def]
    out, t, digits, weights, offset, table, rows, copy_keys, starts, keys, targets, normal,
    scale, lsb, low, high, pair, noisy, drop, group,
):  # fmt: skip
    """See :func:`cimc.sim.devices.kernels.plain.table_steps`.

    ``t`` as :func:`cimc.sim.devices.noisy_lookups.pack` makes it; ``drop``: ohm per cell in units of ``1 /
    m``.
    """
    dim, slices = table.shape[1], weights.shape[0]
    devices = 2 if pair else 1
    numbers, error, settling, by_level, read_mean, read_variance = t
    floor, shift = numbers[_FLOOR], numbers[_READ_SHIFT]
    stuck_low, stuck_any = numbers[_STUCK_LOW], numbers[_STUCK_ANY]
    highest = (numbers[_COUNT] - 1) << _PLACES
    wide = (dim + 3) // 4
    half, step = lsb * 2.0 ** (_PLACES - 1), lsb * 2.0**_PLACES
    sums = np.empty((slices, dim), np.int64)
    spread = np.empty((slices, dim), np.int64)
    held = np.empty((devices, slices, dim), np.int64)
    factor = np.ones((slices, dim), np.float64)
    for i in range(keys.shape[0]):
        sums[:] = 0
        spread[:] = 0
        for j in range(starts[i], starts[i + 1]):
            row = rows[j]
            key = word_at(copy_keys[j], row)
            for s in range(slices):
                for c in range(dim):
                    digit = np.int64(digits[np.uint8(table[row, c]), s])
                    for d in range(devices):
                        word = word_at(key, np.int64(c) << 5 | np.int64(s) << 1 | np.int64(d))
                        level = max(-digit if d else digit, np.int64(0))
                        luck = np.int64(word >> np.uint64(32))
                        if luck < stuck_any:
                            held[d, s, c] = np.int64(0) if luck < stuck_low else highest
                            continue
                        e = np.int64(error[word & _LANE]) * by_level[0, level]
                        e += np.int64(settling[(word >> _16) & _LANE]) * by_level[1, level]
                        e += by_level[2, level] << 24
                        m = (level << _PLACES) + ((e + (1 << 31)) >> 32)
                        held[d, s, c] = max(m, floor)
            if drop > 0:
                _word_line(held, factor, floor, drop, group)
            for d in range(devices):
                for s in range(slices):
                    for c in range(dim):
                        m = held[d, s, c]
                        entry = (m - floor) >> shift
                        mean, variance = m + read_mean[entry], read_variance[entry]
                        if drop > 0:
                            f = factor[s, c]
                            mean = np.int64(np.floor(np.float64(mean - floor) * f + 0.5)) + floor
                            variance = np.int64(np.floor(np.float64(variance) * (f * f) + 0.5))
                        sums[s, c] += mean if d == 0 else -mean
                        spread[s, c] += variance
        count = starts[i + 1] - starts[i]
        target = targets[i]
        for s in range(slices):
            for c in range(dim):
                y = np.float64(sums[s, c])
                if noisy:
                    h = word_at(keys[i], s * wide + c // 4)
                    z = normal[(h >> (np.uint64(c % 4) * _16)) & _LANE]
                    y = y + np.sqrt(np.float64(spread[s, c]) * scale) * z
                code = np.int64(min(max(np.floor((y + half) / step), low), high))
                out[target, c] += code * (lsb * weights[s])
        for c in range(dim):
            out[target, c] -= offset * count


@jit
def _word_line(held, factor, floor, drop, group):  # type: ignore[no-untyped-def]
    """Factors of the cells of one row, by the current of its own word line."""
    devices, slices, dim = held.shape
    for left in range(0, dim, group):
        right = min(left + group, dim)
        total = np.int64(0)
        for s in range(slices):
            for c in range(left, right):
                for d in range(devices):
                    total += held[d, s, c] - floor
        upto, weighted, place = np.int64(0), np.int64(0), np.int64(0)
        for s in range(slices):
            for c in range(left, right):
                load = np.int64(0)
                for d in range(devices):
                    load += held[d, s, c] - floor
                place += 1
                upto += load
                weighted += load * place
                factor[s, c] = 1.0 / (1.0 + drop * np.float64(weighted + place * (total - upto)))
