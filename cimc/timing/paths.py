"""Ways of messages over the machine, as chains of units."""

from __future__ import annotations

from typing import NamedTuple

from cimc.cost.machine_units import Unit, route
from cimc.target.spec import Target


class Hop(NamedTuple):
    """A unit on the way, its rate in Gb/s (bits per ns), and the ns until the head reaches the next one."""

    unit: Unit
    rate: float
    after: float


def mesh(target: Target, source: int, dest: int) -> list[Hop]:
    """The links between two tiles of one chip, X first, then Y."""
    rate, hop = float(target.tile.link_gbps), float(target.tile.hop_ns)
    return [Hop(link, rate, hop) for link in route(target, source, dest)]


def between(target: Target, source: int, dest: int) -> list[Hop]:
    """From the router output of a tile to the router input of another; by both ports between chips."""
    rate = float(target.tile.link_gbps)
    first, last = Hop(Unit("router out", source), rate, 0.0), Hop(Unit("router in", dest), rate, 0.0)
    if not target.crosses_chips(source, dest):
        return [first, *mesh(target, source, dest), last]
    here, there = (target.coordinates(tile)[0] for tile in (source, dest))
    link, crossing = float(target.chip.host_link_gbps), float(target.chip.host_link_ns)
    return [
        first,
        *mesh(target, source, target.gate(source)),
        Hop(Unit("host link", here), link, crossing),
        Hop(Unit("host link", there), link, 0.0),
        *mesh(target, target.gate(dest), dest),
        last,
    ]


def from_host(target: Target, gate: int, tile: int) -> list[Hop]:
    """From the host, by way of the port at tile ``gate``, to the router input of a tile."""
    chip = target.coordinates(tile)[0]
    link, crossing = float(target.chip.host_link_gbps), float(target.chip.host_link_ns)
    inside = mesh(target, gate, tile)
    end = Hop(Unit("router in", tile), float(target.tile.link_gbps), 0.0)
    return [Hop(Unit("host link", chip), link, crossing), *inside, end]


def to_host(target: Target, gate: int, tile: int) -> list[Hop]:
    """From the router output of a tile, by way of the port at tile ``gate``, to the host."""
    chip = target.coordinates(tile)[0]
    link, crossing = float(target.chip.host_link_gbps), float(target.chip.host_link_ns)
    begin = Hop(Unit("router out", tile), float(target.tile.link_gbps), 0.0)
    inside = mesh(target, tile, gate)
    return [begin, *inside, Hop(Unit("host link", chip), link, crossing)]
