"""The cost model of a program on a target: :class:`Work` of every instruction, computed once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pydantic import ValidationError

from cimc.cost.array_work import mvm_work
from cimc.cost.lookup_work import lookup_work
from cimc.cost.transfer_work import transfer_work
from cimc.cost.vector_work import vector_work
from cimc.cost.work import Work
from cimc.errors import ProgramError
from cimc.isa.footprint import accesses
from cimc.isa.instructions import Instr
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
        self._known: dict[tuple[int, int, int, int], Work] = {}

    def segments(self) -> Iterator[tuple[int, ChipSegment]]:
        """Chip segments with their number among all segments."""
        for number, segment in enumerate(self.program.segments):
            if isinstance(segment, ChipSegment):
                yield number, segment

    def work(self, number: int, tile: int, step: Step, iteration: int) -> Work:
        """Work of one execution of the instruction at ``step`` of ``tile`` in segment ``number``."""
        item = step.item
        matrix = item.index("matrix").at(iteration) if item.name == "mvm" else -1
        key = (number, tile, step.position, matrix)
        if key not in self._known:
            self._known[key] = self._make(number, tile, step, matrix)
        return self._known[key]

    def varies(self, item: Instr) -> bool:
        """Whether the work of ``item`` differs between iterations of its loop."""
        return item.name == "mvm" and item.index("matrix").stride != 0

    def _make(self, number: int, tile: int, step: Step, matrix: int) -> Work:
        item, program, target = step.item, self.program, self.target
        if item.name == "mvm":
            work = mvm_work(item, program.matrices[matrix], tile, program, target)
        elif item.name in LOOKUPS:
            segment = program.segments[number]
            assert isinstance(segment, ChipSegment)
            site = (number, tile, step.position)
            work = lookup_work(item, site, step.loop, segment.inputs, program, target, self.activity)
        elif item.spec.unit == "vector":
            work = vector_work(item, tile, target)
        else:
            work = transfer_work(item, tile, target)
        work.count("instructions", 1)
        if item.name != "mvm":  # it reads rows of its blocks only, and counts them itself
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
