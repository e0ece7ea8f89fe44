"""Placement of a dense part that exists several times: its instances, and tables round those that read them.

Request ``k`` uses instance ``k mod R`` and of a block with ``P`` places number ``k mod P``: a place meets the
instances whose numbers agree with its own modulo the greatest common divisor of the two.  With one place an
instance each has the block at hand; with one place a chip each chip has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heapreplace

import numpy as np
from numpy.typing import NDArray

from cimc.errors import InfeasibleError, Shortage
from cimc.target.spec import Target
from cimc.transforms.place.pack_arrays import ArrayGroup, Packing, pack
from cimc.transforms.place.shard_list import Places
from cimc.transforms.place.zones import zones

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_CROSSING = 16.0
"""Mesh hops that a bit between two chips counts for."""
_CROWD = 1.0
"""Hops that a bit may go further to a tile without traffic than to one with the mean traffic."""


@dataclass(frozen=True)
class Instances:
    """Tiles of each instance ``[R, n]``, the one (0..n-1) of each array group, and the tile of each array of
    tables."""

    tiles: Ints
    slot: Ints
    table: Ints


def pack_by_turn(
    places: Places, items: Ints, target: Target, strategy: str, array_slack: float, seed: int
) -> tuple[Packing, list[tuple[int, int]]]:
    """Places ``items`` in arrays whose blocks all have as many places, and are in turn together.

    Returns:
        The packing, and of each array how many places its blocks have and which of them these are.
    """
    block = places.block[items]
    count = np.bincount(block)[block]
    order = np.argsort(block, kind="stable")  # copies follow their block
    number = np.zeros(len(items), np.int64)
    ranked = block[order]
    number[order] = np.arange(len(items)) - np.searchsorted(ranked, ranked)
    parts: list[Packing] = []
    turns: list[tuple[int, int]] = []
    for places_of in np.unique(count).tolist():
        first: Packing | None = None
        for turn in range(places_of):
            mine = items[(count == places_of) & (number == turn)]
            if first is None:
                first = pack(places, mine, target, strategy, array_slack, seed, copies=False)
            # what comes in turn is the same blocks in the same order
            parts.append(replace(first, items=mine))
            turns += [(places_of, turn)] * first.arrays
    return Packing.joined(parts, chip=False), turns


def place_instances(
    count: int,
    tiles: int,
    groups: list[ArrayGroup],
    traffic: Floats,
    turns: list[tuple[int, int]],
    target: Target,
) -> Instances:
    """Places of everything.

    Args:
        count: R; tiles: least number of an instance.
        groups: array groups of one instance, in the order of the function.
        traffic: bits per request to and from each array of tables.
        turns: of each of these, as :func:`pack_by_turn` says.
        target: the machine.

    Raises:
        InfeasibleError: not enough tiles or arrays.
    """
    slot, needed = _slots(groups, target.tile.arrays, tiles)
    where = zones(target, count, needed)
    capacity = np.full(target.n_tiles, target.tile.arrays)
    for number, group in zip(slot.tolist(), groups, strict=True):
        capacity[where[:, number]] -= group.count
    if len(traffic) > capacity.sum():
        most = target.n_arrays
        raise InfeasibleError(
            Shortage("arrays", most - int(capacity.sum()) + len(traffic), most, "arrays", ("fewer copies",))
        )
    return Instances(where, slot, _near(traffic, turns, where, capacity, target))


def _slots(groups: list[ArrayGroup], arrays: int, tiles: int) -> tuple[Ints, int]:
    """The tile of each group within an instance of at least ``tiles``, and how many it has.

    In order, so that what follows each other shares a tile; as many arrays on each as the first can take.
    """
    quota = arrays
    if tiles > 1:
        fair = -(-sum(g.count for g in groups) // tiles)
        quota = min(arrays, max(fair, *(g.count for g in groups), 0))
    slot, number, used = [], 0, 0
    for group in groups:
        if group.count > arrays:
            raise InfeasibleError(
                Shortage("arrays in one bin", group.count, arrays, "arrays"), subject=group.matrix
            )
        if used + group.count > quota:
            number, used = number + 1, 0
        slot.append(number)
        used += group.count
    return np.array(slot, np.int64), max(number + 1, tiles)


def _near(traffic: Floats, turns: list[tuple[int, int]], where: Ints, capacity: Ints, target: Target) -> Ints:
    """A tile for each array of tables: the busiest first, each near the instances that read it.

    Where tiles nearby have much traffic already, one further away is taken.
    """
    hops = _hops_to(where, target)
    mean = max(float(traffic.sum()) / target.n_tiles, 1e-9)
    load, room = [0.0] * target.n_tiles, capacity.tolist()
    nearest: dict[tuple[int, int], list[tuple[float, int]]] = {}
    far: dict[tuple[int, int], list[float]] = {}
    found = np.zeros(len(traffic), np.int64)
    for array in np.argsort(-traffic, kind="stable").tolist():
        places, turn = turns[array]
        common = math.gcd(places, len(where))
        key = (common, turn % common)
        if key not in far:
            far[key] = hops[key[1] :: common].mean(axis=0).tolist()
            nearest[key] = [(cost, tile) for tile, cost in enumerate(far[key]) if room[tile]]
            heapify(nearest[key])
        heap = nearest[key]
        while True:  # tiles only grow fuller, so that what a heap says of one is the least it can cost
            cost, tile = heap[0]
            now = far[key][tile] + _CROWD * load[tile] / mean
            if not room[tile]:
                heappop(heap)
            elif now > cost:
                heapreplace(heap, (now, tile))
            else:
                break
        found[array] = tile
        room[tile] -= 1
        load[tile] += float(traffic[array])
    return found


def _hops_to(where: Ints, target: Target) -> Floats:
    """Mesh hops from the middle of each instance to each tile, float64 ``[R, tiles]``."""
    chip, local = np.divmod(np.arange(target.n_tiles), target.tiles_per_chip)
    y, x = np.divmod(local, target.chip.mesh[0])
    to_port = np.array([target.port_hops(tile) for tile in range(target.n_tiles)])
    home = where[:, 0]
    inside = np.abs(x - x[home][:, None]) + np.abs(y - y[home][:, None])
    across = to_port + to_port[home][:, None] + _CROSSING
    found: Floats = np.where(chip == chip[home][:, None], inside, across).astype(np.float64)
    return found
