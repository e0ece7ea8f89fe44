"""The cost model of a program on a target: :class:`Work` of every instruction, computed once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pydantic import ValidationError

from cimc.cost.array_work import mvm_work, search_work
from cimc.cost.lookup_work import lookup_work
from cimc.cost.transfer_work import transfer_work
from cimc.cost.vector_work import vector_work
from cimc.cost.work import Work
from cimc.errors import ProgramError
from cimc.isa.footprint import accesses
from cimc.isa.instructions import Instr
from cimc.isa.link_widths import Headers, host_headers
from cimc.isa.program import ChipSegment, Program
from cimc.sim.activity import Activity
from cimc.target.spec import Target

COST_ONLY = frozenset(
    {"array.gate_unused_adc", "array.columns_per_step", "tile.vector_lanes", "chip.host_link"}
)
"""Structural fields that change what a program costs, but not what it computes or whether it fits."""

LOOKUPS = ("bag", "lookup", "lookupw")


class Step(NamedTuple):
    """An instruction of a stream, its position, and the count of its loop (1 outside loops)."""

    position: int
    item: Instr
    loop: int


def steps(stream: tuple[Instr, ...]) -> Iterator[Step]:
    """Instructions of a stream without the loop brackets."""
    loop = 1
    for index, item in enumerate(stream):
        if item.name == "loop":
            loop = item.number("count")
        elif item.name == "end":
            loop = 1
        else:
            yield Step(index, item, loop)


def unrolled(stream: tuple[Instr, ...]) -> Iterator[tuple[Step, int]]:
    """Instructions in order of execution, with the iteration of their loop (0 outside loops)."""
    body: list[Step] = []
    loop: int | None = None
    for index, item in enumerate(stream):
        if item.name == "loop":
            body, loop = [], item.number("count")
        elif item.name == "end":
            for iteration in range(loop or 0):
                for step in body:
                    yield step, iteration
            loop = None
        elif loop is None:
            yield Step(index, item, 1), 0
        else:
            body.append(Step(index, item, loop))


class CostModel:
    """What each execution of each instruction of ``program`` takes on ``target``.

    ``target`` may differ from the one the program was compiled for in constants and in the structural
    fields :data:`COST_ONLY`; a difference in any other raises ProgramError ``program.target``.
    """

    def __init__(self, program: Program, target: Target, activity: Activity | None) -> None:
        _check_target(program, target)
        self.program, self.target = program, target
        self.activity = activity if activity is not None else Activity()
        self._known: dict[tuple[int, int, int, int, int, int, Headers], Work] = {}
        self._headers: dict[tuple[int, int], dict[tuple[int, int], Headers]] = {}

    def segments(self) -> Iterator[tuple[int, ChipSegment]]:
        """Chip segments with their number among all segments."""
        for number, segment in enumerate(self.program.segments):
            if isinstance(segment, ChipSegment):
                yield number, segment

    def turns(self, segment: ChipSegment) -> list[tuple[int, float]]:
        """The turns in which requests use the instances of a segment, with the share of each (0..1].

        Of the requests of the activity; without any, all turns alike.
        """
        period, requests = segment.period, self.activity.requests
        if not requests:
            return [(turn, 1.0 / period) for turn in range(period)]
        counts = [(turn, self.activity.requests_of(turn, period)) for turn in range(period)]
        return [(turn, count / requests) for turn, count in counts if count]

    def executions(
        self, number: int, segment: ChipSegment, tile: int, step: Step
    ) -> Iterator[tuple[Work, float]]:
        """What ``step`` of ``tile`` does for a request: each work that differs, and how often.

        Where requests use different instances, a mean over them.
        """
        varies = step.item.name == "mvm" and step.item.index("matrix").stride != 0
        found: dict[tuple[int, int, Headers], tuple[int, float]] = {}
        for turn, share in self.turns(segment):
            headers = self.headers(number, tile, step, 0, turn)
            varies |= headers != Headers()  # only the first iteration has them
            key = (*self._where(segment, tile, step, turn), headers)
            first, before = found.get(key, (turn, 0.0))
            found[key] = first, before + share
        for turn, share in found.values():
            for iteration in range(step.loop) if varies else (0,):
                times = 1 if varies else step.loop
                yield self.work(number, tile, step, iteration, turn), times * share

    def work(self, number: int, tile: int, step: Step, iteration: int, turn: int = 0) -> Work:
        """Work of one execution of the instruction at ``step`` of ``tile`` in segment ``number``.

        For request ``turn`` of a run, on the instances that it uses.
        """
        item = step.item
        segment = self.program.segments[number]
        assert isinstance(segment, ChipSegment)
        matrix = item.index("matrix").at(iteration) if item.name == "mvm" else -1
        headers = self.headers(number, tile, step, iteration, turn)
        key = (number, tile, step.position, matrix, *self._where(segment, tile, step, turn), headers)
        if key not in self._known:
            self._known[key] = self._make(number, segment, tile, step, matrix, turn, headers)
        return self._known[key]

    def headers(self, number: int, tile: int, step: Step, iteration: int, turn: int) -> Headers:
        """Headers that this execution has: those of the messages from or to the host that it begins."""
        segment = self.program.segments[number]
        assert isinstance(segment, ChipSegment)
        key = (number, turn % segment.period)
        if key not in self._headers:
            self._headers[key] = host_headers(segment, self.target, key[1])
        found = self._headers[key].get((tile, step.position))
        return found if found is not None and iteration == 0 else Headers()

    @staticmethod
    def _where(segment: ChipSegment, tile: int, step: Step, turn: int) -> tuple[int, int]:
        """The tile that executes an instruction, and the one that it names (or -1)."""
        other = segment.at(step.item.number("tile"), turn) if step.item.name in ("send", "recv") else -1
        return segment.at(tile, turn), other

    def _make(
        self,
        number: int,
        segment: ChipSegment,
        tile: int,
        step: Step,
        matrix: int,
        turn: int,
        headers: Headers,
    ) -> Work:
        item, program, target = step.item, self.program, self.target
        place, other = self._where(segment, tile, step, turn)
        if item.name == "mvm":
            work = mvm_work(item, program.matrices[matrix], place, program, target, turn)
        elif item.name == "search":
            work = search_work(item, place, program, target)
        elif item.name in LOOKUPS:
            site, instances = (number, place, step.position), len(segment.places(tile))
            requests = self.activity.requests_of(turn % instances, instances)
            work = lookup_work(
                item, site, step.loop, segment, headers, program, target, self.activity, requests
            )
        elif item.spec.unit == "vector":
            work = vector_work(item, place, target)
        else:
            work = transfer_work(item, place, other, segment.gate(place, target), headers, target)
        work.count("instructions", 1)
        if item.name not in ("mvm", "search"):  # they read what their blocks cover, and count that themselves
            _count_memory(work, item, program)
        return work


def _count_memory(work: Work, item: Instr, program: Program) -> None:
    for access in accesses(item, program):
        bits = access.size * 8
        if access.write:
            work.count("scratchpad.write_bits", bits)
        elif access.ref.constant:
            work.count("constants.read_bits", bits)
        else:
            work.count("scratchpad.read_bits", bits)


def _check_target(program: Program, target: Target) -> None:
    header = program.header
    if header.target_digest == target.digest:
        return
    try:
        compiled = Target.model_validate_json(header.target_json)
    except ValidationError:
        differ = ["(the program does not carry its target)"]
    else:
        theirs = dict(compiled.structure())
        ours = dict(target.structure())
        differ = [
            path
            for path in dict.fromkeys((*ours, *theirs))  # options that only one of them has differ too
            if theirs.get(path) != ours.get(path) and path not in COST_ONLY
        ]
    if differ:
        raise ProgramError(
            "program.target",
            f"compiled for target {header.target}, which differs from {target.name} in {', '.join(differ)}",
            hint="compile the model for this target; only constants and "
            f"{', '.join(sorted(COST_ONLY))} may change without",
        )
