"""Time of one request: a deterministic list schedule of all instruction streams.

Where streams have several instances it is that of the first request, on instance 0 of each; how long units
are busy is a mean over all instances.

Instructions of a tile issue in order.  One starts when its predecessor has started, the instructions whose
bytes it reads or overwrites have finished, the units it needs are free and, for ``recv``, the message is
there; among the tiles the earliest start goes first, then the lower tile.  It holds each of its units from
its start for as long as it uses it in total, and its result is there after :attr:`Work.ns`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cimc.cost.cost_model import CostModel, Step, steps, unrolled
from cimc.cost.machine_units import Unit
from cimc.cost.work import Work
from cimc.errors import ProgramError
from cimc.isa.assembly import format_instr
from cimc.isa.footprint import Access, accesses
from cimc.isa.program import ChipSegment, Program
from cimc.sim.activity import Activity
from cimc.target.spec import Target

_WORD = 4  # bytes: the grain at which memory dependencies are tracked


class Span(NamedTuple):
    """A unit busy with an instruction, from ``start`` to ``end`` (ns since the request's start)."""

    unit: Unit
    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Timing:
    """Time of one request.

    Attributes:
        latency_ns: sum of ``segment_ns``; host segments between them take no time here.
        segment_ns: per chip segment, from its first instruction to the last result.
        busy: mean ns each unit is busy per request, mesh links included, busiest first.
        timeline: every instruction on its tile's ``stream`` and on the units it holds, by start.
    """

    latency_ns: float
    segment_ns: tuple[float, ...]
    busy: Mapping[Unit, float]
    timeline: tuple[Span, ...]

    @property
    def bottleneck(self) -> Unit | None:
        """The busiest unit, ``None`` when the chip does nothing."""
        return next(iter(self.busy), None)

    @property
    def throughput_rps(self) -> float | None:
        """Requests per second when the busiest unit never waits, ``None`` when the chip does nothing."""
        return 1e9 / self.busy[self.bottleneck] if self.bottleneck is not None else None


def time_program(program: Program, target: Target, activity: Activity | None = None) -> Timing:
    """Schedule one request of ``program`` on ``target``; see :func:`cimc.cost.events.count_events`.

    Raises:
        CostError, ProgramError: as ``count_events``; ``isa.invalid`` when a ``recv`` waits for ever.
    """
    return time_model(CostModel(program, target, activity))


def time_model(model: CostModel) -> Timing:
    """Schedule a program whose work is known."""
    timeline: list[Span] = []
    ends: list[float] = []
    for number, segment in model.segments():
        schedule = _Schedule(model, number, segment, sum(ends))
        ends.append(schedule.run())
        timeline += schedule.spans
    ordered = dict(sorted(busy_ns(model).items(), key=lambda entry: (-entry[1], entry[0])))
    timeline.sort(key=lambda span: (span.start, span.unit, span.end))
    return Timing(sum(ends), tuple(ends), ordered, tuple(timeline))


def busy_ns(model: CostModel) -> dict[Unit, float]:
    """ns that each unit is busy per request."""
    busy: dict[Unit, float] = {}
    for number, segment in model.segments():
        for tile, stream in sorted(segment.streams.items()):
            for step in steps(stream):
                for work, times in model.executions(number, segment, tile, step):
                    for units in (work.holds, work.passes):
                        for unit, ns in units.items():
                            busy[unit] = busy.get(unit, 0.0) + ns * times
    return busy


@dataclass
class _Stream:
    """The state of one tile: what comes next, when it may start, and when memory is free."""

    pending: Iterator[tuple[Step, int]]
    written: NDArray[np.float64]  # per word: when its last write is done
    read: NDArray[np.float64]  # per word: when its last read is done
    known: dict[int, tuple[tuple[Access, ...], str]]
    issued: float = 0.0
    step: Step | None = None
    iteration: int = 0
    ready: float = 0.0

    def advance(self) -> bool:
        """Go to the next instruction and find when its operands are there; False at the end."""
        entry = next(self.pending, None)
        if entry is None:
            self.step = None
            return False
        self.step, self.iteration = entry
        self.ready = self.issued
        for access, words in self.touched():
            if len(self.written[words]):
                self.ready = max(self.ready, float(self.written[words].max()))
                if access.write:
                    self.ready = max(self.ready, float(self.read[words].max()))
        return True

    def touched(self) -> Iterator[tuple[Access, slice]]:
        """Scratchpad words of the current instruction."""
        assert self.step is not None
        for access in self.known[self.step.position][0]:
            if access.ref.constant:
                continue
            base = access.ref.at(self.iteration)
            low, high = base + access.low, base + access.high
            if self.step.item.name == "gather" and not access.write and access.sparse:
                high = len(self.written) * _WORD  # its rows may lie anywhere behind the first
            yield access, slice(low // _WORD, -(-high // _WORD))

    def commit(self, start: float, end: float) -> None:
        """The current instruction runs from ``start`` to ``end``."""
        self.issued = start
        for access, words in self.touched():
            times = self.written if access.write else self.read
            times[words] = np.maximum(times[words], end)


def _stream(model: CostModel, segment: ChipSegment, tile: int) -> _Stream:
    known = {}
    top = 0
    for step in steps(segment.streams[tile]):
        found = accesses(step.item, model.program)
        known[step.position] = (found, format_instr(step.item))
        for access in found:
            if not access.ref.constant:
                reach = max(access.ref.at(0), access.ref.at(step.loop - 1)) + access.high
                top = max(top, -(-reach // _WORD))
    return _Stream(unrolled(segment.streams[tile]), np.zeros(top), np.zeros(top), known)


Message = tuple[int, int, int]
"""Source tile, destination tile, tag."""


@dataclass
class _Schedule:
    """The list schedule of one segment, which starts at ``origin``."""

    model: CostModel
    number: int
    segment: ChipSegment
    origin: float
    free: dict[Unit, float] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    sent: dict[Message, deque[float]] = field(default_factory=dict)
    waiting: dict[Message, int] = field(default_factory=dict)

    def run(self) -> float:
        """The makespan in ns."""
        streams = {tile: _stream(self.model, self.segment, tile) for tile in sorted(self.segment.streams)}
        queue = [(stream.ready, tile) for tile, stream in streams.items() if stream.advance()]
        heapq.heapify(queue)
        end = 0.0
        while queue:
            expected, tile = heapq.heappop(queue)
            stream = streams[tile]
            assert stream.step is not None
            work = self.model.work(self.number, tile, stream.step, stream.iteration)
            start = self.earliest(stream, tile, work)
            if start is None:
                continue
            # Units only become busier, so a start that is still the earliest after all others is final.
            if start > expected and queue and (start, tile) > queue[0]:
                heapq.heappush(queue, (start, tile))
                continue
            end = max(end, start + work.ns)
            self.commit(stream, tile, work, start, queue)
            if stream.advance():
                heapq.heappush(queue, (stream.ready, tile))
        if self.waiting:
            source, tile, tag = min(self.waiting)
            raise ProgramError(
                "isa.invalid",
                f"segment {self.number}: tile {tile} waits for message {tag} from tile {source}, "
                "which never comes",
            )
        return end

    def earliest(self, stream: _Stream, tile: int, work: Work) -> float | None:
        """When the current instruction of ``tile`` can start; None while its message is not on its way."""
        start = stream.ready
        for unit in work.holds:
            start = max(start, self.free.get(unit, 0.0))
        assert stream.step is not None
        item = stream.step.item
        if item.name == "recv":
            message = (item.number("tile"), tile, item.number("tag"))
            arrivals = self.sent.get(message)
            if not arrivals:
                self.waiting[message] = tile
                return None
            start = max(start, arrivals[0])
        return start

    def commit(
        self, stream: _Stream, tile: int, work: Work, start: float, queue: list[tuple[float, int]]
    ) -> None:
        """Let the current instruction of ``tile`` start."""
        assert stream.step is not None
        item, text = stream.step.item, stream.known[stream.step.position][1]
        end = start + work.ns
        stream.commit(start, end)
        at = self.origin + start
        self.spans.append(Span(Unit("stream", tile), at, self.origin + end, text))
        for unit, ns in work.holds.items():
            self.free[unit] = start + ns
            self.spans.append(Span(unit, at, at + ns, text))
        if item.name == "send":
            message = (tile, item.number("tile"), item.number("tag"))
            self.sent.setdefault(message, deque()).append(start + work.head_ns)
            receiver = self.waiting.pop(message, None)
            if receiver is not None:
                heapq.heappush(queue, (start + work.head_ns, receiver))
        elif item.name == "recv":
            self.sent[item.number("tile"), tile, item.number("tag")].popleft()
