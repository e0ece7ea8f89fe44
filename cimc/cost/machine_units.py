"""The units of the machine that can be busy, their names, and the way a message takes over the mesh."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from cimc.ir.cim import ARRAY, TILE
from cimc.ir.residence import Residence, residence_of
from cimc.isa.directory import places_of
from cimc.isa.program import Program
from cimc.target.routes import x_first
from cimc.target.spec import Target

if TYPE_CHECKING:
    from cimc.target.machine_graph import MachineGraph


class Unit(NamedTuple):
    """Something that does one thing at a time.

    ``kind``: ``host link``, ``dram`` (``place`` = chip), ``vector``, ``bus``, ``table sram``, ``router in``,
    ``router out`` (``place`` = tile), ``array`` (``number`` within tile ``place``) or ``link`` (mesh link
    from tile ``place`` to its neighbour ``number``).  In a timeline, ``stream`` (``place`` =
    tile) marks an instruction as a whole.
    """

    kind: str
    place: int
    number: int = 0


KINDS: dict[str, tuple[str, ...]] = {
    "array": ("array.step_ns",),
    "bus": ("tile.bus_gbps",),
    "vector": ("tile.vector_op_ns",),
    "router in": ("tile.link_gbps", "tile.hop_ns"),
    "router out": ("tile.link_gbps", "tile.hop_ns"),
    "link": ("tile.link_gbps", "tile.hop_ns"),
    "table sram": ("tile.table_sram_ns",),
    "dram": ("chip.dram_gbps", "chip.dram_ns"),
    "host link": ("chip.host_link_gbps", "chip.host_link_ns"),
}
"""Kinds of unit and the target constants that set how long each is busy."""

_IN_TILE = {
    "vector": "vector unit",
    "table sram": "table SRAM",
    "bus": "bus",
    "router in": "router input",
    "router out": "router output",
    "stream": "instructions",
}

Contents = dict[tuple[int, int], list[str]]


def contents(program: Program) -> Contents:
    """What is programmed into each array: (tile, array) -> ``layer NAME``, ``table NAME``, ..."""
    found: Contents = defaultdict(list)
    for matrix in program.matrices:
        kind = "layer" if matrix.kind == "dense" else matrix.kind
        places = places_of(program, matrix)
        cells = places[residence_of(places) == int(Residence.RRAM)]
        for tile, array in sorted(set(map(tuple, cells[:, (TILE, ARRAY)].tolist()))):
            found[tile, array].append(f"{kind} {matrix.name}")
    return dict(found)


def label(unit: Unit, held: Contents) -> str:
    """Name of a unit for people: ``array 2 of tile 5 (table t0)``."""
    if unit.kind == "array":
        names = held.get((unit.place, unit.number), [])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        shown = f" ({', '.join(names[:3])}{more})" if names else ""
        return f"array {unit.number} of tile {unit.place}{shown}"
    if unit.kind == "dram":
        return f"DRAM of chip {unit.place}"
    if unit.kind == "host link":
        return f"host link of chip {unit.place}"
    if unit.kind == "link":
        return f"mesh link from tile {unit.place} to tile {unit.number}"
    return f"tile {unit.place} {_IN_TILE[unit.kind]}"


def route(target: Target, source: int, dest: int) -> list[Unit]:
    """Mesh links from tile to tile, X first, then Y; between chips by way of the ports that both use."""
    chip_s, x, y = target.coordinates(source)
    chip_d, x_d, y_d = target.coordinates(dest)
    if chip_s != chip_d:
        return route(target, source, target.gate(source)) + route(target, target.gate(dest), dest)
    first, width = chip_s * target.tiles_per_chip, target.chip.mesh[0]
    tiles = [first + at_y * width + at_x for at_x, at_y in x_first((x, y), (x_d, y_d))]
    return [Unit("link", at, after) for at, after in pairwise(tiles)]


def edges(unit: Unit, graph: MachineGraph) -> list[tuple[str, str]]:
    """The edges of the machine's graph that a unit stands for; none for what lies within a tile.

    Two for a host link, which both directions share.
    """
    place = unit.place
    if unit.kind == "link":
        return [(f"router {place}", f"router {unit.number}")]
    if unit.kind == "host link":
        return [(f"chip {place} out", "network"), ("network", f"chip {place} in")]
    if unit.kind == "dram":
        return [(f"dram {place}", each) for each in graph.successors(f"dram {place}")]
    ends = {
        "router in": (f"router {place}", f"tile {place}"),
        "router out": (f"tile {place}", f"router {place}"),
    }
    return [ends[unit.kind]] if unit.kind in ends else []
