"""Hop distances in a graph, by breadth-first search, and places that follow from them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.support.jit import jit


@jit
def _search(
    start: IntArray, neighbour: IntArray, source: int, n: int, apart: IntArray, queue: IntArray
) -> int:
    """Write the hops from ``source`` to each of nodes 0..n-1, -1 without a path; return the farthest node."""
    apart[:] = -1
    apart[source] = 0
    queue[0] = source
    head, tail = 0, 1
    while head < tail:
        node = queue[head]
        head += 1
        for e in range(start[node], start[node + 1]):
            k = neighbour[e]
            if k < n and apart[k] < 0:
                apart[k] = apart[node] + 1
                queue[tail] = k
                tail += 1
    farthest: int = queue[tail - 1]
    return farthest


@jit
def hop_sums(start: IntArray, neighbour: IntArray, sources: IntArray, n: int) -> IntArray:
    """int64[n]: the sum over ``sources`` of the exchanges on the shortest path to each of nodes 0..n-1.

    Paths pass through these nodes alone.  What a source does not reach counts as one further than the
    farthest node that it does.

    Args:
        start, neighbour: the exchanges of each node, in compressed rows.
        sources: int64[k], of the nodes 0..n-1.
        n: nodes.
    """
    total = np.zeros(n, np.int64)
    apart = np.empty(n, np.int64)
    queue = np.empty(n, np.int64)
    for source in sources:
        farthest = _search(start, neighbour, source, n, apart, queue)
        beyond = apart[farthest] + 1
        for node in range(n):
            total[node] += apart[node] if apart[node] >= 0 else beyond
    return total


@jit
def hop_table(start: IntArray, neighbour: IntArray, sources: IntArray, n: int) -> npt.NDArray[np.int32]:
    """int32[k, n]: exchanges on the shortest path from each source to each of nodes 0..n-1, -1 without any.

    Args:
        start, neighbour, sources, n: as for :func:`hop_sums`.
    """
    table = np.empty((sources.size, n), np.int32)
    apart = np.empty(n, np.int64)
    queue = np.empty(n, np.int64)
    for row in range(sources.size):
        _search(start, neighbour, sources[row], n, apart, queue)
        table[row] = apart
    return table


@jit
def locate(
    hops: npt.NDArray[np.int32], landmark: IntArray, x: FloatArray, y: FloatArray, slope: float
) -> tuple[FloatArray, FloatArray]:
    """x and y of each node from its hops to landmarks, whose places are believed.

    A landmark to the lower left at (x', y') says that x + y is x' + y' + hops, one to the upper right that
    it is x' + y' - hops; the other two quadrants say so of x - y.  The median of each quadrant counts,
    and of opposite quadrants the mean, as detours at the node itself err in opposite directions.

    Args:
        hops: int32[k, n], hops from each landmark, -1 without a path.
        landmark: int64[k], nodes.
        x, y: float64[n], places so far.
        slope: landmarks count that are at least one hop off in both directions, and in one at least so many
            times as in the other: straight ahead detours are frequent.
    """
    n, k = x.size, landmark.size
    to_x, to_y = np.empty(n), np.empty(n)
    said = np.empty((4, k))
    for node in range(n):
        count = np.zeros(4, np.int64)
        for row in range(k):
            apart = hops[row, node]
            at = landmark[row]
            dx, dy = x[node] - x[at], y[node] - y[at]
            least, most = min(abs(dx), abs(dy)), max(abs(dx), abs(dy))
            if apart < 0 or least < 1.0 or least < slope * most:
                continue
            side = 0 if dx > 0.0 else 1
            if dx * dy > 0.0:
                quadrant, from_there = side, x[at] + y[at]
            else:
                quadrant, from_there = 2 + side, x[at] - y[at]
            said[quadrant, count[quadrant]] = from_there + (apart if side == 0 else -apart)
            count[quadrant] += 1
        both = np.empty(2)
        both[0], both[1] = x[node] + y[node], x[node] - y[node]
        for pair in range(2):
            heard, total = 0, 0.0
            for quadrant in range(2 * pair, 2 * pair + 2):
                if count[quadrant] > 0:
                    total += np.median(said[quadrant, : count[quadrant]])
                    heard += 1
            if heard > 0:
                both[pair] = total / heard
        to_x[node], to_y[node] = (both[0] + both[1]) / 2, (both[0] - both[1]) / 2
    return to_x, to_y


@jit
def settle(
    x: IntArray,
    y: IntArray,
    order: IntArray,
    size: IntArray,
    site_at: IntArray,
    room: IntArray,
) -> IntArray:
    """A site for each node: its own where there is room, then for those left over the nearest with room.

    Args:
        x, y: int64[n], wanted places, within the mesh.
        order: int64[n], who comes first.
        size: int64[n], capacity units.
        site_at: int64[width, height], the site at each point of the mesh, or -1.
        room: int64[m], free capacity units; updated.

    Returns:
        int64[n], -1 for nodes that found no room.
    """
    sites = np.full(x.size, -1, np.int64)
    for node in order:
        at = site_at[x[node], y[node]]
        if at >= 0 and room[at] >= size[node]:
            sites[node] = at
            room[at] -= size[node]
    width, height = site_at.shape
    for node in order:
        for apart in range(width + height - 1 if sites[node] < 0 else 0):
            for dx in range(-apart, apart + 1):
                for side in (-1, 1):
                    at_x, at_y = x[node] + dx, y[node] + side * (apart - abs(dx))
                    if sites[node] < 0 and 0 <= at_x < width and 0 <= at_y < height:
                        at = site_at[at_x, at_y]
                        if at >= 0 and room[at] >= size[node]:
                            sites[node] = at
                            room[at] -= size[node]
            if sites[node] >= 0:
                break
    return sites
