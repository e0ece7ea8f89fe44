"""The instruction streams of a chip segment as they are executed: unrolled, with what they touch."""

from __future__ import annotations

from cimc.isa.footprint import accesses
from cimc.isa.instructions import Instr
from cimc.isa.program import ChipSegment, Matrix, Program

Steps = tuple[tuple[int, Instr, int], ...]
"""(Position in the stream, instruction, loop iteration) in order of execution."""


class Streams:
    """Streams of one segment; never changed once made.

    Attributes:
        steps: by tile.
        sizes: scratchpad bytes of one request that each tile touches, whole 8-byte words.
        tables: for each bag port, the smallest table that its ids name: they must fit all of them.
    """

    def __init__(self, segment: ChipSegment, program: Program) -> None:
        self.steps = {tile: unrolled(stream) for tile, stream in segment.streams.items()}
        self.sizes = {tile: memory_size(steps, program) for tile, steps in self.steps.items()}
        self.tables: dict[int, Matrix] = {}
        for steps in self.steps.values():
            for _, item, i in steps:
                if item.name == "bag":
                    port, matrix = item.index("port").at(i), program.matrices[item.index("matrix").at(i)]
                    self.tables[port] = min(self.tables.get(port, matrix), matrix, key=lambda m: m.rows)


def unrolled(stream: tuple[Instr, ...]) -> Steps:
    """The stream without its loops."""
    out: list[tuple[int, Instr, int]] = []
    body: list[tuple[int, Instr]] = []
    count = 0
    for at, item in enumerate(stream):
        if item.name == "loop":
            count, body = item.number("count"), []
        elif item.name == "end":
            out.extend((p, x, i) for i in range(count) for p, x in body)
            count = 0
        elif count:
            body.append((at, item))
        else:
            out.append((at, item, 0))
    return tuple(out)


def memory_size(steps: Steps, program: Program) -> int:
    """Scratchpad bytes that a stream touches, rounded up to whole 8-byte words."""
    top = 0
    for _, item, i in steps:
        for access in accesses(item, program):
            if not access.ref.constant:
                top = max(top, access.ref.at(i) + access.high)
    return -(-top // 8) * 8
