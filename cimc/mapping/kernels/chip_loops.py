"""Exact assignment of few items to equal bins, for the least bottleneck."""

from __future__ import annotations

import numpy as np

from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.support.jit import jit


@jit
def branch(
    cost: FloatArray,
    size: IntArray,
    bins: int,
    capacity: int,
    best: FloatArray,
    assignment: IntArray,
    tolerance: float,
    nodes: int,
) -> int:
    """Branch and bound by bin completion (Martello and Toth 1990; Korf 2003): fill bin after bin.

    A bin starts with the costliest item left and takes any subset that keeps it below the best bottleneck
    known; it must carry so much that the bins after it can carry the rest.

    Args:
        cost: float64[n], costliest first.
        size: int64[n].
        bins: >= 2.
        capacity: of each bin.
        best: float64[1], bottleneck of ``assignment``; lowered with it.
        assignment: int64[n], the best known; overwritten by better ones.
        tolerance: share of the bottleneck by which better ones must be better, > 0: items that may trade
            places within the limit are tried one way only, so the limit must be an improvement.
        nodes: limit on the subsets looked at.

    Returns:
        The subsets looked at; fewer than ``nodes`` if the search was exhaustive, so that no assignment is
        better by more than the tolerance.
    """
    n = cost.size
    owner = np.full(n, -1, dtype=np.int64)
    load, used = np.zeros(bins), np.zeros(bins, dtype=np.int64)
    left, left_size = np.zeros(bins + 1), np.zeros(bins + 1, dtype=np.int64)
    stack, opens = np.empty(n, dtype=np.int64), np.zeros(n, dtype=np.bool_)
    left[0], left_size[0] = cost.sum(), size.sum()
    owner[0], stack[0], opens[0] = 0, 0, True
    load[0], used[0] = cost[0], size[0]
    depth, b, position = 1, 0, 1
    for node in range(nodes):
        limit = best[0] * (1 - tolerance)
        need = left[b] - (bins - b - 1) * limit
        rest, added = load[b], -1
        if load[b] <= limit:
            for j in range(position, n):
                if owner[j] < 0:
                    rest += cost[j]
                    if added < 0 and load[b] + cost[j] <= limit and used[b] + size[j] <= capacity:
                        added = j
        if added >= 0 and rest >= need:
            owner[added], stack[depth], opens[depth] = b, added, False
            load[b] += cost[added]
            used[b] += size[added]
            depth += 1
            position = added + 1
            continue
        after, after_size = left[b] - load[b], left_size[b] - used[b]
        room = (bins - b - 1) * capacity
        whole = load[b] <= limit and load[b] >= need and after_size <= room
        if whole:
            # Dominance: an item that a costlier, no smaller one from outside could replace here: some
            # solution has that one here and this one there.
            for i in range(1, n):
                if owner[i] == b:
                    for j in range(i):
                        if (
                            owner[j] < 0
                            and cost[j] > cost[i]
                            and size[j] >= size[i]
                            and load[b] - cost[i] + cost[j] <= limit
                            and used[b] - size[i] + size[j] <= capacity
                        ):
                            whole = False
        if whole:
            first = -1
            for j in range(n):
                if owner[j] < 0:
                    first = j
                    break
            last = b + 2 == bins
            if first < 0 or (last and after <= limit):
                worst = after if last else 0.0
                for k in range(b + 1):
                    worst = max(worst, load[k])
                if worst < best[0]:
                    best[0] = worst
                    for j in range(n):
                        assignment[j] = owner[j] if owner[j] >= 0 else b + 1
            elif not last and cost[first] <= limit:
                b += 1
                left[b], left_size[b] = after, after_size
                owner[first], stack[depth], opens[depth] = b, first, True
                load[b], used[b] = cost[first], size[first]
                depth += 1
                position = first + 1
                continue
        while True:
            depth -= 1
            j = stack[depth]
            owner[j] = -1
            if not opens[depth]:
                load[b] -= cost[j]
                used[b] -= size[j]
                position = j + 1
                break
            load[b], used[b] = 0.0, 0
            b -= 1
            if b < 0:
                return node
    return nodes
