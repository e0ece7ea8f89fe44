"""Blocks on a mesh that exchange data with each other: greedy construction and annealing.

Nodes are the blocks, then the terminals (which never move).  A site has slots, as many as the smallest
blocks that fit in it; slot ``q`` belongs to site ``owner[q]`` and holds node ``held[q]``, or -1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.support.jit import jit
from cimc.support.random.splitmix_jit import State, accepts, below


@jit
def moving(
    node: int,
    to_x: int,
    to_y: int,
    other: int,
    x: IntArray,
    y: IntArray,
    start: IntArray,
    neighbour: IntArray,
    flow: FloatArray,
) -> float:
    """Change of cost when ``node`` moves to (to_x, to_y); its flow to ``other`` does not count."""
    worse = 0.0
    from_x, from_y = x[node], y[node]
    for e in range(start[node], start[node + 1]):
        k = neighbour[e]
        if k != other:
            there = abs(to_x - x[k]) + abs(to_y - y[k])
            here = abs(from_x - x[k]) + abs(from_y - y[k])
            worse += flow[e] * (there - here)
    return worse


@jit
def anneal(
    start: IntArray,
    neighbour: IntArray,
    flow: FloatArray,
    size: IntArray,
    x: IntArray,
    y: IntArray,
    slot: IntArray,
    held: IntArray,
    owner: IntArray,
    site_start: IntArray,
    site_x: IntArray,
    site_y: IntArray,
    site_at: npt.NDArray[np.int64],
    room: IntArray,
    temperature: float,
    reach: int,
    proposals: int,
    state: State,
) -> int:
    """Propose exchanges of what two slots hold, at one temperature.

    Half of the proposals bring a block next to one it exchanges data with, a quarter move it by up to
    ``reach`` each way, a quarter anywhere.

    Args:
        start, neighbour, flow: the exchanges of each node, in compressed rows.
        size: int64[n], of the blocks.
        x, y: int64[nodes], where each node is; updated.
        slot: int64[n], of each block; updated.
        held, owner: int64[q], of the slots; ``held`` is updated.
        site_start: int64[m + 1], first slot of each site.
        site_x, site_y: int64[m].
        site_at: int64[width, height], the site at each point of the mesh, or -1.
        room: int64[m], free capacity units; updated.
        temperature: 0 accepts no worse state.
        reach: of the near moves, >= 1.
        proposals: how many.
        state: of the random numbers.

    Returns:
        How many proposals were accepted.
    """
    n, slots = size.size, owner.size
    width, height = site_at.shape
    made = 0
    for turn in range(proposals):
        i = turn % n
        kind = below(state, 4)
        degree = start[i + 1] - start[i]
        if kind == 0 or (degree == 0 and kind >= 2):
            q = below(state, slots)
        else:
            if kind == 1:
                at_x = x[i] + below(state, 2 * reach + 1) - reach
                at_y = y[i] + below(state, 2 * reach + 1) - reach
            else:
                k = neighbour[start[i] + below(state, degree)]
                if kind == 3:  # of two neighbours the one with more flow
                    e = start[i] + below(state, degree)
                    f = start[i] + below(state, degree)
                    k = neighbour[e] if flow[e] >= flow[f] else neighbour[f]
                at_x, at_y = x[k], y[k]
                beside = below(state, 5)
                if beside == 0:
                    at_x += 1
                elif beside == 1:
                    at_x -= 1
                elif beside == 2:
                    at_y += 1
                elif beside == 3:
                    at_y -= 1
            if at_x < 0 or at_y < 0 or at_x >= width or at_y >= height:
                continue
            site = site_at[at_x, at_y]
            if site < 0 or site_start[site + 1] == site_start[site]:
                continue
            q = site_start[site] + below(state, site_start[site + 1] - site_start[site])
        a, b = owner[slot[i]], owner[q]
        if a == b:
            continue
        j = held[q]
        units = size[i] - (size[j] if j >= 0 else 0)
        if units > room[b] or -units > room[a]:
            continue
        worse = moving(i, site_x[b], site_y[b], j, x, y, start, neighbour, flow)
        if j >= 0:
            worse += moving(j, site_x[a], site_y[a], i, x, y, start, neighbour, flow)
        if accepts(state, worse, temperature):
            p = slot[i]
            held[q], held[p] = i, j
            slot[i], x[i], y[i] = q, site_x[b], site_y[b]
            if j >= 0:
                slot[j], x[j], y[j] = p, site_x[a], site_y[a]
            room[a] += units
            room[b] -= units
            made += 1
    return made


@jit
def total_cost(
    start: IntArray, neighbour: IntArray, flow: FloatArray, x: IntArray, y: IntArray, n: int
) -> float:
    """Sum of flow x distance, each exchange once."""
    cost = 0.0
    for i in range(n):
        for e in range(start[i], start[i + 1]):
            k = neighbour[e]
            if k > i:
                cost += flow[e] * (abs(x[i] - x[k]) + abs(y[i] - y[k]))
    return cost


@jit
def build(
    start: IntArray,
    neighbour: IntArray,
    flow: FloatArray,
    size: IntArray,
    terminal_x: IntArray,
    terminal_y: IntArray,
    site_x: IntArray,
    site_y: IntArray,
    room: IntArray,
) -> IntArray:
    """Place blocks one by one: next the one with the most flow to placed nodes, where that costs least.

    Returns:
        int64[n], the site of each block, -1 for blocks that found no room.
    """
    n, m = size.size, site_x.size
    nodes = n + terminal_x.size
    x, y = np.zeros(nodes, dtype=np.int64), np.zeros(nodes, dtype=np.int64)
    x[n:], y[n:] = terminal_x, terminal_y
    placed = np.zeros(nodes, dtype=np.bool_)
    placed[n:] = True
    at = np.full(n, -1, dtype=np.int64)
    pull, total = np.zeros(n), np.zeros(n)
    for i in range(n):
        for e in range(start[i], start[i + 1]):
            total[i] += flow[e]
            if neighbour[e] >= n:
                pull[i] += flow[e]
    middle_x, middle_y = site_x.mean(), site_y.mean()
    done = np.zeros(n, dtype=np.bool_)
    for _ in range(n):
        best = -1
        for i in range(n):
            if not done[i] and (
                best < 0 or pull[i] > pull[best] or (pull[i] == pull[best] and total[i] > total[best])
            ):
                best = i
        done[best] = True
        where, least, least_off = -1, np.inf, np.inf
        for s in range(m):
            if room[s] < size[best]:
                continue
            cost = 0.0
            for e in range(start[best], start[best + 1]):
                k = neighbour[e]
                if placed[k]:
                    cost += flow[e] * (abs(site_x[s] - x[k]) + abs(site_y[s] - y[k]))
            off = abs(site_x[s] - middle_x) + abs(site_y[s] - middle_y)
            if cost < least or (cost == least and off < least_off):
                where, least, least_off = s, cost, off
        if where < 0:
            continue
        at[best], placed[best] = where, True
        x[best], y[best] = site_x[where], site_y[where]
        room[where] -= size[best]
        for e in range(start[best], start[best + 1]):
            if neighbour[e] < n:
                pull[neighbour[e]] += flow[e]
    return at
