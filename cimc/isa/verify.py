"""The program verifier: what a simulator may rely on is checked here, before the first request."""

from __future__ import annotations

from collections import deque

import numpy as np

from cimc.errors import ProgramError, printable
from cimc.ir.cim import TILE
from cimc.isa.assembly import format_instr
from cimc.isa.certificate import certify
from cimc.isa.footprint import accesses
from cimc.isa.instructions import Index, Instr, Kind, Ref
from cimc.isa.link_widths import MOST_ID_BITS, id_bits
from cimc.isa.program import CORPUS, MOST_HITS, ChipSegment, Program
from cimc.isa.verify_places import wrong_search
from cimc.isa.verify_structure import check_program
from cimc.target.spec import Target


def verify_program(program: Program, target: Target) -> None:
    """Check a program against the ISA and ``target``.

    The program is consistent in itself (``verify_structure.py``).  Addresses (over all loop iterations) lie
    in the scratchpad or constant memory and are aligned; ports and matrices exist and have the right kind;
    the blocks of an ``mvm`` are on its tile; loops do not nest and are closed; every ``send`` has its
    ``recv`` of the same size and the streams cannot deadlock; memory is written before it is read; every
    output is stored.

    Raises:
        ProgramError: ``isa.invalid`` (segment, tile, instruction number and text in the message),
            ``isa.certificate`` when a clip-free certificate is not that of the matrix, or ``program.target``
            when the program was compiled for another target.
    """
    if program.header.target_digest != target.digest:
        raise ProgramError(
            "program.target",
            f"compiled for target {program.header.target} ({program.header.target_digest[:12]}), "
            f"not for {target.name} ({target.digest[:12]})",
            hint="compile the model for this target",
        )
    check_program(program, target)
    _check_certificates(program, target)
    for number, segment in enumerate(program.segments):
        if isinstance(segment, ChipSegment):
            for tile, stream in segment.streams.items():
                _Stream(program, segment, number, tile, target).check(stream)
            _check_messages(segment, number)
            _check_outputs(segment, number)


def _check_certificates(program: Program, target: Target) -> None:
    """The simulator believes certificates, so they are computed anew; one that is absent claims nothing."""
    for matrix in program.matrices:
        found = program.data.get(f"{matrix.name}.certificate")
        if found is None:
            continue
        blocks, ranges = program.data[f"{matrix.name}.blocks"], program.data[f"{matrix.name}.ranges"]
        if matrix.kind == "dense":
            right = certify(
                program.data[f"{matrix.name}.data"], blocks, ranges, target.array, matrix.bits,
                matrix.input_bits, matrix.input_signed,
            )  # fmt: skip
            if found.dtype == right.dtype and np.array_equal(found, right):
                continue
        raise ProgramError(
            "isa.certificate",
            f"the clip-free certificate of {printable(matrix.name)} is not that of its cells and ADC steps",
            hint="compile the model again",
        )


