"""What a request does as a graph of networkx: stages, and the bits that they hand to each other."""

from __future__ import annotations

from collections import deque

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from cimc.cost.cost_model import CostModel, Step
from cimc.cost.flow.stages import GIVES, Stage, stages
from cimc.cost.work import Work
from cimc.isa.footprint import Access, accesses, link_bits
from cimc.isa.link_widths import HEADER_BITS, bag_form
from cimc.isa.program import ChipSegment, HostSegment, Program
from cimc.sim.activity import Activity
from cimc.support.shown import Shown, counted
from cimc.target.spec import Target

_WORD = 4  # bytes: the grain at which it is known who wrote what


class Dataflow(Shown, nx.DiGraph):  # type: ignore[misc]  # networkx has no types
    """The stages of a program; see :func:`dataflow`.  Whatever takes a ``networkx.DiGraph`` takes it."""

    def _brief(self) -> str:
        nodes, edges = counted(len(self), "stage"), counted(self.size(), "edge")
        return f"of {self.graph.get('model', 'nothing')!r}: {nodes}, {edges}"


def dataflow(program: Program, target: Target, activity: Activity | None = None) -> Dataflow:
    """The stages of a request of ``program`` on ``target``: a graph without circles.

    Nodes, each with its ``kind``:

    * ``host 0``, ``host 1``, ...: the host before each chip segment, and after the last one, with ``nodes``,
      how many of the model's nodes it computes there;
    * ``layer NAME on tile T``, ``lookup TABLE on tile T``, ``search CORPUS on tile T``, ``vector work on tile
      T``, ``transfer on tile T`` (numbered where there are several): a run of a tile's instructions.
      ``segment``; ``tile``, that of instance 0; ``tiles``, of all ``instances``; ``operand``, the layer,
      table or corpus; ``instructions`` executed; ``ns``, what it takes of all units of a kind together, per
      request, kind -> ns; ``latency_ns``, its instructions one after the other.

    Edges, each with its ``kind``, with ``bits`` per request, and with ``ns``, the ``latency_ns`` of the stage
    that it leaves and the flight of a message:

    * ``host``: to and from the host, headers included;
    * ``message``: from tile to tile, headers included, ``messages`` of them;
    * ``scratchpad``: what a stage reads that an earlier one of its tile left there.

    What lookups exchange with the owners of rows is part of their stage.  Figures are means over the requests
    of ``activity``, which programs with lookups need.

    Raises:
        CostError: ``cost.no-activity``, ``cost.bad-activity``, ``cost.not-placed``.
        ProgramError: ``program.target``.
    """
    model = CostModel(program, target, activity)
    header = program.header
    graph = Dataflow(model=header.model, target=target.name, digest=target.digest)
    hosts = [0]
    for segment in program.segments:
        if isinstance(segment, HostSegment):
            hosts[-1] += segment.nodes
        else:
            hosts.append(0)
    for number, nodes in enumerate(hosts):
        graph.add_node(f"host {number}", kind="host", nodes=nodes)
    several = len(program.chip_segments) > 1
    for order, (number, segment) in enumerate(model.segments()):
        _Segment(model, graph, number, segment, order, f"segment {number}: " if several else "").add()
    return graph


