"""Smooth a placement: every block drifts to the mean of those it exchanges data with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cimc.mapping.problem import FloatArray
from cimc.mapping.quadratic.problem import QuadraticProblem

_STEPS = (20, 100, 400, 1600)
_BLEND = 0.7


def relaxations(problem: QuadraticProblem, points: FloatArray) -> Iterator[FloatArray]:
    """Smoothed copies of float64[n, 2] points, after more and more steps.

    A step is one of the power method on the graph of exchanges: errors at short range die out first, and
    what is left bends towards the graph's slowest modes, which lay a mesh-like graph out as a mesh
    (spectral placement, Hall 1970).  Exchanges count once, or by the root of their flow.  Points contract
    to the middle; legalising spreads them again.  Terminals hold their places.
    """
    from cimc.mapping.kernels.quadratic import smooth

    n, graph = problem.n_blocks, problem.graph
    low = problem.position.min(axis=0)
    scale = problem.position.max(axis=0) - low + 1
    fixed = (problem.terminals - low + 0.5) / scale
    for weight in (np.ones(graph.flow.size), np.sqrt(graph.flow)):
        at, done = np.concatenate((points, fixed)) - 0.5, 0
        for steps in _STEPS:
            smooth(graph.start, graph.neighbour, weight, at, n, _BLEND, steps - done, not fixed.size)
            done = steps
            yield at[:n] + 0.5
