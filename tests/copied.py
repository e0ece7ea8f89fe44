"""Programs whose tiles exist several times, made from programs without copies: apart from any pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cimc.ir.cim import ARRAY, TILE
from cimc.isa.directory import places_of
from cimc.isa.program import ChipSegment, CopyGroup, Program
from cimc.target.spec import Target


def copied(program: Program, target: Target, count: Mapping[int, int] | int) -> Program:
    """``program`` with further instances of its tiles: ``count`` in all of each, or of each tile named.

    Tiles of one count are a group.  Instances go to tiles from the last one down that have no stream, their
    layers to the arrays that are free there.
    """
    streams = sorted({tile for segment in program.chip_segments for tile in segment.streams})
    wanted = {tile: count if isinstance(count, int) else count.get(tile, 1) for tile in streams}
    used: dict[int, set[int]] = defaultdict(set)
    for matrix in program.matrices:
        for tile, array in places_of(program, matrix)[:, (TILE, ARRAY)].tolist():
            used[tile].add(array)
    needed: dict[int, set[int]] = defaultdict(set)
    for matrix in program.matrices:
        if matrix.kind == "dense":
            for tile, array in program.data[f"{matrix.name}.blocks"][:, (TILE, ARRAY)].tolist():
                needed[tile].add(array)
    free = [tile for tile in reversed(range(target.n_tiles)) if tile not in streams]
    places = {tile: [tile] for tile in streams}
    array_at: dict[tuple[int, int, int], int] = {}
    for tile in streams:
        for instance in range(1, wanted[tile]):
            room = next(t for t in free if target.tile.arrays - len(used[t]) >= len(needed[tile]))
            free.remove(room)
            places[tile].append(room)
            rest = [a for a in range(target.tile.arrays) if a not in used[room]]
            for array, new in zip(sorted(needed[tile]), rest, strict=False):
                array_at[tile, instance, array] = new
    data = dict(program.data)
    for matrix in program.matrices:
        if matrix.kind == "dense":
            rows = [
                (block, places[tile][instance], array_at[tile, instance, array], offset)
                for block, (tile, array, offset) in enumerate(
                    data[f"{matrix.name}.blocks"][:, TILE:].tolist()
                )
                for instance in range(1, wanted[tile])
            ]
            if rows:
                data[f"{matrix.name}.replicas"] = np.array(rows, np.int32)
    segments = []
    for segment in program.segments:
        if isinstance(segment, ChipSegment):
            groups = []
            for number in sorted(set(wanted.values()) - {1}):
                mine = [tile for tile in sorted(segment.streams) if wanted[tile] == number]
                if mine:
                    instances = tuple(tuple(places[t][r] for t in mine) for r in range(number))
                    groups.append(CopyGroup(instances))
            segment = replace(segment, copies=tuple(groups))
        segments.append(segment)
    return replace(program, segments=tuple(segments), data=data)
