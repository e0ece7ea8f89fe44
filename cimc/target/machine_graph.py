"""The machine as a graph of networkx: what there is, what is joined to what, and how fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

from cimc.support.shown import Shown, counted
from cimc.target.ports import Position
from cimc.target.routes import nearest, x_first


@dataclass(frozen=True)
class Way:
    """What an edge carries: Gb/s at most, ns until the head of a message has passed, pJ for each bit."""

    gbps: float
    ns: float
    pj_per_bit: float


class MachineGraph(Shown, nx.DiGraph):  # type: ignore[misc]  # networkx has no types
    """A machine; see :func:`machine_graph`.  Everything that takes a ``networkx.DiGraph`` takes it."""

    def _brief(self) -> str:
        nodes, edges = counted(len(self), "node"), counted(self.size(), "edge")
        return f"of {self.graph.get('target', 'nothing')}: {nodes}, {edges}"

    def route(self, source: str, dest: str, port: int | None = None) -> list[str]:
        """The nodes that a message from ``source`` to ``dest`` passes, both included.

        Over the mesh X first, then Y, as the simulator takes it.  To and from the host by ``port`` of the
        chip (if absent, the one nearest to the tile); between chips by the nearest port of either tile.

        Args:
            source, dest: ``host``, or a tile (``tile 3``), or a memory (``dram 0``).
            port: number of the port.

        Raises:
            KeyError: for a node or port that the machine does not have, or a node that sends nothing.
        """
        if source == dest:
            return [source]
        start, stop = self._tile_of(source), self._tile_of(dest)
        if None not in (start, stop) and self._chip(start) == self._chip(stop):
            way = [f"tile {start}"]
            if start != stop:
                way += [*self._mesh(start, stop), f"tile {stop}"]
        else:
            asked = port if None in (start, stop) else None
            way = ["network"]
            if start is not None:
                out = self._mesh(start, self._gate(start, asked))
                way = [f"tile {start}", *out, f"chip {self._chip(start)} out", *way]
            if stop is not None:
                back = self._mesh(self._gate(stop, asked), stop)
                way = [*way, f"chip {self._chip(stop)} in", *back, f"tile {stop}"]
        before = [] if source == way[0] else [source]
        return [*before, *way] if dest == way[-1] else [*before, *way, dest]

    def _tile_of(self, name: str) -> int | None:
        """The tile whose router a node uses; ``None`` for the host."""
        node = self.nodes[name]
        if node["kind"] == "dram":
            return self._tile_of(next(self.successors(name)))
        if node["kind"] not in ("host", "tile"):
            raise KeyError(f"{name} sends and takes no messages")
        return None if name == "host" else int(node["tile"])

    def _chip(self, tile: int | None) -> int:
        chip: int = self.nodes[f"tile {tile}"]["chip"]
        return chip

    def _gate(self, tile: int, port: int | None) -> int:
        """The tile of the port that ``tile`` uses."""
        node, ports = self.nodes[f"tile {tile}"], self.graph["ports"]
        width, height = self.graph["mesh"]
        if port is not None and not 0 <= port < len(ports):
            raise KeyError(f"port {port}: a chip has ports 0 to {len(ports) - 1}")
        x, y = ports[nearest(ports, (node["x"], node["y"])) if port is None else port]
        gate: int = node["chip"] * width * height + y * width + x
        return gate

    def _mesh(self, source: int | None, dest: int | None) -> list[str]:
        """Routers from one tile to another of the same chip."""
        width, height = self.graph["mesh"]
        one, other = self.nodes[f"tile {source}"], self.nodes[f"tile {dest}"]
        way = x_first((one["x"], one["y"]), (other["x"], other["y"]))
        return [f"router {one['chip'] * width * height + y * width + x}" for x, y in way]


def machine_graph(
    target: str,
    digest: str,
    chips: int,
    mesh: tuple[int, int],
    ports: Sequence[Position],
    tile: Mapping[str, float],
    router: Way,
    host_link: Way,
    dram: Way | None,
) -> MachineGraph:
    """The graph of ``chips`` equal chips behind one host.

    Nodes, each with its ``kind``, chip by chip:

    * ``host``, and ``network``, where the links of all chips end;
    * ``chip 0 in`` and ``chip 0 out``, where that chip's link ends (``chip``: its number);
    * ``router 5`` (``tile``, ``chip``, ``x``, ``y``), and ``tile 5`` behind it, with what a ``tile`` has;
    * ``dram 0``, the memory behind the first port of its chip.

    Edges, each with ``kind``, ``ns`` and ``pj_per_bit``, and with ``gbps`` where its rate has a limit:
    ``link`` between neighbours of the mesh, ``router in`` and ``router out`` of a tile, ``port`` (a way into
    the mesh), ``host link`` (one rate for both directions together), ``host``, ``dram``.  Sums of ``ns`` and
    of ``pj_per_bit`` along a route are what a message takes.
    """
    graph = MachineGraph(target=target, digest=digest, mesh=list(mesh), ports=[list(p) for p in ports])
    width, height = mesh
    graph.add_node("host", kind="host")
    graph.add_node("network", kind="network")
    graph.add_edge("host", "network", kind="host", ns=host_link.ns, pj_per_bit=host_link.pj_per_bit)
    graph.add_edge("network", "host", kind="host", ns=0.0, pj_per_bit=0.0)
    for chip in range(chips):
        _chip(graph, chip, width, height, tile, router)
        into, out = f"chip {chip} in", f"chip {chip} out"
        for edge in (into, out):
            graph.add_node(edge, kind="chip", chip=chip)
        crossing = {"kind": "host link", "gbps": host_link.gbps}
        graph.add_edge("network", into, **crossing, ns=0.0, pj_per_bit=0.0)
        graph.add_edge(out, "network", **crossing, ns=host_link.ns, pj_per_bit=host_link.pj_per_bit)
        first = chip * width * height
        for number, (x, y) in enumerate(ports):
            gate = f"router {first + y * width + x}"
            graph.add_edge(into, gate, kind="port", port=number, ns=0.0, pj_per_bit=0.0)
            graph.add_edge(gate, out, kind="port", port=number, ns=0.0, pj_per_bit=0.0)
        if dram is not None:
            memory, x, y = f"dram {chip}", *ports[0]
            at = f"tile {first + y * width + x}"
            graph.add_node(memory, kind="dram", chip=chip)
            graph.add_edge(at, memory, kind="dram", ns=0.0, pj_per_bit=0.0)
            graph.add_edge(memory, at, kind="dram", gbps=dram.gbps, ns=dram.ns, pj_per_bit=dram.pj_per_bit)
    return graph


def _chip(
    graph: MachineGraph, chip: int, width: int, height: int, tile: Mapping[str, float], router: Way
) -> None:
    """Add the tiles of a chip and the links between them."""
    first = chip * width * height
    link = {"kind": "link", "gbps": router.gbps, "ns": router.ns, "pj_per_bit": router.pj_per_bit}
    for number in range(width * height):
        y, x = divmod(number, width)
        place = {"chip": chip, "x": x, "y": y, "tile": first + number}
        behind, at = f"tile {first + number}", f"router {first + number}"
        graph.add_node(at, kind="router", **place)
        graph.add_node(behind, kind="tile", **place, **tile)
        graph.add_edge(behind, at, kind="router out", gbps=router.gbps, ns=0.0, pj_per_bit=0.0)
        graph.add_edge(at, behind, kind="router in", gbps=router.gbps, ns=0.0, pj_per_bit=0.0)
    for number in range(width * height):
        y, x = divmod(number, width)
        for to_x, to_y in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
            if 0 <= to_x < width and 0 <= to_y < height:
                other = f"router {first + to_y * width + to_x}"
                graph.add_edge(f"router {first + number}", other, **link)
