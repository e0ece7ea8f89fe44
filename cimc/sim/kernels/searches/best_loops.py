"""The loops of :mod:`cimc.sim.kernels.searches.running_best`.  Importing this module imports numba."""

from __future__ import annotations

import numpy as np

from cimc.support.jit import jit

_AT_ONCE = 64  # scores that are compared together before any of them is looked at


@jit
def keep_best(  # type: ignore[no-untyped-def]
    sums, first, factors, biases, own, shift, low, high, scores, ids
):
    """``sums int32 [B, n]`` of items ``first ..`` into lists ``scores``, ``ids [B, k]``.

    ``own``: 0 where items have neither factors nor biases, 1 with factors, 2 with both.
    """
    requests, n = sums.shape
    k = scores.shape[1]
    made = np.empty(_AT_ONCE, np.float32)
    half = np.int64(1 << shift) >> 1
    for b in range(requests):
        row, best, who = sums[b], scores[b], ids[b]
        for start in range(0, n, _AT_ONCE):
            count = min(_AT_ONCE, n - start)
            last, some = best[k - 1], who[k - 1] < 0
            part = row[start : start + count]
            if shift or low > -(1 << 31):
                for i in range(count):
                    rounded = (np.int64(part[i]) + half) >> shift
                    rounded = min(max(rounded, low), high)
                    made[i] = np.float32(rounded << shift)
            else:
                for i in range(count):
                    made[i] = np.float32(part[i])
            if own >= 1:
                mine = factors[start : start + count]
                for i in range(count):
                    made[i] = made[i] * mine[i]
            if own == 2:
                more = biases[start : start + count]
                for i in range(count):
                    made[i] = made[i] + more[i]
            for i in range(count):
                some |= made[i] > last
            if not some:
                continue
            for i in range(count):
                value = made[i]
                if value > best[k - 1] or who[k - 1] < 0:
                    at = k - 1
                    while at > 0 and (best[at - 1] < value or who[at - 1] < 0):
                        best[at], who[at] = best[at - 1], who[at - 1]
                        at -= 1
                    best[at], who[at] = value, first + start + i


@jit
def merge_lists(a_scores, a_ids, b_scores, b_ids, scores, ids):  # type: ignore[no-untyped-def]
    """Two lists ``[B, k]`` into one: higher scores first, of equal ones the lower id, without items last."""
    requests, k = scores.shape
    for b in range(requests):
        i = j = 0
        for at in range(k):
            one, other = a_scores[b, i], b_scores[b, j]
            mine, theirs = np.uint32(a_ids[b, i]), np.uint32(b_ids[b, j])
            if one > other or (one == other and mine <= theirs):
                scores[b, at], ids[b, at] = one, a_ids[b, i]
                i += 1
            else:
                scores[b, at], ids[b, at] = other, b_ids[b, j]
                j += 1