class _Segment:
    """Adds one chip segment; ``order``: its number among chip segments."""

    def __init__(
        self, model: CostModel, graph: Dataflow, number: int, segment: ChipSegment, order: int, prefix: str
    ) -> None:
        self.model, self.graph, self.number, self.segment = model, graph, number, segment
        self.before, self.after, self.prefix = f"host {order}", f"host {order + 1}", prefix
        self.sent: dict[tuple[int, int, int], deque[tuple[str, float]]] = {}
        self.wanted: list[tuple[tuple[int, int, int], str, float]] = []

    def add(self) -> None:
        """Add all stages and what lies between them."""
        memories: dict[int, _Memory] = {}
        for stage in stages(self.segment, self.model.program):
            self.stage(stage, memories.setdefault(stage.tile, _Memory()))
        for message, name, bits in self.wanted:
            source, flight = self.sent[message].popleft()
            self.edge(source, name, "message", bits, flight)
            edge = self.graph.edges[source, name]
            edge["messages"] = edge.get("messages", 0) + 1

    def stage(self, stage: Stage, memory: _Memory) -> None:
        """Add a stage, and the edges from what is known before it."""
        name = self.name(stage)
        ns: dict[str, float] = {}
        latency = 0.0
        works = [self.works(stage.tile, *step) for step in stage.steps]
        for shares in works:
            for work, share in shares:
                latency += work.ns * share
                for units in (work.holds, work.passes):
                    for unit, held in units.items():
                        ns[unit.kind] = ns.get(unit.kind, 0.0) + held * share
        tiles = list(self.segment.places(stage.tile))
        self.graph.add_node(
            name, kind=stage.kind, segment=self.number, tile=stage.tile, tiles=tiles, instances=len(tiles),
            operand=stage.operand, instructions=len(stage.steps), ns=dict(sorted(ns.items())),
            latency_ns=latency,
        )  # fmt: skip
        for (step, iteration), shares in zip(stage.steps, works, strict=True):
            for access in accesses(step.item, self.model.program):
                for writer, bits in memory.touch(access, step, iteration, name).items():
                    self.edge(writer, name, "scratchpad", bits)
            self.transfer(stage.tile, step, iteration, name, shares)

    def name(self, stage: Stage) -> str:
        """A name that no other stage has."""
        what = {"vector": "vector work", "transfer": "transfer"}.get(
            stage.kind, f"{stage.kind} {stage.operand}"
        )
        name = f"{self.prefix}{what} on tile {stage.tile}"
        number = 2
        while name in self.graph:
            name = f"{self.prefix}{what} on tile {stage.tile} ({number})"
            number += 1
        return name

    def works(self, tile: int, step: Step, iteration: int) -> list[tuple[Work, float]]:
        """Work of one execution of an instruction on each instance, with the share of requests there."""
        model, segment = self.model, self.segment
        return [
            (model.work(self.number, tile, step, iteration, turn), share)
            for turn, share in model.turns(segment)
        ]

    def transfer(
        self, tile: int, step: Step, iteration: int, name: str, shares: list[tuple[Work, float]]
    ) -> None:
        """What an instruction exchanges with the host and with other tiles."""
        item, model = step.item, self.model
        if item.name in ("send", "recv"):
            other, tag, bits = item.number("tile"), item.number("tag"), float(link_bits(item) + HEADER_BITS)
            if item.name == "send":
                flight = sum(work.head_ns * share for work, share in shares)
                self.sent.setdefault((tile, other, tag), deque()).append((name, flight))
            else:
                self.wanted.append(((other, tile, tag), name, bits))
            return
        if item.name == "bag":
            form = bag_form(self.segment.inputs[item.index("port").at(iteration)], item.number("idbits"))
            bits = form.per_bag + sum(work.events["lookup.ids"] * s for work, s in shares) * form.per_id
        elif item.name in ("load", "loadq", "store"):
            bits = float(link_bits(item))
        else:
            return
        for turn, share in model.turns(self.segment):
            bits += model.headers(self.number, tile, step, iteration, turn).link * share
        if item.name in GIVES:
            self.edge(name, self.after, "host", bits)
        else:
            self.edge(self.before, name, "host", bits)

    def edge(self, source: str, dest: str, kind: str, bits: float, flight: float = 0.0) -> None:
        """More bits from a stage to another."""
        if self.graph.has_edge(source, dest):
            self.graph.edges[source, dest]["bits"] += bits
            return
        latency = self.graph.nodes[source].get("latency_ns", 0.0)
        self.graph.add_edge(source, dest, kind=kind, bits=bits, ns=latency + flight)


class _Memory:
    """Which stage wrote each word of a scratchpad last."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._writer: NDArray[np.int32] = np.zeros(0, np.int32)  # index into names, plus 1

    def touch(self, access: Access, step: Step, iteration: int, name: str) -> dict[str, float]:
        """An access by stage ``name``: bits that it reads of each other stage's."""
        if access.ref.constant:
            return {}
        base = access.ref.at(iteration)
        low, high = (base + access.low) // _WORD, -(-(base + access.high) // _WORD)
        if step.item.name == "gather" and not access.write and access.sparse:
            high = max(high, len(self._writer))  # its rows may lie anywhere behind the first
        if high > len(self._writer):
            self._writer = np.concatenate([self._writer, np.zeros(high - len(self._writer), np.int32)])
        if access.write:
            if not self._names or self._names[-1] != name:
                self._names.append(name)
            self._writer[low:high] = len(self._names)
            return {}
        known, words = np.unique(self._writer[low:high], return_counts=True)
        found = {
            self._names[number - 1]: access.size * 8 * count / (high - low)
            for number, count in zip(known.tolist(), words.tolist(), strict=True)
            if number
        }
        found.pop(name, None)
        return found
