"""Annealing of an item placement: hops under a limit on the bin loads.

Items come sorted by size, then load, bins by distance; all arrays of the state are updated in place.
"""

from __future__ import annotations

import numpy as np

from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.support.jit import jit
from cimc.support.random.splitmix_jit import State, accepts, below


@jit
def anneal(
    load: FloatArray,
    size: IntArray,
    traffic: FloatArray,
    distance: FloatArray,
    assignment: IntArray,
    bin_load: FloatArray,
    room: IntArray,
    limit: float,
    load_price: float,
    size_price: float,
    temperature: float,
    first: int,
    proposals: int,
    state: State,
) -> int:
    """Propose moves and swaps at one temperature.

    The cost is sum(traffic x distance), plus what bins carry above ``limit`` and hold above their
    capacity at their prices.  The items take turns; of four proposals two swap an item with one that is
    at most 1024 places further on, one with any other, and one moves it to any bin.

    Args:
        load, size, traffic: [n], of the items.
        distance: float64[m], of the bins.
        assignment: int64[n], complete.
        bin_load, room: [m], of ``assignment``; negative room is what a bin holds too much.
        limit: load above which ``load_price`` is paid.
        load_price: cost of one unit of load above the limit.
        size_price: cost of one unit above a capacity; negative: no proposal may add any.
        temperature: 0 accepts no worse state.
        first: turn of the first proposal.
        proposals: how many.
        state: of the random numbers.

    Returns:
        How many proposals were accepted.
    """
    n, m = load.size, distance.size
    made = 0
    for turn in range(first, first + proposals):
        i = turn % n
        a = assignment[i]
        kind = below(state, 4)
        if kind == 3:
            j, b = -1, below(state, m)
            moved, units, bits = load[i], size[i], traffic[i]
        else:
            if kind == 2:
                j = below(state, n)
            else:
                j = (i + 1 + below(state, 2 << below(state, 10))) % n
            b = assignment[j]
            moved, units, bits = load[i] - load[j], size[i] - size[j], traffic[i] - traffic[j]
        if a == b:
            continue
        worse = bits * (distance[b] - distance[a])
        before = max(bin_load[a] - limit, 0.0) + max(bin_load[b] - limit, 0.0)
        after = max(bin_load[a] - moved - limit, 0.0) + max(bin_load[b] + moved - limit, 0.0)
        if before != after:
            worse += load_price * (after - before)
        if units > room[b] or -units > room[a] or room[a] < 0 or room[b] < 0:
            more = max(-room[a] - units, 0) + max(units - room[b], 0)
            more -= max(-room[a], 0) + max(-room[b], 0)
            if size_price < 0.0 and more > 0:
                continue
            worse += abs(size_price) * more
        if accepts(state, worse, temperature):
            assignment[i] = b
            if j >= 0:
                assignment[j] = a
            bin_load[a] -= moved
            bin_load[b] += moved
            room[a] += units
            room[b] -= units
            made += 1
    return made


@jit
def mend(
    load: FloatArray,
    size: IntArray,
    traffic: FloatArray,
    distance: FloatArray,
    assignment: IntArray,
    bin_load: FloatArray,
    room: IntArray,
    limit: float,
    members: IntArray,
    bins: IntArray,
    start: IntArray,
    width: int,
) -> int:
    """Bring bins that stand above ``limit`` below it, each step the one with the fewest hops.

    For every item of such a bin, all bins and the ``width`` items before it (lighter ones of its size,
    or smaller ones) are looked at; the other bin must stay within limit and capacity.

    Args:
        load ... limit: as in :func:`anneal`.
        members: int64[k], items of the bins to mend, bin after bin.
        bins: int64[c], the bins to mend.
        start: int64[c + 1], where each one's members start.
        width: items to look at per item.

    Returns:
        Candidates looked at.
    """
    tried = 0
    for c in range(bins.size):
        a = bins[c]
        while bin_load[a] > limit:
            over = bin_load[a] - limit
            best, best_k, best_j, best_b = np.inf, -1, -1, -1
            best_left = over
            for k in range(start[c], start[c + 1]):
                i = members[k]
                if i < 0 or load[i] == 0.0:
                    continue
                for b in range(distance.size):
                    if b != a and size[i] <= room[b] and bin_load[b] + load[i] <= limit:
                        left = max(over - load[i], 0.0)
                        worse = traffic[i] * (distance[b] - distance[a])
                        if left < best_left or (left == best_left and worse < best):
                            best, best_k, best_j, best_b, best_left = worse, k, -1, b, left
                for j in range(max(0, i - width), i):
                    b = assignment[j]
                    moved, units = load[i] - load[j], size[i] - size[j]
                    if b == a or moved <= 0.0 or units > room[b] or -units > room[a]:
                        continue
                    if bin_load[b] + moved <= limit:
                        left = max(over - moved, 0.0)
                        worse = (traffic[i] - traffic[j]) * (distance[b] - distance[a])
                        if left < best_left or (left == best_left and worse < best):
                            best, best_k, best_j, best_b, best_left = worse, k, j, b, left
                tried += distance.size + min(i, width)
            if best_k < 0:
                break
            i = members[best_k]
            moved, units = load[i], size[i]
            if best_j >= 0:
                moved, units = load[i] - load[best_j], size[i] - size[best_j]
                assignment[best_j] = a
            assignment[i] = best_b
            members[best_k] = best_j
            bin_load[a] -= moved
            bin_load[best_b] += moved
            room[a] += units
            room[best_b] -= units
    return tried
