"""The part of a request's task graph that is the same for all requests: everything but lookups' owners."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cimc.cost.cost_model import LOOKUPS, CostModel, Step, unrolled
from cimc.cost.machine_units import Unit
from cimc.errors import ProgramError
from cimc.isa.assembly import format_instr
from cimc.isa.footprint import accesses, link_bits
from cimc.isa.instructions import Instr
from cimc.isa.link_widths import HEADER_BITS, Headers, bag_form
from cimc.isa.program import ChipSegment
from cimc.support.shown import Shown, counted
from cimc.timing.paths import Hop, between, from_host, to_host
from cimc.timing.task_graph import END, HEAD, NOTHING, START, Units

SiteKey = tuple[int, int, int, int]
"""Segment, tile, position in the stream, and loop iteration of a lookup."""


class End(NamedTuple):
    """Something that an instruction is done with: ``extra`` ns after (kind of edge) ``task``."""

    task: int
    kind: int
    extra: float


@dataclass
class Issued:
    """An instruction: the task it begins with, when it is done, and the bytes it touches."""

    first: int
    ends: list[End]


@dataclass(frozen=True)
class LookupSite:
    """A lookup: where its owners' tasks go.

    Attributes:
        key: the instruction; its tile is that of instance 0.
        home: its tile, that of the instance.
        item: the instruction itself.
        weighted: whether it has a weight per id.
        asked: the task after whose end ids leave for their owners.
        begins: the task with whose start they leave the host for owners on other chips; -1 where they are not
            the host's.
        combine: the task of the vector unit that waits for all answers.
        sized: tasks whose hold grows with the number of ids, and by how many ns per id each.
        port: the task of home's scratchpad port whose hold depends on the ids; -1 if it has no rate.
        instruction: its number.
    """

    key: SiteKey
    home: int
    item: Instr
    weighted: bool
    asked: int
    begins: int
    combine: int
    sized: tuple[tuple[int, float], ...]
    port: int
    instruction: int


@dataclass(repr=False)
class Template(Shown):
    """Tasks and edges of one request.

    Of requests that use the same instances of all that is copied.  Task 0 is the arrival, the last one the
    completion.  ``texts`` and ``places``: per instruction, its text and its tile.  ``scratchpad_bits``: tile
    -> bits that instructions move through its scratchpad, lookups apart.
    """

    units: Units
    unit: list[int] = field(default_factory=list)
    hold: list[float] = field(default_factory=list)
    instruction: list[int] = field(default_factory=list)
    edges: list[tuple[int, int, int, float]] = field(default_factory=list)
    sites: list[LookupSite] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    scratchpad_bits: dict[int, float] = field(default_factory=dict)

    def _brief(self) -> str:
        return f"of {counted(len(self.unit), 'task')}"

    def task(self, unit: Unit | None, hold: float, instruction: int) -> int:
        """Append a task."""
        self.unit.append(NOTHING if unit is None else self.units[unit])
        self.hold.append(hold)
        self.instruction.append(instruction)
        return len(self.unit) - 1

    def chain(self, hops: Sequence[Hop], bits: float, instruction: int) -> list[int]:
        """A message of ``bits`` through units, cut through."""
        tasks = [self.task(hop.unit, bits / hop.rate, instruction) for hop in hops]
        for hop, one, other in zip(hops, tasks, tasks[1:], strict=False):
            self.edges.append((one, other, HEAD, hop.after))
        return tasks

    def crossing(self, hops: Sequence[Hop], bits: float, headers: Headers, instruction: int) -> list[int]:
        """The same between host and tile, where the headers differ between host link and mesh."""
        tasks = self.chain(hops, bits, instruction)
        for hop, task in zip(hops, tasks, strict=True):
            self.hold[task] += (headers.link if hop.unit.kind == "host link" else headers.mesh) / hop.rate
        return tasks

    def after(self, ends: Sequence[End], task: int) -> None:
        """Let ``task`` wait for ``ends``."""
        self.edges += [(end.task, task, end.kind, end.extra) for end in ends]


def templates_of(model: CostModel, scratchpad_gbps: float | None) -> list[Template]:
    """The templates of a program: request ``k`` is one of number ``k`` modulo how many there are.

    They share their units; instructions have the same numbers in all of them.  Arguments and errors are those
    of :func:`template_of`.
    """
    units = Units()
    return [template_of(model, scratchpad_gbps, turn, units) for turn in range(model.program.period)]


def template_of(
    model: CostModel, scratchpad_gbps: float | None, turn: int = 0, units: Units | None = None
) -> Template:
    """The template of request ``turn`` of a run.

    Args:
        model: of the program on its target.
        scratchpad_gbps: rate of each scratchpad's port; ``None``: never a limit.
        turn: which instances it uses.
        units: numbers of the units known so far.

    Raises:
        ProgramError: ``isa.invalid`` when a message is never sent.
    """
    made = Template(Units() if units is None else units)
    made.task(None, 0.0, -1)
    ends = [End(0, END, 0.0)]
    for number, segment in model.segments():
        work = _Segment(model, made, number, segment, scratchpad_gbps, turn)
        ends = work.build(ends)
    finish = made.task(None, 0.0, -1)
    made.after(ends, finish)
    return made


class _Memory:
    """Earlier accesses to one scratchpad, as byte ranges."""

    def __init__(self) -> None:
        self._ranges: NDArray[np.int64] = np.zeros((0, 4), np.int64)  # low, high, write, instruction

    def conflicts(self, low: int, high: int, write: bool) -> list[int]:
        """Instructions that must be done before this access, in order."""
        r = self._ranges
        meets = (r[:, 0] < high) & (r[:, 1] > low)
        if not write:
            meets &= r[:, 2] == 1
        return [int(n) for n in np.unique(r[meets, 3])]

    def add(self, low: int, high: int, write: bool, instruction: int) -> None:
        if write:  # what it covers was waited for, so later ones need not wait for that again
            r = self._ranges
            self._ranges = r[(r[:, 0] < low) | (r[:, 1] > high)]
        self._ranges = np.concatenate([self._ranges, [[low, high, int(write), instruction]]])


class _Segment:
    """Builds one chip segment into a template."""

    def __init__(
        self,
        model: CostModel,
        made: Template,
        number: int,
        segment: ChipSegment,
        gbps: float | None,
        turn: int,
    ) -> None:
        self.model, self.made, self.number, self.segment = model, made, number, segment
        self.gbps, self.turn = gbps, turn
        self.sent: dict[tuple[int, int, int], list[tuple[int, float]]] = {}
        self.wanted: dict[tuple[int, int, int], list[int]] = {}

    def build(self, before: list[End]) -> list[End]:
        """Add all streams, to begin after ``before``; what the segment is done with."""
        ends: list[End] = []
        for tile, stream in sorted(self.segment.streams.items()):
            ends += self.stream(tile, unrolled(stream), before)
        self.connect()
        if not ends:
            return before
        done = self.made.task(None, 0.0, -1)
        self.made.after(ends, done)
        return [End(done, END, 0.0)]

    def stream(self, tile: int, pending: Iterable[tuple[Step, int]], before: list[End]) -> list[End]:
        """Add one tile's instructions; what they are done with."""
        memory = _Memory()
        issued: dict[int, Issued] = {}
        last: Issued | None = None
        ends: list[End] = []
        for step, iteration in pending:
            number = len(self.made.texts)
            self.made.texts.append(format_instr(step.item))
            self.made.places.append(self.segment.at(tile, self.turn))
            now = self.instruction(tile, step, iteration, number)
            if last is None:
                self.made.after(before, now.first)
            else:
                self.made.edges.append((last.first, now.first, START, 0.0))
            for other in self.order(memory, step, iteration, number):
                self.made.after(issued[other].ends, now.first)
            issued[number] = last = now
            ends += now.ends
        return ends

    def order(self, memory: _Memory, step: Step, iteration: int, number: int) -> list[int]:
        """Earlier instructions that must be done before this one, by the bytes they touch."""
        found: set[int] = set()
        touched = []
        for access in accesses(step.item, self.model.program):
            if access.ref.constant:
                continue
            base = access.ref.at(iteration)
            low, high = base + access.low, base + access.high
            if step.item.name == "gather" and not access.write and access.sparse:
                high = 1 << 40  # its rows may lie anywhere behind the first
            found.update(memory.conflicts(low, high, access.write))
            touched.append((low, high, access.write))
        for low, high, write in sorted(touched, key=lambda t: t[2]):
            memory.add(low, high, write, number)
        return sorted(found)

    def instruction(self, tile: int, step: Step, iteration: int, number: int) -> Issued:
        """Add the tasks of one instruction; ``tile`` is that of instance 0, as the streams name it."""
        item, place = step.item, self.segment.at(tile, self.turn)
        if item.name in LOOKUPS:
            return self.lookup(tile, place, step, iteration, number)
        work = self.model.work(self.number, tile, step, iteration, self.turn)
        bits = work.events.get("scratchpad.read_bits", 0.0) + work.events.get("scratchpad.write_bits", 0.0)
        if item.name in ("load", "loadq", "store"):
            headers = self.model.headers(self.number, tile, step, iteration, self.turn)
            now = self.host(place, item, headers, number)
        elif item.name == "send":
            now = self.send(tile, place, item, work.ns, number)
        elif item.name == "recv":
            size = link_bits(item) + HEADER_BITS
            task = self.made.task(
                Unit("router in", place), size / float(self.model.target.tile.link_gbps), number
            )
            self.wanted.setdefault((item.number("tile"), tile, item.number("tag")), []).append(task)
            now = Issued(task, [End(task, END, 0.0)])
        elif item.name == "search":
            now = self.search(place, work.holds, work.events["bus.in_bits"] / work.events["bus.bits"], number)
        elif item.name == "mvm":
            now = self.mvm(place, work.holds, work.events["bus.in_bits"] / work.events["bus.bits"], number)
        else:
            (hold,) = work.holds.values() if work.holds else (0.0,)
            task = self.made.task(Unit("vector", place), hold, number)
            now = Issued(task, [End(task, END, work.ns - hold)])
        self.port(place, now, bits, number)
        return now

    def port(self, tile: int, now: Issued, bits: float, number: int) -> int:
        """Let the instruction use its tile's scratchpad for ``bits``, beside what else it does."""
        self.made.scratchpad_bits[tile] = self.made.scratchpad_bits.get(tile, 0.0) + bits
        if self.gbps is None:
            return -1
        task = self.made.task(Unit("scratchpad", tile), bits / self.gbps, number)
        self.made.edges.append((now.first, task, START, 0.0))
        now.ends.append(End(task, END, 0.0))
        return task

    def host(self, tile: int, item: Instr, headers: Headers, number: int) -> Issued:
        target = self.model.target
        gate = self.segment.gate(tile, target)
        hops = to_host(target, gate, tile) if item.name == "store" else from_host(target, gate, tile)
        tasks = self.made.crossing(hops, link_bits(item), headers, number)
        return Issued(tasks[0], [End(tasks[-1], END, hops[-1].after)])

    def send(self, tile: int, place: int, item: Instr, wire: float, number: int) -> Issued:
        other = item.number("tile")
        hops = between(self.model.target, place, self.segment.at(other, self.turn))
        # the router input belongs to the recv, which may not be ready
        tasks = self.made.chain(hops[:-1], link_bits(item) + HEADER_BITS, number)
        self.sent.setdefault((tile, other, item.number("tag")), []).append((tasks[-1], hops[-2].after))
        return Issued(tasks[0], [End(tasks[0], START, wire)])

    def connect(self) -> None:
        """Lead every message to its receive."""
        for message, receivers in self.wanted.items():
            senders = self.sent.get(message, [])
            if len(senders) < len(receivers):
                source, tile, tag = message
                raise ProgramError(
                    "isa.invalid",
                    f"segment {self.number}: tile {tile} waits for message {tag} from tile {source}, "
                    "which never comes",
                )
            for (sender, after), receiver in zip(senders, receivers, strict=False):
                self.made.edges.append((sender, receiver, HEAD, after))

    def mvm(self, tile: int, holds: dict[Unit, float], inward: float, number: int) -> Issued:
        """Inputs over the bus, all arrays, results over the bus; ``inward``: the inputs' share of it."""
        bus = holds.get(Unit("bus", tile), 0.0)
        first = self.made.task(Unit("bus", tile), bus * inward, number)
        last = self.made.task(Unit("bus", tile), bus * (1 - inward), number)
        for unit, ns in holds.items():
            if unit.kind == "array":
                task = self.made.task(unit, ns, number)
                self.made.edges += [(first, task, END, 0.0), (task, last, END, 0.0)]
        return Issued(first, [End(last, END, 0.0)])

    def search(self, tile: int, holds: dict[Unit, float], inward: float, number: int) -> Issued:
        """Queries over the bus; then arrays, sums over the bus and comparisons, side by side."""
        bus = holds.get(Unit("bus", tile), 0.0)
        first = self.made.task(Unit("bus", tile), bus * inward, number)
        beside = {**holds, Unit("bus", tile): bus * (1 - inward)}
        tasks = [self.made.task(unit, ns, number) for unit, ns in beside.items()]
        self.made.edges += [(first, task, END, 0.0) for task in tasks]
        return Issued(first, [End(task, END, 0.0) for task in tasks])

    def lookup(self, tile: int, place: int, step: Step, iteration: int, number: int) -> Issued:
        """The parts of a lookup at its reduction tile; owners come per request."""
        item, made = step.item, self.made
        sized: tuple[tuple[int, float], ...] = ()
        weighted, begins = item.name == "lookupw", -1
        if item.name == "bag":
            source = self.segment.inputs[item.index("port").at(iteration)]
            form, weighted = bag_form(source, item.number("idbits")), bool(source.weights)
            headers = self.model.headers(self.number, tile, step, iteration, self.turn)
            hops = from_host(self.model.target, self.segment.gate(place, self.model.target), place)
            tasks = made.crossing(hops, form.per_bag, headers, number)
            sized = tuple((task, form.per_id / hop.rate) for task, hop in zip(tasks, hops, strict=True))
            begins = tasks[0]
        else:
            tasks = [made.task(None, 0.0, number)]
        combine = made.task(Unit("vector", place), 0.0, number)
        made.edges.append((tasks[-1], combine, END, 0.0))
        now = Issued(tasks[0], [End(combine, END, 0.0)])
        port = -1
        if self.gbps is not None:
            port = made.task(Unit("scratchpad", place), 0.0, number)
            made.edges.append((combine, port, START, 0.0))
            now.ends.append(End(port, END, 0.0))
        key = (self.number, tile, step.position, iteration)
        made.sites.append(
            LookupSite(key, place, item, weighted, tasks[-1], begins, combine, sized, port, number)
        )
        return now
