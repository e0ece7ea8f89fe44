"""Where rows of tables that are not in crossbar cells go: a tile's SRAM, a chip's DRAM."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cimc.ir.residence import Residence
from cimc.mapping import PlacementProblem, solve
from cimc.target.spec import Target
from cimc.transforms.place.pack_arrays import first_fit_count, largest
from cimc.transforms.place.shard_list import Places

Ints = NDArray[np.int64]
Fits = Callable[[Ints], bool]
"""Whether items of these sizes fit one chip."""


def place_in_sram(
    places: Places, distance: NDArray[np.float64], target: Target, near: bool, seed: int
) -> tuple[Ints, Ints]:
    """Positions of the places in SRAM, and the tile of each.

    Loads are bits moved per request, balanced over tiles.  With ``near`` the first chip takes those with the
    most traffic per byte, then the next; else, and where that leaves gaps that are needed, all tiles share.
    """
    items = places.where(Residence.SRAM)
    tiles = np.zeros(len(items), np.int64)
    capacity, per_chip = target.tile.table_sram_bytes, target.tiles_per_chip

    def fits(sizes: Ints) -> bool:
        return first_fit_count(sizes, capacity) <= per_chip

    parts, bins = [np.arange(len(items))], [np.arange(target.n_tiles)]
    if near and target.system.chips > 1:
        runs = _runs(places, items, target.system.chips, fits)
        if fits(places.nbytes[items[runs[-1]]]):  # else the last gaps are needed, wherever they are
            parts = runs
            bins = [np.arange(c * per_chip, (c + 1) * per_chip) for c in range(len(runs))]
    for mine, on in zip(parts, bins, strict=True):
        if len(mine):
            problem = PlacementProblem(
                load=places.traffic[items[mine]],
                size=places.nbytes[items[mine]],
                traffic=places.traffic[items[mine]],
                capacity=np.full(len(on), capacity),
                distance=distance[on],
                item_unit="bytes",
                resource="table SRAM",
            )
            tiles[mine] = on[solve(problem, "greedy", seed=seed).assignment]
    return items, tiles


def place_in_dram(places: Places, target: Target, near: bool, seed: int) -> tuple[Ints, Ints]:
    """Positions of the places in DRAM, and the chip of each; ``near`` as in :func:`place_in_sram`."""
    items = places.where(Residence.DRAM)
    if not len(items) or target.system.chips == 1:
        return items, np.zeros(len(items), np.int64)

    def fits(sizes: Ints) -> bool:
        return int(sizes.sum()) <= target.chip.dram_bytes

    runs = _runs(places, items, target.system.chips, fits) if near else []
    if runs and fits(places.nbytes[items[runs[-1]]]):
        chips = np.zeros(len(items), np.int64)
        for chip, mine in enumerate(runs):
            chips[mine] = chip
        return items, chips
    problem = PlacementProblem(
        load=places.traffic[items],
        size=places.nbytes[items],
        traffic=places.traffic[items],
        capacity=np.full(target.system.chips, target.chip.dram_bytes),
        distance=np.zeros(target.system.chips),
        item_unit="bytes",
        resource="DRAM",
    )
    return items, solve(problem, "greedy", seed=seed).assignment


def _runs(places: Places, items: Ints, chips: int, fits: Fits) -> list[Ints]:
    """Positions in ``items`` for each chip: most traffic per byte first, each chip filled in turn.

    What no chip has room for goes to the last one.
    """
    order = np.lexsort((items, -places.traffic[items] / places.nbytes[items]))
    runs = []
    for _ in range(chips - 1):
        sizes = places.nbytes[items[order]]
        count = _most(sizes, fits)
        runs.append(order[:count])
        order = order[count:]
    return [*runs, order]


def _most(sizes: Ints, fits: Fits) -> int:
    """How many of these items, from the first on, fit."""
    return largest(len(sizes), lambda count: bool(fits(sizes[:count])))
