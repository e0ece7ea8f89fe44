"""Layouts from hop distances in the graph of exchanges, which on a mesh are sums of two coordinates.

Between two nodes of a mesh the shortest path has |x - x'| + |y - y'| hops, so the distances to a node on
the left side and to the one opposite on the right differ by twice x, whatever y.  Where links are missing,
detours add noise, which the mean over all nodes of both sides takes out.  Layouts from the distances to a few
far nodes are known from graph drawing (Harel and Koren, "Graph drawing by high-dimensional embedding", 2002).
Flows do not count, only that there is one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.mapping.mesh.landmarks import Landmarks, relocate
from cimc.mapping.mesh.legalise import legalise
from cimc.mapping.mesh.mesh_problem import QuadraticProblem, cost_of

# Far nodes are searched from so many nodes, as what looks like a corner may be a chain that sticks out.
_STARTS = 6
# A layout whose sides are wrong mends itself when it is made anew from its own sides, in some few turns.
_TURNS = 6


def hop_layouts(problem: QuadraticProblem, marks: Landmarks) -> list[IntArray]:
    """Legal placements int64[n] by hop distances to corners, then sides, then ``marks``; the cheapest first.

    One from each search for corners, all different, at least one.
    """
    layouts: dict[bytes, tuple[float, IntArray]] = {}
    starts = np.linspace(0, problem.n_blocks - 1, _STARTS).astype(np.int64)
    for start in np.unique(starts).tolist():
        turned = _turned(problem, _from_corners(problem, start))
        found = [min((_legal(problem, points) for points in turned), key=_cost)]
        for _ in range(_TURNS):
            found.append(_legal(problem, from_sides(problem, found[-1][1])))
        best = min(found, key=_cost)
        located = relocate(problem, marks, best[1])
        if located is not None:
            best = min(best, (cost_of(problem, located), located), key=_cost)
        layouts.setdefault(best[1].tobytes(), best)
    return [sites for _, sites in sorted(layouts.values(), key=_cost)]


def from_sides(problem: QuadraticProblem, sites: IntArray) -> FloatArray:
    """float64[n, 2] in the unit square: the blocks by their mean distances to those on opposite sides."""
    position = problem.position[sites]
    coordinates = []
    for axis in (0, 1):
        low, high = position[:, axis].min(), position[:, axis].max()
        left, right = (np.flatnonzero(position[:, axis] == side) for side in (low, high))
        coordinates.append(_distance(problem, left) / left.size - _distance(problem, right) / right.size)
    return _unit(*coordinates)


def _from_corners(problem: QuadraticProblem, start: int) -> FloatArray:
    """Four blocks far from each other as corners: two opposite ones, then the two farthest beside them."""
    a = int(np.argmax(_distance(problem, start)))
    b = int(np.argmax(_distance(problem, a)))
    from_a, from_b = _distance(problem, a), _distance(problem, b)
    between = 2 * np.minimum(from_a, from_b)
    c = int(np.argmax(between))
    d = int(np.argmax(_distance(problem, c) + between))
    c = int(np.argmax(_distance(problem, d) + between))
    from_c, from_d = _distance(problem, c), _distance(problem, d)
    return _unit(from_a - from_c + from_d - from_b, from_a - from_d + from_c - from_b)


def _distance(problem: QuadraticProblem, sources: int | IntArray) -> IntArray:
    from cimc.mapping.kernels.hop_loops import hop_sums

    graph = problem.graph
    return hop_sums(graph.start, graph.neighbour, np.atleast_1d(np.asarray(sources)), problem.n_blocks)


def _unit(x: FloatArray | IntArray, y: FloatArray | IntArray) -> FloatArray:
    points = np.stack((x, y), axis=1).astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    scaled: FloatArray = (points - low) / np.where(high > low, high - low, 1.0)
    return scaled


def _turned(problem: QuadraticProblem, points: FloatArray) -> Iterator[FloatArray]:
    """Points in all orientations that may matter: on a square mesh without terminals they are all alike."""
    wide, high = np.ptp(problem.position, axis=0)
    swaps = (points, points[:, ::-1]) if wide != high or len(problem.terminals) else (points,)
    for each in swaps:
        for x in (1, -1) if len(problem.terminals) else (1,):
            for y in (1, -1) if len(problem.terminals) else (1,):
                yield (each - 0.5) * np.array([x, y]) + 0.5


def _cost(layout: tuple[float, IntArray]) -> float:
    return layout[0]


def _legal(problem: QuadraticProblem, points: FloatArray) -> tuple[float, IntArray]:
    sites = legalise(problem, points)
    return cost_of(problem, sites), sites
