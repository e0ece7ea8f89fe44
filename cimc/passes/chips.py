"""Tables to chips: the first level of placement where a system has several chips."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import InfeasibleError, Shortage
from cimc.passes.packing import Gang, first_fit_count
from cimc.passes.tables import Places
from cimc.target.spec import Target

Ints = NDArray[np.int64]
_NO_LINK = 1e12
"""Gb/s of a link that costs no time."""


@dataclass(frozen=True)
class ChipPlacement:
    """Chip of each place and each gang, and what a report says about it."""

    of_item: Ints
    of_gang: Ints
    facts: dict[str, Any]


def assign_chips(
    policy: str, places: Places, items: Ints, gangs: list[Gang], target: Target, seed: int
) -> ChipPlacement:
    """Chips of the places in ``items`` (those in crossbar cells), and of the gangs.

    Layers go to the first chip, and on to the next where it is full.  Then, by ``policy``:

    * ``load``: tables, the most loaded first, each whole to the least loaded chip with room; a table that no
      chip has room for is cut into runs of blocks, the largest run that fits somewhere first.  Loads are
      expected conversions.
    * ``solve``: tables whole, such that the slowest chip is as fast as possible, by
      :func:`cimc.mapping.chips.place_on_chips`: array time, and answers over the chip's link but for the
      first chip, where the layers are.  Tables of more than half a chip are cut into even runs before.
    * ``near``: blocks by traffic per cell column, the most first, to the first chip until it is full, then to
      the next: as little as possible crosses between chips.

    Raises:
        InfeasibleError: the arrays of all chips together are too few.
    """
    chips, of_gang = rooms(gangs, target)
    if policy == "solve":
        of_item, facts = _solved(places, items, chips, target, seed)
        return ChipPlacement(of_item, of_gang, facts)
    runs = _tables(places, items) if policy == "load" else [_densest(places, items)]
    of_item = np.zeros(len(items), np.int64)
    for run in runs:
        left = run
        while len(left):
            width = places.width[items[left]]
            chip = _least_loaded(chips, width) if policy == "load" else _first(chips, width)
            count = chips[chip].fits(width)
            if count == 0:
                raise _full(first_fit_count(places.width[items], target.array.cols), target)
            chips[chip].add(width[:count], float(places.load[items[left[:count]]].sum()))
            of_item[left[:count]] = chip
            left = left[count:]
    return ChipPlacement(of_item, of_gang, {})


def rooms(gangs: list[Gang], target: Target) -> tuple[list[ChipRoom], Ints]:
    """What each chip has left beside the layers, and the chip of each gang: the first with room.

    Raises:
        InfeasibleError: no chip has room for a gang.
    """
    chips = [ChipRoom(target) for _ in range(target.system.chips)]
    of_gang = np.zeros(len(gangs), np.int64)
    for g, gang in enumerate(gangs):
        chip = next((c for c, room in enumerate(chips) if room.free >= gang.count), None)
        if chip is None:
            raise _full(sum(g.count for g in gangs), target)
        chips[chip].free -= gang.count
        chips[chip].load += gang.load
        of_gang[g] = chip
    return chips, of_gang


def _solved(
    places: Places, items: Ints, chips: list[ChipRoom], target: Target, seed: int
) -> tuple[Ints, dict[str, Any]]:
    from cimc.mapping.chips import ChipProblem, place_on_chips

    half = max(chip.free for chip in chips) // 2
    pieces = [
        piece
        for run in _tables(places, items)
        for piece in np.array_split(run, max(-(-_arrays(places, items[run], target) // max(half, 1)), 1))
        if len(piece)
    ]
    steps = -(-places.width // target.array.columns_per_step)
    ns = places.uses * steps * float(target.array.step_ns)
    link = np.full(len(chips), float(target.chip.host_link_gbps))
    link[0] = _NO_LINK
    problem = ChipProblem(
        compute_ns=np.array([ns[items[piece]].sum() for piece in pieces]),
        traffic_bits=np.array([places.traffic[items[piece]].sum() for piece in pieces]),
        size=np.array([_arrays(places, items[piece], target) for piece in pieces], np.int64),
        capacity=np.array([chip.free for chip in chips], np.int64),
        link_bits_per_ns=link,
        labels=tuple(places.names[int(places.matrix[items[piece[0]]])] for piece in pieces),
    )
    solution = place_on_chips(problem, seed=seed)
    of_item = np.zeros(len(items), np.int64)
    for piece, chip in zip(pieces, solution.chips.tolist(), strict=True):
        of_item[piece] = chip
    return of_item, {
        "bottleneck_ns": solution.bottleneck_ns,
        "bound_ns": solution.bound_ns,
        "optimal": solution.optimal,
        "produced_by": solution.produced_by,
        "effort": dict(solution.effort),
    }


def _arrays(places: Places, items: Ints, target: Target) -> int:
    """Arrays that places take, those of one width together."""
    widths, counts = np.unique(places.width[items], return_counts=True)
    return int((-(-counts // (target.array.cols // widths))).sum())


def _tables(places: Places, items: Ints) -> list[Ints]:
    """Positions in ``items`` of each table's places, the most loaded table first."""
    table = places.matrix[items]
    load = np.bincount(table, places.load[items], len(places.names))
    order = np.lexsort((np.arange(len(load)), -load))
    return [np.flatnonzero(table == number) for number in order.tolist()]


def _densest(places: Places, items: Ints) -> Ints:
    """Positions in ``items``, those with the most traffic per cell column first."""
    return np.lexsort((items, -places.traffic[items] / places.width[items]))


def _least_loaded(chips: list[ChipRoom], width: Ints) -> int:
    """The least loaded chip with room for all of these blocks, else the one with room for the most."""
    ranked = sorted(range(len(chips)), key=lambda c: (chips[c].load, c))
    whole = next((c for c in ranked if chips[c].fits(width) == len(width)), None)
    return whole if whole is not None else max(ranked, key=lambda c: chips[c].fits(width))


def _first(chips: list[ChipRoom], width: Ints) -> int:
    """The first chip with room for any of these blocks."""
    return next((c for c, chip in enumerate(chips) if chip.fits(width[:1]) > 0), 0)


class ChipRoom:
    """Room of one chip: arrays not taken by layers, and the widths of the blocks on it."""

    def __init__(self, target: Target) -> None:
        self.cols = target.array.cols
        self.free = target.tiles_per_chip * target.tile.arrays
        self.load = 0.0
        self.held: Counter[int] = Counter()

    def _arrays(self, held: Counter[int]) -> int:
        """Arrays for so many blocks of each width, blocks of one width together: never too few."""
        return sum(-(-count // (self.cols // width)) for width, count in held.items())

    def fits(self, width: Ints) -> int:
        """How many of these blocks, from the first on, find room."""
        low, high = 0, 1
        while low < len(width):  # look no further than twice what fits: a full chip is asked often
            high = min(high, len(width))
            if not self._has_room(width[:high]):
                break
            low, high = high, 2 * high
        else:
            return low
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._has_room(width[:middle]) else (low, middle)
        return low

    def _has_room(self, width: Ints) -> bool:
        sizes, counts = np.unique(width, return_counts=True)
        more = Counter(dict(zip(sizes.tolist(), counts.tolist(), strict=True)))
        return self._arrays(self.held + more) <= self.free

    def add(self, width: Ints, load: float) -> None:
        """Take blocks of these widths and this load together."""
        self.held.update(width.tolist())
        self.load += load


def _full(demand: int, target: Target) -> InfeasibleError:
    return InfeasibleError(Shortage("crossbar storage", demand, target.n_arrays, "arrays"))
