"""Copies of a block go to different tiles: exchanges of whole arrays after their placement."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from cimc.transforms.place.pack_arrays import Packing
from cimc.transforms.place.shard_list import Places

Ints = NDArray[np.int64]


def spread_copies(
    assignment: Ints,
    load: NDArray[np.float64],
    size: Ints,
    capacity: Ints,
    places: Places,
    packing: Packing,
) -> tuple[Ints, int]:
    """``assignment`` (item -> tile) with arrays of copies moved off the tiles of their blocks.

    The first ``packing.arrays`` items are arrays of tables, of size 1.  An array that shares a block with
    another one of its tile goes to a tile with room, or changes places with an array of a table there, such
    that neither meets a block of its own; of those tiles it takes the one that is least loaded afterwards.

    Returns:
        The new assignment, and the pairs of copies that still share a tile (more copies than tiles, say).
    """
    tile = assignment.copy()
    arrays = packing.arrays
    blocks: list[set[int]] = [set() for _ in range(arrays)]
    copied = np.bincount(places.block)[places.block] > 1
    for item, array in zip(packing.items.tolist(), packing.array.tolist(), strict=True):
        if copied[item]:
            blocks[array].add(int(places.block[item]))
    on: dict[int, list[int]] = defaultdict(list)
    for array in range(arrays):
        on[int(tile[array])].append(array)
    total = np.bincount(tile, load, len(capacity))
    room = capacity - np.bincount(tile, size, len(capacity)).astype(np.int64)

    def meets(array: int, where: int, without: int = -1) -> bool:
        return any(
            other not in (array, without) and not blocks[array].isdisjoint(blocks[other])
            for other in on[where]
        )

    def move(array: int, where: int) -> None:
        old = int(tile[array])
        on[old].remove(array)
        on[where].append(array)
        tile[array] = where
        total[old] -= load[array]
        total[where] += load[array]
        room[old] += 1
        room[where] -= 1

    for array in reversed(range(arrays)):  # arrays of copies first: blocks move only where that is not enough
        here = int(tile[array])
        if not blocks[array] or not meets(array, here):
            continue
        best: tuple[float, int, int] | None = None
        for there in np.flatnonzero(capacity > 0).tolist():
            if there == here:
                continue
            if room[there] > 0 and not meets(array, there):
                found = (float(total[there] + load[array]), there, -1)
                best = found if best is None else min(best, found)
            for other in on[there]:
                if meets(array, there, other) or meets(other, here, array):
                    continue
                after = max(
                    float(total[there] + load[array] - load[other]),
                    float(total[here] - load[array] + load[other]),
                )
                best = (after, there, other) if best is None else min(best, (after, there, other))
        if best is not None:
            _, there, other = best
            move(array, there)
            if other >= 0:
                move(other, here)
    together = sum(
        len(blocks[a] & blocks[b]) for held in on.values() for n, a in enumerate(held) for b in held[:n]
    )
    return tile, together
