"""Bins of equal capacity can trade their whole contents: the busiest contents go nearest."""

from __future__ import annotations

import numpy as np

from cimc.mapping.assignment.problem import PlacementProblem
from cimc.mapping.dtypes import IntArray


def nearest_first(problem: PlacementProblem, assignment: IntArray) -> IntArray:
    """``assignment`` with the contents of equal bins permuted for the fewest hops.

    Optimal among such permutations (rearrangement inequality); no bin's load changes but its place.
    """
    m = problem.n_bins
    traffic = np.bincount(assignment, weights=problem.traffic, minlength=m)
    contents = np.lexsort((np.arange(m), -traffic, problem.capacity))
    places = np.lexsort((np.arange(m), problem.distance, problem.capacity))
    target = np.empty(m, dtype=np.int64)
    target[contents] = places
    return target[assignment]
