"""One chip segment on a batch: every instruction is executed once for all requests of a block.

Every tile's scratchpad is a byte matrix ``[requests, bytes]``.  What each instruction means is written in
``docs/isa.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import ProgramError
from cimc.interpreter import numerics
from cimc.interpreter.bags import Bags, check_ids, chosen, without
from cimc.ir.cim import COLS, ROWS
from cimc.isa.footprint import link_bits
from cimc.isa.instructions import Instr
from cimc.isa.link_widths import HEADER_BITS, Headers, bag_form, host_headers
from cimc.isa.program import ChipSegment, Matrix
from cimc.sim.devices.noisy_dense import Inputs
from cimc.sim.devices.noisy_mode import local_use, port_use
from cimc.sim.inputs import bind
from cimc.sim.instruction_streams import Steps
from cimc.sim.kernels.searches.running_best import AllScores, Running, Sink
from cimc.sim.memory import Memory
from cimc.sim.messages import (
    packed,
    packed_bags,
    packed_numbers,
    unpacked,
    unpacked_bags,
    unpacked_numbers,
)
from cimc.sim.run_state import Run
from cimc.sim.table_lookups import count, is_pooled, look_up
from cimc.sim.vector_unit import VECTOR

Ints = NDArray[np.int64]

_CACHED = 1 << 23  # bytes of scratchpads that still sit in a cache, if the budget allows more
_LEAST = 256  # requests among which the cost of interpreting an instruction is shared in any case


@dataclass
class _Tile:
    """State of one tile during a block: its stream unrolled, where it stands, its memory."""

    number: int
    stream: Steps
    memory: Memory
    position: int = 0


class ChipRun:
    """One chip segment on all requests of a run."""

    def __init__(self, run: Run, number: int) -> None:
        self.state, self.number = run, number
        self.program = run.prepared.program
        segment = self.program.segments[number]
        assert isinstance(segment, ChipSegment)
        self.segment = segment
        self.streams = run.prepared.streams(number)
        turns = range(segment.period)
        self.headers = [host_headers(segment, run.prepared.target, turn) for turn in turns]
        self.inputs = bind(segment.inputs, run.values, self.streams.tables)
        self.messages: dict[tuple[int, int, int], list[NDArray[np.uint8]]] = {}
        self.first = 0
        self.rows = 0
        self.outputs: dict[int, NDArray[Any]] = {}
        self.uses: dict[str, int] = {}

    def run(self) -> None:
        """Execute the segment; its outputs become values of the run."""
        batch, progress = self.inputs.batch, self.state.progress
        self.state.activity.requests = max(self.state.activity.requests, batch)
        for number, port in enumerate(self.segment.outputs):
            self.outputs[number] = np.empty((batch, *port.shape), np.dtype(port.source))
        block = min(max(batch, 1), self._requests_at_a_time())
        for self.first in range(0, max(batch, 1), block):  # no request at all: what is done is nothing
            self.rows = min(block, batch - self.first)
            self._block()
            if progress is not None and batch:
                progress(self.first + self.rows, batch)
        for number, port in enumerate(self.segment.outputs):
            self.state.values[port.value] = self.outputs[number]

    def _requests_at_a_time(self) -> int:
        one, budget = max(sum(self.streams.sizes.values()), 1), self.state.memory
        if one > budget:
            raise ProgramError(
                "sim.memory-budget",
                f"the scratchpads of one request take {one:,} bytes, the budget is {budget:,}",
                hint="give a larger budget (--memory)",
            )
        return min(budget // one, max(_CACHED // one, _LEAST))

    def _block(self) -> None:
        self.uses = {}
        constants, scratchpads = self.state.prepared.constants, self.state.scratchpads
        waiting = []
        for tile, stream in self.streams.steps.items():
            own = scratchpads.zeroed(self.number, tile, self.rows, self.streams.sizes[tile])
            waiting.append(_Tile(tile, stream, Memory(own, constants)))
        while waiting:
            moved = False
            for each in waiting:
                moved |= self._advance(each)
            waiting = [t for t in waiting if t.position < len(t.stream)]
            if waiting and not moved:
                raise ProgramError("sim.deadlock", "the streams wait for each other")

    def _advance(self, tile: _Tile) -> bool:
        """Execute instructions of a tile until it waits for a message; whether any was executed."""
        start = tile.position
        while tile.position < len(tile.stream):
            at, item, i = tile.stream[tile.position]
            if item.name == "recv" and not self.messages.get(self._channel(item, tile, False)):
                break
            if item.name in VECTOR:
                VECTOR[item.name](tile.memory, item, i)
            else:
                _EXECUTE[item.name](self, tile, item, i, at)
            tile.position += 1
        return tile.position > start

    @staticmethod
    def _channel(item: Instr, tile: _Tile, sending: bool) -> tuple[int, int, int]:
        other, tag = item.number("tile"), item.number("tag")
        return (tile.number, other, tag) if sending else (other, tile.number, tag)

    # -- host link and router -----------------------------------------------------------------------

    def _cross(self, tile: _Tile, at: int, i: int, bits: Ints) -> None:
        """Count ``bits [requests]`` between the host and a tile, and headers."""
        target, traffic = self.state.prepared.target, self.state.activity.traffic
        for turn, mine in self._instances(self.segment.period):
            place, total, rows = self.segment.at(tile.number, turn), int(bits[mine].sum()), len(bits[mine])
            begun = self.headers[turn].get((tile.number, at)) if i == 0 else None
            link, mesh = begun or Headers()
            gate, messages = self.segment.gate(place, target), 0 if begun is None else rows
            traffic.send(target, gate, place, total + rows * mesh, messages)
            traffic.host_bits += total + rows * link

    def load(self, tile: _Tile, item: Instr, i: int, at: int) -> None:
        n = item.number("n")
        source = self.inputs.dense[item.index("port").at(i)][self.first : self.first + self.rows]
        out = tile.memory.f32 if source.dtype == np.float32 else tile.memory.i32
        out(item.ref("dst"), i, n)[...] = source.reshape(self.rows, n)
        self._cross(tile, at, i, np.full(self.rows, link_bits(item)))

    def loadq(self, tile: _Tile, item: Instr, i: int, at: int) -> None:
        n, signed = item.number("n"), item.word("sign") == "signed"
        source = self.inputs.dense[item.index("port").at(i)][self.first : self.first + self.rows]
        bits = item.number("bits")
        whole = numerics.quantize(source.reshape(self.rows, n), item.real("scale"), bits, signed)
        sent = packed(whole.view(np.uint8), bits)
        tile.memory.raw(item.ref("dst"), i, n)[...] = unpacked(sent, n, bits, signed)
        self._cross(tile, at, i, np.full(self.rows, link_bits(item)))

    def store(self, tile: _Tile, item: Instr, i: int, at: int) -> None:
        number = item.index("port").at(i)
        port = self.segment.outputs[number]
        read = tile.memory.f32 if port.dtype == "f32" else tile.memory.i32
        values = read(item.ref("src"), i, item.number("n"))
        self.outputs[number][self.first : self.first + self.rows] = values.reshape(self.rows, *port.shape)
        self._cross(tile, at, i, np.full(self.rows, link_bits(item)))

    def send(self, tile: _Tile, item: Instr, i: int, at: int) -> None:
        data = packed(tile.memory.raw(item.ref("src"), i, item.number("bytes")), item.number("bits"))
        self.messages.setdefault(self._channel(item, tile, True), []).append(data)
        target, traffic = self.state.prepared.target, self.state.activity.traffic
        for turn, mine in self._instances(self.segment.period):
            source, dest = (self.segment.at(t, turn) for t in (tile.number, item.number("tile")))
            rows = len(range(self.rows)[mine])
            traffic.send(target, source, dest, rows * (link_bits(item) + HEADER_BITS), rows)

    def recv(self, tile: _Tile, item: Instr, i: int, at: int) -> None:
        data = self.messages[self._channel(item, tile, False)].pop(0)
        n, signed = item.number("bytes"), item.word("sign") == "signed"
        tile.memory.raw(item.ref("dst"), i, n)[...] = unpacked(data, n, item.number("bits"), signed)

    # -- arrays -------------------------------------------------------------------------------------

    def mvm(self, tile: _Tile, item: Instr, i: int, at: int) -> None:
        matrix = self.program.matrices[item.index("matrix").at(i)]
        kernel = self.state.prepared.kernel(matrix)
        first, count = item.number("first"), item.number("count")
        raw = tile.memory.raw(item.ref("src"), i, matrix.rows)
        x: Inputs = raw.view(np.int8) if matrix.input_signed else raw
        left, right = kernel.columns(first, count)
        self._converted(matrix, first, count)
        out = tile.memory.i32(item.ref("dst"), i, right - left)
        threads, noise = self.state.threads, self.state.noise
        product = kernel.adc if self.state.mode == "adc" else kernel.exact
        try:
            if noise is not None:
                use = self._local_use(f"{matrix.name} {first}")
                given: Any = x if len(x) == len(out) else np.repeat(x, len(out), axis=0)  # a constant input
                for instance, mine in self._instances(len(self.segment.places(tile.number))):
                    cells = noise.dense(matrix, instance)
                    request = self.first + mine.start
                    out[mine] = cells.noisy(given[mine], first, count, request, use, threads, mine.step)
            elif len(x) != len(out):  # constant inputs
                out[...] = product(x, first, count, threads=threads)
            else:
                product(x, first, count, threads=threads, out=out)
        except ValueError as error:
            raise ProgramError("sim.bad-operand", f"matrix {matrix.name}: {error}") from None

    def search(self, tile: _Tile, item: Instr, i: int, at: int) -> None:
        matrix = self.program.matrices[item.index("matrix").at(i)]
        if self.state.noise is not None:
            raise ProgramError(
                "sim.noisy-search",
                f"corpus {matrix.name}: searches are not simulated in the cells of a device",
                hint="use --mode exact or adc",
            )
        raw = tile.memory.raw(item.ref("src"), i, matrix.cols)
        given: Inputs = raw.view(np.int8) if matrix.input_signed else raw
        first, count, k = item.number("first"), item.number("count"), item.number("k")
        self._searched(matrix, first, count)
        out = tile.memory.i32(item.ref("dst"), i, 2 * k)
        bus = item.number("width"), item.number("shift")
        best = Running(len(out), k, *bus)
        sinks: list[Sink] = [best]
        if self.state.scores is not None:
            shape = self.inputs.batch, matrix.rows
            whole = self.state.scores.setdefault(matrix.name, np.zeros(shape, np.float32))
            sinks.append(AllScores(whole[self.first : self.first + self.rows], *bus))
        x: Any = np.broadcast_to(given, (len(out), matrix.cols))
        try:
            self.state.prepared.corpus(matrix).search(
                x, first, count, sinks, self.state.mode, self.state.threads
            )
        except ValueError as error:
            raise ProgramError("sim.bad-operand", f"matrix {matrix.name}: {error}") from None
        out[...] = best.lists()

    def _searched(self, matrix: Matrix, first: int, count: int) -> None:
        """Count what the converters of a ``search`` do for all requests of the block."""
        target = self.state.prepared.target
        blocks = self.program.data[f"{matrix.name}.blocks"][first : first + count]
        times = self.rows * target.input_phases(matrix.input_bits, matrix.input_signed)
        columns = blocks[:, ROWS].astype(np.int64) * matrix.slices
        self.state.activity.traffic.convert(target, columns, np.full(count, times, np.int64))

    def _converted(self, matrix: Matrix, first: int, count: int) -> None:
        """Count what the converters of an ``mvm`` do for all requests of the block."""
        target = self.state.prepared.target
        blocks = self.program.data[f"{matrix.name}.blocks"][first : first + count]
        columns = blocks[:, COLS].astype(np.int64) * matrix.slices
        times = self.rows * target.input_phases(matrix.input_bits, matrix.input_signed)
        self.state.activity.traffic.convert(target, columns, np.full(count, times, np.int64))

    def bag(self, tile: _Tile, item: Instr, i: int, at: int) -> None:
        whole = self.inputs.bags[item.index("port").at(i)]
        starts = whole.starts[self.first : self.first + self.rows + 1]
        part = slice(int(starts[0]), int(starts[-1]))
        weights = None if whole.weights is None else whole.weights[part]
        bags = Bags(whole.ids[part], starts - starts[0], weights, (self.rows,))
        port, width = self.segment.inputs[item.index("port").at(i)], item.number("idbits")
        message = packed_bags(bags, port, width)
        arrived, mode = unpacked_bags(message, self.rows, port, width), item.word("mode")
        form = bag_form(port, width)
        self._cross(tile, at, i, form.per_bag + form.per_id * np.diff(arrived.starts))
        self._look_up(tile, item, i, at, arrived, mode, port_use(port, mode))

    def lookup(self, tile: _Tile, item: Instr, i: int, at: int) -> None:
        self._look_up(tile, item, i, at, self._local_bags(tile, item, i, None), item.word("mode"))

    def lookupw(self, tile: _Tile, item: Instr, i: int, at: int) -> None:
        weights = tile.memory.f32(item.ref("weights"), i, item.number("n"))
        self._look_up(tile, item, i, at, self._local_bags(tile, item, i, weights), "sum")

    def _local_bags(self, tile: _Tile, item: Instr, i: int, weights: NDArray[np.float32] | None) -> Bags:
        """Bags of equal length whose ids are in the scratchpad; ids are checked here."""
        n = item.number("n")
        ids = tile.memory.i32(item.ref("ids"), i, n).astype(np.int64).reshape(-1)
        starts = np.arange(self.rows + 1, dtype=np.int64) * n
        flat = None if weights is None else np.ascontiguousarray(weights).reshape(-1)
        bags = Bags(ids, starts, flat, (self.rows,))
        if item.word("drop") == "equal":
            bags = without(bags, item.number("pad"))
        matrix = self.program.matrices[item.index("matrix").at(i)]
        check_ids(bags, matrix.rows, matrix.name, self.first)
        width = item.number("idbits")  # as they go to the owners of their rows
        return bags._replace(ids=unpacked_numbers(packed_numbers(bags.ids, width), width))

    def _look_up(
        self, tile: _Tile, item: Instr, i: int, at: int, bags: Bags, mode: str, use: int | None = None
    ) -> None:
        """``use`` tells lookups in the same table apart; counted, if not given (see :meth:`_local_use`)."""
        run = self.state
        matrix = self.program.matrices[item.index("matrix").at(i)]
        if use is None:
            use = self._local_use(matrix.name)
        out = look_up(run, matrix, bags, mode, np.float32(item.real("scale")), self.first, use)
        n = out.size // max(self.rows, 1)
        tile.memory.f32(item.ref("dst"), i, n)[...] = out.reshape(self.rows, n)
        pooled, width = is_pooled(bags, mode), item.number("idbits")
        places = self.segment.places(tile.number)
        for instance, mine in self._instances(len(places)):
            which = np.arange(mine.start, self.rows, mine.step)
            part = bags if len(places) == 1 else chosen(bags, which)
            site = (self.number, places[instance], at)
            count(run, site, matrix, part, pooled, width, self.first + which, item.name == "bag")
        if run.observer is not None:
            run.observer((self.number, tile.number, at), i, self.first, matrix, bags, mode)

    def _instances(self, count: int) -> list[tuple[int, slice]]:
        """Each of ``count`` instances of a stream with the requests of the block that use it, if any do.

        Where there is no request at all every instance is known to have done nothing.
        """
        found = [(k, slice((k - self.first) % count, None, count)) for k in range(count)]
        return [(k, mine) for k, mine in found if mine.start < self.rows or not self.rows]

    def _local_use(self, what: str) -> int:
        """Number of this use of ``what`` for the same requests: keeps the noise of repeated uses apart."""
        count = self.uses[what] = self.uses.get(what, -1) + 1
        return local_use(self.number, count)


_EXECUTE: dict[str, Callable[[ChipRun, _Tile, Instr, int, int], None]] = {
    name: getattr(ChipRun, name)
    for name in ("load", "loadq", "store", "send", "recv", "mvm", "search", "bag", "lookup", "lookupw")
}
