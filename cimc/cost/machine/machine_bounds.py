"""What the whole machine could do with the work of a request, were it dealt out evenly.

A unit that every request needs bounds the throughput of a mapping; that bound goes away with a better
mapping.  These stay as long as a request does this work: all units of a kind together are busy for so long,
and what crosses a cut of the mesh crosses one of its links, whichever way it takes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cimc.cost.machine_units import Unit
from cimc.support.shown import Shown
from cimc.target.spec import Target

if TYPE_CHECKING:
    from cimc.target.machine_graph import MachineGraph


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
    graph = target.graph(chips=1)
    have = _counts(target, graph)
    found = []
    for kind, ns in totals.items():
        count, name = have[kind], _NAMES[kind]
        found.append(MachineBound(f"all {count} {name}" if count > 1 else f"the {name[:-1]}", ns / count))
    found += _cuts(busy, target, graph)
    return tuple(sorted((b for b in found if b.ns > 0), key=lambda b: (-b.ns, b.name)))


def _counts(target: Target, graph: MachineGraph) -> dict[str, int]:
    """How many units of each kind there are; ``graph``: of one chip."""
    links = sum(kind == "link" for _, _, kind in graph.edges(data="kind")) * target.system.chips
    tiles, chips = target.n_tiles, target.system.chips
    per_tile = dict.fromkeys(("bus", "vector", "router in", "router out", "table sram"), tiles)
    return {**per_tile, "array": target.n_arrays, "dram": chips, "host link": chips, "link": max(links, 1)}


def _cuts(busy: Mapping[Unit, float], target: Target, graph: MachineGraph) -> list[MachineBound]:
    """Bounds by cuts of each chip's mesh, in either direction; ``graph``: of one chip."""
    per_chip: dict[int, dict[tuple[str, str], float]] = {}
    for unit, ns in busy.items():
        if unit.kind == "link":
            chip, first = divmod(unit.place, target.tiles_per_chip)
            edge = f"router {first}", f"router {unit.number % target.tiles_per_chip}"
            per_chip.setdefault(chip, {})[edge] = ns
    found = []
    for name, links in cuts(graph):
        for chip, crossing in per_chip.items():
            ns = sum(crossing.get(link, 0.0) for link in links)
            if links:
                found.append(MachineBound(f"{name} of chip {chip}", ns / len(links)))
    return found


def cuts(graph: MachineGraph) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Sets of mesh links without which one part of a chip does not reach another, each with its name.

    Between columns, between rows, and round the tiles of the ports, in either direction.
    """
    width, height = graph.graph["mesh"]
    for name, axis, size in (("column", "x", width), ("row", "y", height)):
        for at in range(size - 1):
            low = {n for n, where in graph.nodes(data=axis) if where is not None and where <= at}
            out, back = _boundary(graph, low)
            yield f"links from {name} {at} to {at + 1}", out
            yield f"links from {name} {at + 1} to {at}", back
    gates = {n for n, kind in graph.nodes(data="kind") if kind == "router" and "chip 0 in" in graph.pred[n]}
    out, back = _boundary(graph, gates)
    yield "links from the ports", out
    yield "links to the ports", back


def _boundary(graph: MachineGraph, side: set[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Mesh links that leave a set of nodes, and those that enter it."""
    links = [
        (a, b) for a, b, kind in graph.edges(data="kind") if kind == "link" and (a in side) != (b in side)
    ]
    return [e for e in links if e[0] in side], [e for e in links if e[1] in side]


def links_round_ports(target: Target) -> int:
    """Links of a chip that lead from the tiles of ports to others, in one direction."""
    return len(dict(cuts(target.graph(chips=1)))["links from the ports"])
