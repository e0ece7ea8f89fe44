"""Lower bounds that hold for every assignment, whatever strategy made it."""

from __future__ import annotations

import numpy as np

from cimc.mapping.assignment.problem import PlacementProblem, Prices
from cimc.mapping.dtypes import FloatArray, IntArray


def bottleneck_bound(problem: PlacementProblem) -> float:
    """Lower bound on the largest bin load, in the unit of ``load``.

    The largest of four bounds: the heaviest item; the pigeonhole bound; the load of the items of at
    least some size over the bins that can hold such an item; the level at which the total load is
    spread when no bin can hold more than its capacity's worth of the densest items.
    """
    if problem.n_items == 0:
        return 0.0
    return max(
        float(problem.load.max()),
        _pigeonhole(problem),
        _eligible_mean(problem),
        _water_level(problem),
    )


def _pigeonhole(problem: PlacementProblem) -> float:
    """Of the k*m + 1 heaviest items some bin gets k + 1, at best the k + 1 lightest among them.

    For k = 1 this is the bound for identical machines of Graham (1969).  Bins too small for any item
    are no bins.
    """
    bins = int(np.count_nonzero(problem.capacity >= problem.size.min()))
    if bins == 0 or problem.n_items <= bins:
        return 0.0
    heaviest_first = np.sort(problem.load)[::-1]
    total = np.concatenate(([0.0], np.cumsum(heaviest_first)))
    k = np.arange(1, (problem.n_items - 1) // bins + 1)
    last = k * bins + 1
    return float(np.max(total[last] - total[last - k - 1]))


def _eligible_mean(problem: PlacementProblem) -> float:
    """Items of at least size s share the bins of at least capacity s; s runs over all sizes."""
    order = np.argsort(problem.size, kind="stable")[::-1]
    load_from = np.cumsum(problem.load[order])
    sizes = problem.size[order]
    bins = problem.n_bins - np.searchsorted(np.sort(problem.capacity), sizes, side="left")
    # Only the last position of a run of equal sizes counts every item of that size.
    last = np.append(sizes[1:] != sizes[:-1], True) & (bins > 0)
    return float(np.max(load_from[last] / bins[last], initial=0.0))


def _water_level(problem: PlacementProblem) -> float:
    """The T with sum over bins of min(T, f(capacity)) = total load; f is a fractional knapsack.

    f(c) is the largest load that c units can hold when items may be cut, so a bin never holds more
    than f(its capacity), and T is what the others must then carry.
    """
    density = problem.load / problem.size
    order = np.argsort(-density, kind="stable")
    units = np.concatenate(([0], np.cumsum(problem.size[order]))).astype(np.float64)
    loads = np.concatenate(([0.0], np.cumsum(problem.load[order])))
    most = np.sort(np.interp(problem.capacity.astype(np.float64), units, loads))
    below = np.concatenate(([0.0], np.cumsum(most)[:-1]))
    levels = (loads[-1] - below) / np.arange(problem.n_bins, 0, -1)
    fits = np.flatnonzero(levels <= most)
    # No level fits only when the bins together cannot hold the load: then nothing is claimed.
    return float(levels[fits[0]]) if fits.size else 0.0


def hops_bound(problem: PlacementProblem) -> float:
    """Lower bound on the sum of traffic x distance when items may be cut and loads ignored.

    The units with the most traffic go to the nearest capacity units (rearrangement inequality).
    """
    total = int(problem.size.sum())
    if total == 0 or total > int(problem.capacity.sum()):
        return 0.0
    items = np.argsort(-(problem.traffic / problem.size), kind="stable")
    bins = np.argsort(problem.distance, kind="stable")
    item_end = np.cumsum(problem.size[items])
    bin_end = np.cumsum(problem.capacity[bins])
    cuts = np.unique(np.concatenate((item_end, bin_end[bin_end < total])))
    units = np.diff(cuts, prepend=0)
    item = items[np.searchsorted(item_end, cuts, side="left")]
    place = bins[np.searchsorted(bin_end, cuts, side="left")]
    return float(np.sum(units * (problem.traffic[item] / problem.size[item]) * problem.distance[place]))


def balanced_hops_bound(problem: PlacementProblem, prices: Prices) -> float:
    """Lower bound on the hops of any assignment whose bottleneck is at most ``prices.limit``.

    The Lagrangian of the assignment problem: with prices p on load and q on size,
    ``sum_i min_b (traffic_i d_b + p_b load_i + q_b size_i) - sum_b (p_b limit + q_b capacity_b)``
    is a lower bound for every non-negative p and q; good prices only make it sharp.
    """
    load_price, size_price = np.maximum(prices.load, 0.0), np.maximum(prices.size, 0.0)
    budget = float(np.sum(load_price)) * prices.limit + float(np.sum(size_price * problem.capacity))
    if problem.n_items == 0:
        return 0.0
    # Bins with equal distance and prices are one column; there are as many as rings, not bins.
    columns = np.unique(np.stack((problem.distance, load_price, size_price)), axis=1)
    relaxed = _cheapest(problem.traffic, problem.load, problem.size, columns)
    # The two are sums of many float64; what their difference may have gained by rounding is given back.
    lost = 1e-12 * (relaxed + budget)
    return max(relaxed - budget - lost, hops_bound(problem))


def _cheapest(traffic: FloatArray, load: FloatArray, size: IntArray, columns: FloatArray) -> float:
    """Sum over items of the least priced cost; in blocks, to bound the memory."""
    rows = max(1, 32_768 // columns.shape[1])  # blocks that stay in the cache
    distance, load_price, size_price = columns
    parts = []
    for at in range(0, load.size, rows):
        block = slice(at, at + rows)
        # Spelled out, not a matrix product: that would round differently from machine to machine.
        cost = traffic[block, None] * distance + load[block, None] * load_price
        cost += size[block, None] * size_price
        parts.append(float(np.sum(np.min(cost, axis=1))))
    return float(np.sum(parts))
