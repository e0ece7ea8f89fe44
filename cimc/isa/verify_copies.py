"""Are the copy groups of a segment legal?  Tiles, counts, and the copies of the layers that they drive."""

from __future__ import annotations

from cimc.errors import printable
from cimc.ir.cim import TILE
from cimc.isa.directory import blocks_at
from cimc.isa.instructions import Instr
from cimc.isa.program import ChipSegment, Program
from cimc.target.spec import Target

MAX_PERIOD = 1024
"""Requests after which all instances of a program are used alike again."""


def wrong_copies(segment: ChipSegment, program: Program, target: Target) -> str:
    """What is wrong with the copy groups of a segment, or nothing."""
    named: list[int] = []
    for group in segment.copies:
        if group.count < 2 or not group.tiles:
            return "a copy group has at least one tile and two instances"
        if any(len(tiles) != len(group.tiles) for tiles in group.instances):
            return "the instances of a copy group have the same number of tiles"
        if any(not 0 <= tile < target.n_tiles for tiles in group.instances for tile in tiles):
            return f"a copy group names tiles that the target of {target.n_tiles} tiles does not have"
        named += group.tiles
    if len(set(named)) != len(named) or not set(named) <= set(segment.streams):
        return "a tile of a copy group has no stream, or is in two groups"
    taken = {place for tile in segment.streams for place in segment.places(tile)}
    if len(taken) != sum(len(segment.places(tile)) for tile in segment.streams):
        return "two streams, or two instances, are on one tile"
    if program.period > MAX_PERIOD:  # of all segments: timing has a template for every turn
        return f"instances come round after more than {MAX_PERIOD} requests"
    for tile, stream in segment.streams.items():
        why = _wrong_layers(segment, tile, stream, program)
        if why:
            return why
    return ""


def _wrong_layers(segment: ChipSegment, tile: int, stream: tuple[Instr, ...], program: Program) -> str:
    """Every instance of a stream has the blocks of its ``mvm`` on its own tile."""
    places = segment.places(tile)
    used: dict[str, set[int]] = {}
    loop = 1
    for item in stream:
        if item.name == "loop":
            loop = max(item.number("count"), 1)
        elif item.name == "end":
            loop = 1
        elif item.name == "mvm":
            first, count = item.number("first"), item.number("count")
            for i in range(loop if item.index("matrix").stride else 1):
                number = item.index("matrix").at(i)
                if 0 <= number < len(program.matrices):  # operands are checked after this
                    used.setdefault(program.matrices[number].name, set()).update(range(first, first + count))
    for matrix in program.matrices:
        if matrix.name not in used:
            continue
        total = len(program.data[f"{matrix.name}.blocks"])
        mine = sorted(block for block in used[matrix.name] if block < total)
        replicas = program.data.get(f"{matrix.name}.replicas")
        copies = [0] * total
        if replicas is not None:
            for block in replicas[:, 0].tolist():
                copies[block] += 1
        if any(copies[block] != len(places) - 1 for block in mine):
            name = printable(matrix.name)
            return f"tile {tile} runs in {len(places)} instances, a block of {name} on it does not"
        for turn, place in enumerate(places[1:], 1):
            if (blocks_at(program, matrix, turn)[mine, TILE] != place).any():
                return f"instance {turn} of tile {tile} has a block of {printable(matrix.name)} elsewhere"
    return ""
