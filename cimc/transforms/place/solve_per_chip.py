"""One placement problem solved in parts: items with a tile already, items of each chip, the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimc.errors import InfeasibleError
from cimc.mapping import PlacementProblem, solve
from cimc.target.spec import Target

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Placed:
    """Tile of every item, the methods that gave them, and the sums of their effort."""

    tiles: Ints
    produced_by: str
    effort: dict[str, int | float]


def solve_parts(
    problem: PlacementProblem,
    chip: Ints,
    fixed: Ints,
    target: Target,
    strategy: str,
    seed: int,
    **options: int | float | str,
) -> Placed:
    """Place the items of ``problem``, whose bins are all tiles of ``target``.

    Args:
        problem: the problem.
        chip: the chip of each item, -1 for any; either all items are free of one, or none is.
        fixed: the tile of each item that has one already, -1 for the others.
        target: the machine.
        strategy, seed, options: as for :func:`cimc.mapping.assignment.solve`.

    Tiles with fixed items take others only where the rest of their chip is too small.

    Raises:
        InfeasibleError: an item finds no room.
    """
    tiles = fixed.copy()
    held = np.zeros(target.n_tiles, np.int64)
    np.add.at(held, fixed[fixed >= 0], problem.size[fixed >= 0])
    names: list[str] = []
    effort: dict[str, int | float] = {}
    for number in np.unique(chip[fixed < 0]).tolist():
        items = np.flatnonzero((chip == number) & (fixed < 0))
        bins = np.arange(target.n_tiles)
        if number >= 0:
            bins = bins[number * target.tiles_per_chip : (number + 1) * target.tiles_per_chip]
        free = problem.capacity[bins] - held[bins]
        apart = np.where(held[bins] > 0, 0, free)
        tries = [apart, free] if (held[bins] > 0).any() else [free]
        for capacity in tries:
            part = PlacementProblem(
                load=problem.load[items],
                size=problem.size[items],
                traffic=problem.traffic[items],
                capacity=capacity,
                distance=problem.distance[bins],
                item_unit=problem.item_unit,
                resource=problem.resource,
                labels=tuple(problem.labels[i] for i in items.tolist()) if problem.labels else (),
            )
            try:
                solution = solve(part, strategy, seed=seed, **options)
            except InfeasibleError:
                if capacity is tries[-1]:
                    raise
                continue
            break
        tiles[items] = bins[solution.assignment]
        names += [solution.produced_by] if solution.produced_by not in names else []
        for what, count in solution.effort.items():
            effort[what] = effort.get(what, 0) + count
    return Placed(tiles, "; ".join(names) or "nothing to place", effort)
