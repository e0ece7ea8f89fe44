"""Smooth a placement: every block drifts to the mean of those it exchanges data with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cimc.mapping.dtypes import FloatArray
from cimc.mapping.mesh.mesh_problem import QuadraticProblem

_STEPS = (20, 100, 400, 1600)
_BLEND = 0.7
# After so many steps only the slowest modes are left, which on a square mesh may be turned by any angle:
# tangents of the half angles to try.
_SLOW = 400
_TURNS = (0.0, 0.02, -0.02, 0.06, -0.06, 0.12, -0.12, 0.2, -0.2)


def relaxations(problem: QuadraticProblem, points: FloatArray) -> Iterator[FloatArray]:
    """Smoothed copies of float64[n, 2] points, after more and more steps.

    A step is one of the power method on the graph of exchanges: errors at short range die out first, and
    what is left bends towards the graph's slowest modes, which lay a mesh-like graph out as a mesh
    (spectral placement, Hall 1970).  Exchanges count once, or by the root of their flow.  Points contract
    to the middle; legalising spreads them again.  Terminals hold their places.
    """
    from cimc.mapping.kernels.mesh_loops import smooth

    n, graph = problem.n_blocks, problem.graph
    low = problem.position.min(axis=0)
    scale = problem.position.max(axis=0) - low + 1
    fixed = (problem.terminals - low + 0.5) / scale
    for weight in (np.ones(graph.flow.size), np.sqrt(graph.flow)):
        at, done = np.concatenate((points, fixed)) - 0.5, 0
        for steps in _STEPS:
            smooth(graph.start, graph.neighbour, weight, at, n, _BLEND, steps - done, not fixed.size)
            done = steps
            if fixed.size:
                yield at[:n] + 0.5
                continue
            upright = _upright(at[:n])
            for half in _TURNS if steps >= _SLOW else (0.0,):
                # Half-angle formulas: a rotation without a sine that rounds as the library likes.
                cosine, sine = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
                x, y = upright.T
                yield np.stack((cosine * x - sine * y, sine * x + cosine * y), axis=1) + 0.5


def _upright(points: FloatArray) -> FloatArray:
    """Centred points with the two coordinates made uncorrelated and of one spread, turned no further.

    Smoothing draws both coordinates towards the same slow modes, which shears the layout; the inverse
    square root of the 2 x 2 covariance takes the shear out.
    """
    x, y = points[:, 0], points[:, 1]
    xx, xy, yy = float(np.mean(x * x)), float(np.mean(x * y)), float(np.mean(y * y))
    determinant = xx * yy - xy * xy
    if determinant <= 1e-12 * (xx + yy) ** 2:
        return points
    # The square root of a 2 x 2 matrix C is (C + s I) / t with s = sqrt(det C), t = sqrt(tr C + 2 s).
    s = float(np.sqrt(determinant))
    t = float(np.sqrt(xx + yy + 2 * s))
    a, b, c = (xx + s) / t, xy / t, (yy + s) / t
    scale = 1.0 / (a * c - b * b)
    return np.stack(((c * x - b * y) * scale, (a * y - b * x) * scale), axis=1)