class _Stream:
    def __init__(
        self, program: Program, segment: ChipSegment, number: int, tile: int, target: Target
    ) -> None:
        self.program, self.segment, self.tile, self.target = program, segment, tile, target
        self.where = f"segment {number}, tile {tile}"
        self.at = 0
        self.instr: Instr | None = None
        self.written = bytearray(target.tile.scratchpad_bytes)

    def fail(self, why: str) -> ProgramError:
        text = f": {format_instr(self.instr)}" if self.instr else ""
        return ProgramError("isa.invalid", f"{self.where}, instruction {self.at}{text}: {why}")

    def check(self, stream: tuple[Instr, ...]) -> None:
        if not 0 <= self.tile < self.target.n_tiles:
            raise self.fail(f"the target has {self.target.n_tiles} tiles")
        iterations, inside = 1, False
        for self.at, self.instr in enumerate(stream):
            item = self.instr
            if item.name == "loop":
                if inside:
                    raise self.fail("loops do not nest")
                iterations, inside = item.number("count"), True
                if iterations < 1:
                    raise self.fail("a loop runs at least once")
            elif item.name == "end":
                if not inside:
                    raise self.fail("no loop is open")
                iterations, inside = 1, False
            else:
                self.operands(item, iterations)
                self.memory(item, iterations)
        if inside:
            raise self.fail("the loop is not closed")

    def operands(self, item: Instr, iterations: int) -> None:
        if "bits" in item.spec.positions and not 1 <= item.number("bits") <= 8:
            raise self.fail("an element has 1 to 8 bits")
        for entry, value in zip(item.spec.fields, item.operands, strict=True):
            if entry.kind is Kind.PORT:
                assert isinstance(value, Index)
                ports = self.segment.outputs if item.name == "store" else self.segment.inputs
                kind = "bag" if item.name == "bag" else "dense"
                for i in (0, iterations - 1):
                    if not 0 <= value.at(i) < len(ports):
                        raise self.fail(f"there is no port {value.at(i)}")
                    port = ports[value.at(i)]
                    if port.kind != kind:
                        raise self.fail(f"port {value.at(i)} is no {kind} port")
                    if item.name == "loadq" and port.dtype != "f32":
                        raise self.fail(f"port {value.at(i)} carries {port.dtype}, not f32")
                    if kind == "dense" and port.elements != item.number("n"):
                        raise self.fail(f"port {value.at(i)} has {port.elements} elements")
            elif entry.kind is Kind.MATRIX:
                assert isinstance(value, Index)
                for i in range(iterations):
                    self.matrix(item, value.at(i))
        if item.name in ("search", "merge") and not 1 <= item.number("k") <= MOST_HITS:
            raise self.fail(f"a list has 1 to {MOST_HITS} hits")
        if item.name == "binary" and (item.word("fn"), item.word("type")) == ("pow", "i32"):
            raise self.fail("powers are of f32")
        if item.name == "reduce" and item.word("fn") in ("max", "min") and item.number("n") < 1:
            raise self.fail("the largest or smallest of nothing")

    def matrix(self, item: Instr, number: int) -> None:
        if not 0 <= number < len(self.program.matrices):
            raise self.fail(f"there is no matrix {number}")
        matrix = self.program.matrices[number]
        if matrix.kind != {"mvm": "dense", "search": CORPUS}.get(item.name, "table"):
            raise self.fail(f"matrix {matrix.name} is a {matrix.kind} one")
        if item.name not in ("mvm", "search"):
            width = item.number("idbits")
            if not id_bits(matrix.rows) <= width <= MOST_ID_BITS:
                raise self.fail(
                    f"ids of {matrix.rows} rows take {id_bits(matrix.rows)} to 32 bits, not {width}"
                )
            if f"{matrix.name}.row_scales" in self.program.data and item.real("scale") != 1:
                raise self.fail(f"the rows of {matrix.name} have scales of their own, the other one is 1")
            if item.name == "lookup" and item.word("drop") != "none" and item.word("mode") == "none":
                raise self.fail("ids are dropped from bags that are pooled; mode none keeps every row")
            return
        blocks = self.program.data[f"{matrix.name}.blocks"]
        first, count = item.number("first"), item.number("count")
        if count < 1 or first + count > len(blocks):
            raise self.fail(f"matrix {matrix.name} has {len(blocks)} blocks")
        if (blocks[first : first + count, TILE] != self.tile).any():
            raise self.fail(f"not all of these blocks of {matrix.name} are on tile {self.tile}")
        if item.name == "search":
            why = wrong_search(item, matrix, blocks)
            if why:
                raise self.fail(why)

    def memory(self, item: Instr, iterations: int) -> None:
        for access in accesses(item, self.program):
            ref: Ref = access.ref
            for i in {0, iterations - 1}:
                low = ref.at(i) + access.low
                high = ref.at(i) + access.high
                if low < 0 or ref.at(i) % access.align:
                    raise self.fail(f"address {low} is out of range or not aligned to {access.align} bytes")
                limit = len(self.program.constants) if ref.constant else self.target.tile.scratchpad_bytes
                if high > limit:
                    memory = "constant memory" if ref.constant else "scratchpad"
                    raise self.fail(f"address {high - 1} is beyond the {memory} of {limit} bytes")
            if ref.constant:
                continue
            steps = range(iterations) if ref.stride else (0,)
            for i in steps:
                low, high = ref.at(i) + access.low, ref.at(i) + access.high
                if access.write:
                    self.written[low:high] = b"\x01" * (high - low)
                elif not access.sparse and self.written.find(0, low, high) >= 0:
                    raise self.fail(f"reads address {self.written.find(0, low, high)} before it is written")
        if item.name == "gather":
            self.selected(item, iterations)

    def selected(self, item: Instr, iterations: int) -> None:
        """The furthest row that a ``gather`` selects must be there; which it is, its constants say."""
        index, src, n = item.ref("index"), item.ref("src"), item.number("n")
        for i in range(iterations if index.stride or src.stride else 1):
            raw = self.program.constants[index.at(i) : index.at(i) + 4 * n].tobytes()
            last = src.at(i) + 4 * item.number("inner") * (int(np.frombuffer(raw, "<i4").max(initial=-1)) + 1)
            if last > len(self.program.constants if src.constant else self.written):
                raise self.fail(f"selects what lies at address {last - 1}, beyond the memory")
            if not src.constant and last > 0 and not self.written[last - 1]:
                raise self.fail(f"reads address {last - 1} before it is written")


