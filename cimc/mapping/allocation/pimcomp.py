"""Replicators after PIMCOMP (Sun et al., DAC 2023), as its public code has them.

Taken over: the heap of ``balance`` with a margin that stays free, ``W0H0``, ``uniform``, the genetic search.
Ours: windows may be requests in flight, as a fully connected layer has one window and would never be copied;
``A_fc``, arrays that no replicated layer gets, are those of tables; a copy is added only where it fits (the
code does not count first copies, which a margin of half the machine hides); equal heads of the heap come in
the order of the layers.
"""

from __future__ import annotations

import heapq
import math

import numpy as np

from cimc.mapping.allocation.layer_copies import LayerCopies, LayerCopiesProblem
from cimc.mapping.assignment.strategy_registry import require
from cimc.mapping.dtypes import IntArray

REPLICATORS = ("balance", "W0H0", "uniform", "genetic")
MARGIN = 0.5
_SLACK = 1.2
"""Share by which ``W0H0`` and ``uniform`` take a round of copies for larger than it is."""


def pimcomp(
    problem: LayerCopiesProblem,
    /,
    *,
    seed: int,
    windows: int = 1,
    replicator: str = "balance",
    margin: float = MARGIN,
    generations: int = 3,
    population: int = 200,
    fitness: str = "HT",
) -> LayerCopies:
    """Copies of each layer by one of PIMCOMP's replicators.

    Args:
        problem: the layers.
        seed: of ``genetic``.
        windows: requests in flight, each a window of every layer; 1: the policy as it is published.
        replicator: ``balance``, ``W0H0``, ``uniform`` or ``genetic``.
        margin: of ``balance``, the share of the arrays that stays free.
        generations, population: of ``genetic``; ``fitness``: ``HT`` (throughput) or ``LL`` (latency).
    """
    require(replicator in REPLICATORS, f"`replicator` is one of {', '.join(REPLICATORS)}, not {replicator}")
    uses = problem.windows(windows)
    if replicator == "balance":
        return LayerCopies(balance(problem, uses, margin))
    if replicator == "genetic":
        from cimc.mapping.allocation.pimcomp_genetic import Search

        search = Search(problem, uses, fitness, population, seed)
        return search.run(generations)
    shares = np.ones(problem.layers, np.int64) if replicator == "uniform" else rounds(uses)
    return LayerCopies(in_rounds(problem, uses, shares))


def balance(problem: LayerCopiesProblem, windows: IntArray, margin: float) -> IntArray:
    """int64[n]: one more copy to the layer with the most windows a copy, while more than ``margin`` is free.

    It ends where the layer on top of the heap finds no room, or has a copy for every window.
    """
    require(0 <= margin < 1, f"`margin` must lie in 0..1, it is {margin}")
    size, copies = problem.copy_arrays.tolist(), [1] * problem.layers
    room = problem.arrays - sum(size)
    free = problem.arrays
    heap = [(-w, i) for i, w in enumerate(windows.tolist())]
    heapq.heapify(heap)
    while heap:
        _, i = heapq.heappop(heap)
        if copies[i] >= windows[i] or not (free > size[i] and free > margin * problem.arrays):
            break
        if size[i] > room:
            break
        copies[i], free, room = copies[i] + 1, free - size[i], room - size[i]
        each = math.ceil(int(windows[i]) / copies[i])
        heapq.heappush(heap, (-each, i))
    return np.array(copies, np.int64)


def rounds(windows: IntArray) -> IntArray:
    """int64[n]: windows of each layer over the second smallest number of windows, upwards."""
    distinct = np.unique(windows)
    unit = int(distinct[min(1, distinct.size - 1)]) if distinct.size else 1
    found: IntArray = -(-windows // unit)
    return found


def in_rounds(problem: LayerCopiesProblem, windows: IntArray, shares: IntArray) -> IntArray:
    """int64[n]: ``shares`` as often as they fit into the arrays over 1.2, no copy without a window."""
    if problem.layers == 0:
        return np.zeros(0, np.int64)
    one = int((shares * problem.copy_arrays).sum())
    count = max(1, int(problem.arrays / one / _SLACK))
    found = np.clip(count * shares, 1, windows)
    return found if problem.fits(found) else np.ones(problem.layers, np.int64)
