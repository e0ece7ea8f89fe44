"""The streams of a segment as stages: runs of instructions that take data in, work on it, and give it on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cimc.cost.cost_model import LOOKUPS, Step, unrolled
from cimc.isa.instructions import Instr
from cimc.isa.program import ChipSegment, Program

TAKES = ("load", "loadq", "recv")
GIVES = ("store", "send")
_KINDS = {"mvm": "layer", "search": "search", **dict.fromkeys(LOOKUPS, "lookup")}


@dataclass
class Stage:
    """A run of a tile's stream.

    Nothing comes in after something else was done, so that stages never wait for each other in a ring.

    Attributes:
        tile: as the streams name it.
        kind: ``layer`` (``mvm``), ``lookup``, ``search``, ``vector``, or ``transfer`` for one that only
            passes on.
        operand: name of the layer, table or corpus.
        steps: instructions with the iteration of their loop, in order of execution.
    """

    tile: int
    kind: str = "transfer"
    operand: str = ""
    steps: list[tuple[Step, int]] = field(default_factory=list)

    def takes(self, item: Instr, kind: str, operand: str) -> bool:
        """Whether the next instruction of the stream belongs to this stage."""
        if item.name in GIVES:
            return True
        only_in = all(step.item.name in TAKES for step, _ in self.steps)
        return only_in or (item.name not in TAKES and (kind, operand) == (self.kind, self.operand))


def stages(segment: ChipSegment, program: Program) -> Iterator[Stage]:
    """Stages of all tiles, tile by tile, in order of execution."""
    for tile, stream in sorted(segment.streams.items()):
        current = Stage(tile)
        for step, iteration in unrolled(stream):
            kind, operand = _work(step.item, iteration, program)
            if current.steps and not current.takes(step.item, kind, operand):
                yield current
                current = Stage(tile)
            if kind != "transfer":
                current.kind, current.operand = kind, operand
            current.steps.append((step, iteration))
        if current.steps:
            yield current


def _work(item: Instr, iteration: int, program: Program) -> tuple[str, str]:
    """Kind of stage that an instruction makes, and the matrix that it reads."""
    if item.name in (*TAKES, *GIVES):
        return "transfer", ""
    kind = _KINDS.get(item.name, "vector")
    return kind, "" if kind == "vector" else program.matrices[item.index("matrix").at(iteration)].name