def _check_messages(segment: ChipSegment, number: int) -> None:
    """Run the streams with blocking receives: every message arrives, none is left over."""
    streams = {t: _unrolled(s) for t, s in segment.streams.items()}
    position = dict.fromkeys(streams, 0)
    in_flight: dict[tuple[int, int, int], deque[tuple[int, int]]] = {}
    moved = True
    while moved:
        moved = False
        for tile, stream in streams.items():
            while position[tile] < len(stream):
                item = stream[position[tile]]
                other, tag = item.number("tile"), item.number("tag")
                if item.name == "send":
                    in_flight.setdefault((tile, other, tag), deque()).append(_message(item))
                else:
                    queue = in_flight.get((other, tile, tag))
                    if not queue:
                        break
                    size = queue.popleft()
                    if size != _message(item):
                        raise ProgramError(
                            "isa.invalid",
                            f"segment {number}, tile {tile}: {format_instr(item)}: the message from tile "
                            f"{other} has {size[0]} bytes, {size[1]} bits of each",
                        )
                position[tile] += 1
                moved = True
    for tile, stream in streams.items():
        if position[tile] < len(stream):
            item = stream[position[tile]]
            raise ProgramError(
                "isa.invalid",
                f"segment {number}, tile {tile}: {format_instr(item)} waits for a message that never comes",
            )
    for (source, dest, tag), queue in in_flight.items():
        if queue:
            raise ProgramError(
                "isa.invalid",
                f"segment {number}: the message with tag {tag} from tile {source} is never received by "
                f"tile {dest}",
            )


def _message(item: Instr) -> tuple[int, int]:
    """Size of a message: bytes, and the bits of each that travel."""
    return item.number("bytes"), item.number("bits")


def _unrolled(stream: tuple[Instr, ...]) -> list[Instr]:
    out: list[Instr] = []
    body: list[Instr] | None = None
    count = 1
    for item in stream:
        if item.name == "loop":
            body, count = [], item.number("count")
        elif item.name == "end":
            out.extend((body or []) * count)
            body = None
        elif item.name in ("send", "recv"):
            (out if body is None else body).append(item)
    return out


def _check_outputs(segment: ChipSegment, number: int) -> None:
    stored: set[int] = set()
    for stream in segment.streams.values():
        count = 1
        for item in stream:
            if item.name == "loop":
                count = item.number("count")
            elif item.name == "end":
                count = 1
            elif item.name == "store":
                stored.update(item.index("port").at(i) for i in range(count))
    missing = sorted(set(range(len(segment.outputs))) - stored)
    if missing:
        raise ProgramError("isa.invalid", f"segment {number}: output port {missing[0]} is never stored")
