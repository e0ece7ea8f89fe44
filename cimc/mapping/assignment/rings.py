"""The ring formulation's data: bins by distance, items by likeness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimc.mapping.assignment.problem import PlacementProblem
from cimc.mapping.dtypes import FloatArray, IntArray

# Loads and traffics below this share of their mean are taken to be alike: they decide nothing.
_NEGLIGIBLE = 1e-3
_TOLERANCES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, eq=False)
class Rings:
    """Bins at (nearly) equal distance to the consumer, nearest ring first.

    Attributes:
        of_bin: int64[m], ring of each bin.
        distance: float64[r], mean hops of a ring's bins.
        bins: int64[r], bins that can hold at least the smallest item.
        capacity: int64[r], capacity units of those bins.
    """

    of_bin: IntArray
    distance: FloatArray
    bins: IntArray
    capacity: IntArray


@dataclass(frozen=True, eq=False)
class Classes:
    """Items of equal size, similar load and similar traffic.

    Attributes:
        count: int64[c], items of each class.
        load, size, traffic: float64[c], means over each class.
        tolerance: relative width of a class in load and in traffic.
    """

    count: IntArray
    load: FloatArray
    size: FloatArray
    traffic: FloatArray
    tolerance: float


def make_rings(problem: PlacementProblem, most: int) -> Rings:
    """Group the bins by distance; neighbours are merged where there are more than ``most`` distances."""
    usable = problem.capacity >= (problem.size.min() if problem.n_items else 1)
    distances, of_bin = np.unique(problem.distance, return_inverse=True)
    if distances.size > most:
        # About equally many bins in each of the merged rings.
        count = np.bincount(of_bin)
        merged = (np.cumsum(count) - count) * most // problem.n_bins
        of_bin = np.unique(merged, return_inverse=True)[1][of_bin]
    count = np.bincount(of_bin)
    capacity = np.zeros(count.size, dtype=np.int64)
    np.add.at(capacity, of_bin[usable], problem.capacity[usable])
    return Rings(
        of_bin=of_bin,
        distance=np.bincount(of_bin, weights=problem.distance) / count,
        bins=np.bincount(of_bin[usable], minlength=count.size),
        capacity=capacity,
    )


def make_classes(problem: PlacementProblem, most: int) -> Classes:
    """Group the items; the finest of a few tolerances that gives at most ``most`` classes.

    Sizes are kept apart exactly, unless there are so many of them that no tolerance is coarse enough:
    then similar sizes share a class too.
    """
    sizes = np.unique(problem.size, return_inverse=True)[1]
    of_item = np.zeros(problem.n_items, dtype=np.int64)
    tolerance = 0.0
    for exact in (True, False):
        for tolerance in _TOLERANCES:
            like = sizes if exact else _bucket(problem.size.astype(np.float64), tolerance)
            of_item = _ranked(like, _bucket(problem.load, tolerance), _bucket(problem.traffic, tolerance))
            if of_item.max(initial=0) < most:
                return _classes(problem, of_item, tolerance)
    return _classes(problem, of_item, tolerance)


def _ranked(*keys: IntArray) -> IntArray:
    """The rank of each tuple of keys among the different ones; keys lie in [0, 2^20)."""
    joined = keys[0]
    for key in keys[1:]:
        # Ranks, not products of many keys: those could leave int64.
        joined = np.unique(joined * (int(key.max(initial=0)) + 1) + key, return_inverse=True)[1].reshape(-1)
    return joined


def _bucket(values: FloatArray, tolerance: float) -> IntArray:
    """Index of the geometric bucket, each ``1 + tolerance`` wide, that a value falls into."""
    floor = _NEGLIGIBLE * float(values.mean()) if values.size else 0.0
    if floor == 0.0:
        return np.zeros(values.size, dtype=np.int64)
    # Products and comparisons round alike on every machine; a logarithm does not.
    most, edges = float(values.max()), [floor]
    while edges[-1] < most:
        edges.append(edges[-1] * (1 + tolerance))
    return np.searchsorted(np.array(edges), values, side="right")


def _classes(problem: PlacementProblem, of_item: IntArray, tolerance: float) -> Classes:
    count = np.bincount(of_item)
    return Classes(
        count=count,
        load=np.bincount(of_item, weights=problem.load) / count,
        size=np.bincount(of_item, weights=problem.size.astype(np.float64)) / count,
        traffic=np.bincount(of_item, weights=problem.traffic) / count,
        tolerance=tolerance,
    )
