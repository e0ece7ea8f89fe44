"""Placement problems for tests: planted optima, Zipf shards, random small ones, and exhaustive search."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st

from cimc.mapping import PlacementProblem
from cimc.mapping.dtypes import FloatArray, IntArray


def planted(
    bins: int, items_per_bin: int, *, load: int = 10_000, spare: int = 0, seed: int = 0
) -> PlacementProblem:
    """Bins of exactly ``load`` each, cut at random into items: the least bottleneck is ``load``.

    Sizes are cut from each bin's capacity likewise, so with ``spare=0`` the packing is full.
    """
    random = np.random.default_rng(seed)
    capacity = 3 * items_per_bin

    def cut(whole: int) -> IntArray:
        ends = np.sort(random.choice(np.arange(1, whole), items_per_bin - 1, replace=False))
        return np.diff(ends, prepend=0, append=whole)

    loads = np.concatenate([cut(load) for _ in range(bins)]).astype(np.float64)
    sizes = np.concatenate([cut(capacity) for _ in range(bins)])
    mixed = random.permutation(loads.size)
    return PlacementProblem(
        load=loads[mixed],
        size=sizes[mixed],
        traffic=random.random(loads.size),
        capacity=np.full(bins, capacity + spare),
        distance=np.arange(bins) % 5 + 1.0,
    )


def zipf(items: int, bins: int, *, seed: int = 0, fill: float = 0.85) -> PlacementProblem:
    """Unit-size shards of Zipf load on a square mesh with the consumer in a corner."""
    random = np.random.default_rng(seed)
    load = 1.0 / (np.arange(items) + items / 10)
    side = int(np.ceil(np.sqrt(bins)))
    return PlacementProblem(
        load=random.permutation(load),
        size=np.ones(items, dtype=np.int64),
        traffic=load * random.choice([128.0, 256.0, 512.0, 1024.0], items),
        capacity=np.full(bins, int(np.ceil(items / bins / fill))),
        distance=1.0 + np.arange(bins) // side + np.arange(bins) % side,
    )


def exhaustive(problem: PlacementProblem) -> tuple[IntArray, FloatArray, FloatArray]:
    """All assignments within capacity: int64[k, n], with their bottlenecks and hops (float64[k])."""
    n, m = problem.n_items, problem.n_bins
    every = np.array(list(itertools.product(range(m), repeat=n)), dtype=np.int64).reshape(m**n, n)
    on = every[:, :, None] == np.arange(m)
    fits = np.all((on * problem.size[:, None]).sum(axis=1) <= problem.capacity, axis=1)
    bottleneck = (on * problem.load[:, None]).sum(axis=1).max(axis=1)
    hops = (problem.traffic * problem.distance[every]).sum(axis=1)
    return every[fits], bottleneck[fits], hops[fits]


@st.composite
def problems(draw: st.DrawFn, max_items: int, max_bins: int, roomy: bool = False) -> PlacementProblem:
    """Problems of any shape; loads and traffics are often zero or equal.

    With ``roomy`` everything fits: while an item is left over, some bin has room for the largest one.
    """
    n, m = draw(st.integers(0, max_items)), draw(st.integers(1, max_bins))
    level = st.one_of(st.integers(0, 4).map(float), st.floats(0, 1e6, allow_subnormal=False))

    def several(element: st.SearchStrategy[object], count: int) -> list[object]:
        return draw(st.lists(element, min_size=count, max_size=count))

    size = np.array(several(st.integers(1, 4), n), dtype=np.int64)
    least = -(-int(size.sum()) // m) + 4 if roomy else 0
    return PlacementProblem(
        load=np.array(several(level, n), dtype=np.float64),
        size=size,
        traffic=np.array(several(level, n), dtype=np.float64),
        capacity=least + np.array(several(st.integers(0, 8), m), dtype=np.int64),
        distance=np.array(several(st.integers(0, 3).map(float), m), dtype=np.float64),
    )
