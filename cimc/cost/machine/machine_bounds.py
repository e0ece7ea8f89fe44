"""What the whole machine could do with the work of a request, were it dealt out evenly.

A unit that every request needs bounds the throughput of a mapping; that bound goes away with a better
mapping.  These stay as long as a request does this work: all units of a kind together are busy for so long,
and what crosses a cut of the mesh crosses one of its links, whichever way it takes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from cimc.cost.machine_units import Unit
from cimc.support.shown import Shown
from cimc.target.spec import Target


@dataclass(frozen=True, repr=False)
class MachineBound(Shown):
    """A part of the machine that limits it.

    Attributes:
        name: what: ``all 64 vector units``, ``links from the ports of chip 0``.
        ns: time per request that it takes at least.
    """

    name: str
    ns: float

    def _brief(self) -> str:
        return f"{self.name}: {self.ns:.4g} ns a request"

    @property
    def throughput_rps(self) -> float:
        """Requests per second that no mapping of this work exceeds."""
        return 1e9 / self.ns


_NAMES = {
    "array": "arrays",
    "bus": "buses",
    "vector": "vector units",
    "router in": "router inputs",
    "router out": "router outputs",
    "table sram": "table SRAMs",
    "dram": "DRAMs",
    "host link": "host links",
    "link": "mesh links",
}


def machine_bounds(busy: Mapping[Unit, float], target: Target) -> tuple[MachineBound, ...]:
    """Bounds by kind of unit and by cut of the mesh, the tightest first; ``busy``: ns per request."""
    totals: dict[str, float] = defaultdict(float)
    for unit, ns in busy.items():
        totals[unit.kind] += ns
    have = _counts(target)
    found = []
    for kind, ns in totals.items():
        count, name = have[kind], _NAMES[kind]
        found.append(MachineBound(f"all {count} {name}" if count > 1 else f"the {name[:-1]}", ns / count))
    found += _cuts(busy, target)
    return tuple(sorted((b for b in found if b.ns > 0), key=lambda b: (-b.ns, b.name)))


def _counts(target: Target) -> dict[str, int]:
    """How many units of each kind there are."""
    width, height = target.chip.mesh
    links = 2 * ((width - 1) * height + width * (height - 1)) * target.system.chips
    tiles, chips = target.n_tiles, target.system.chips
    per_tile = dict.fromkeys(("bus", "vector", "router in", "router out", "table sram"), tiles)
    return {**per_tile, "array": target.n_arrays, "dram": chips, "host link": chips, "link": max(links, 1)}


def _cuts(busy: Mapping[Unit, float], target: Target) -> list[MachineBound]:
    """Between columns, between rows, and round the ports, in either direction."""
    width, height = target.chip.mesh
    ports = set(target.chip.ports)
    crossing: dict[str, float] = defaultdict(float)
    size: dict[str, int] = {}
    for unit, ns in busy.items():
        if unit.kind != "link":
            continue
        chip, x, y = target.coordinates(unit.place)
        _, to_x, to_y = target.coordinates(unit.number)
        if x != to_x:
            name, links = f"links from column {x} to {to_x} of chip {chip}", height
        else:
            name, links = f"links from row {y} to {to_y} of chip {chip}", width
        crossing[name] += ns
        size[name] = links
        if ((x, y) in ports) != ((to_x, to_y) in ports):
            out = (x, y) in ports
            name = f"links {'from' if out else 'to'} the ports of chip {chip}"
            crossing[name] += ns
            size[name] = _round(ports, width, height)
    return [MachineBound(name, ns / size[name]) for name, ns in crossing.items()]


def _round(ports: set[tuple[int, int]], width: int, height: int) -> int:
    """Links that lead from the tiles of ports to others."""
    count = 0
    for x, y in ports:
        for other in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
            inside = 0 <= other[0] < width and 0 <= other[1] < height
            count += inside and other not in ports
    return count
