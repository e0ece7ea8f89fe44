"""The functional simulator: executes a program on a batch of requests.

Instructions are executed once for all requests of a block; every tile's scratchpad is a byte matrix
``[requests, bytes]``.  What each instruction means is written in ``docs/isa.md``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cimc.errors import ProgramError, RequestError
from cimc.frontend.host import HostRunner
from cimc.ir.bags import Bags, RowScales, averaged, check_ids, without
from cimc.ir.cim import TILE
from cimc.ir.requests import checked_arrays
from cimc.ir.residence import Residence
from cimc.isa.directory import RowDirectory
from cimc.isa.footprint import accesses
from cimc.isa.instructions import Instr
from cimc.isa.program import ChipSegment, HostSegment, Matrix, Program
from cimc.isa.verify import verify_program
from cimc.sim.activity import Activity, LookupActivity, Site
from cimc.sim.devices.noise import Noise, conditions_of, local_use, port_use
from cimc.sim.devices.spec import Device
from cimc.sim.host_counts import HostCounts
from cimc.sim.inputs import bind
from cimc.sim.kernels.dense import DenseKernel
from cimc.sim.kernels.lookup import (
    pooled_max,
    pooled_sum,
    scaled_max,
    scaled_sum,
    shard_hits,
    weighted_sum,
)
from cimc.sim.memory import Memory
from cimc.sim.reading import TableReader
from cimc.sim.vector import VECTOR
from cimc.target.spec import Target

Mode = Literal["exact", "adc", "noisy"]
MODES: tuple[Mode, ...] = ("exact", "adc", "noisy")
Requests = dict[str, NDArray[Any]]
Observer = Callable[[Site, int, int, Matrix, Bags, str], None]
"""Told of every lookup: instruction, loop iteration, first request, table, ids of some requests, mode."""

MEMORY = 1 << 28
"""Default budget of a run in bytes: scratchpads of all tiles times the requests held at a time."""
_CACHED = 1 << 23  # bytes of scratchpads that still sit in a cache, if the budget allows more
_LEAST = 256  # requests among which the cost of interpreting an instruction is shared in any case


class Simulator:
    """Executes one program; kernels are prepared once and kept between runs.

    Args:
        program: a program compiled for ``target``; it is verified here.
        target: the machine.
        memory: bytes that the scratchpads of all requests held at a time may take: a larger batch is executed
            in blocks, which changes no result.  Kernels take some 20 MB beside it.

    Raises:
        ProgramError: when the program does not verify on the target.
    """

    def __init__(self, program: Program, target: Target, memory: int = MEMORY) -> None:
        verify_program(program, target)
        self.program, self.target, self.memory = program, target, memory
        self._kernels: dict[str, DenseKernel] = {}
        self._readers: dict[str, TableReader] = {}
        self._directories: dict[str, RowDirectory] = {}
        self.threads = 1
        """Threads that share every product and noisy lookup; any number gives the same results."""
        self.noise: Noise | None = None
        self.observer: Observer | None = None
        self._host = HostRunner()
        self._host_counts = HostCounts(program.data, self._host)
        self.memories: dict[tuple[int, int], NDArray[np.uint8]] = {}

    def run(
        self,
        requests: Requests,
        mode: Mode,
        progress: Callable[[int, int], None] | None = None,
        *,
        device: Device | None = None,
        age: float | None = None,
        seed: int | None = None,
    ) -> tuple[Requests, Activity]:
        """Outputs of all requests, and what the lookups did.

        ``progress`` is called with (requests done, requests in all) of the chip segment under way.
        ``device``, ``age`` in seconds since programming, and ``seed`` belong to mode ``noisy``.

        Raises:
            RequestError: arrays missing or of wrong dtype or shape, ids out of range, NaN.
            DeviceError: noisy mode without a device, or conditions that do not fit.
            ProgramError: ``sim.memory-budget`` when not even one request fits the budget.
        """
        if mode not in MODES:
            raise RequestError("request.bad-mode", f"mode '{mode}' is none of {', '.join(MODES)}")
        if self.threads < 1:
            raise RequestError("request.bad-threads", f"{self.threads} threads", hint="give 1 or more")
        conditions = conditions_of(mode == "noisy", device, age, seed)
        if conditions is not None and (self.noise is None or self.noise.conditions != conditions):
            self.noise = Noise(self.program, self.target, conditions, self.directory)
        chip = [s for s in self.program.segments if isinstance(s, ChipSegment)]
        entering = {name for s in chip for p in s.inputs for name in (p.value, p.weights)}
        values = checked_arrays(self.program.header.inputs, requests, finite=entering)
        activity = Activity()
        for number, segment in enumerate(self.program.segments):
            if isinstance(segment, HostSegment):
                activity.host_seconds += self._run_host(segment, values)
                inputs = {inner: values[outer] for inner, outer in segment.inputs}
                activity.host_work += self._host_counts.of(segment.model, inputs)
            else:
                _ChipRun(self, number, segment, values, mode, activity).run(progress)
        outputs = {name: values[value] for name, value in self.program.header.outputs}
        if not chip:
            activity.requests = _common_rows(outputs)
        return outputs, activity

    def _run_host(self, segment: HostSegment, values: Requests) -> float:
        start = time.perf_counter()
        model = self.program.data[segment.model].tobytes()
        outputs = self._host.run(
            model, {inner: values[outer] for inner, outer in segment.inputs}, [o for o, _ in segment.outputs]
        )
        for inner, outer in segment.outputs:
            values[outer] = outputs[inner]
        return time.perf_counter() - start

    def kernel(self, matrix: Matrix) -> DenseKernel:
        """The kernel of a dense matrix."""
        if matrix.name not in self._kernels:
            data = self.program.data
            self._kernels[matrix.name] = DenseKernel(
                data[f"{matrix.name}.data"], data[f"{matrix.name}.blocks"], data[f"{matrix.name}.ranges"],
                self.target.array, matrix.bits, matrix.input_bits, matrix.input_signed,
                data.get(f"{matrix.name}.certificate"),
            )  # fmt: skip
        return self._kernels[matrix.name]

    def reader(self, matrix: Matrix) -> TableReader:
        """What reads the rows of a table."""
        if matrix.name not in self._readers:
            self._readers[matrix.name] = TableReader(
                self.program, matrix, self.target, self.directory(matrix)
            )
        return self._readers[matrix.name]

    def directory(self, matrix: Matrix) -> RowDirectory:
        """The row directory of a table."""
        if matrix.name not in self._directories:
            self._directories[matrix.name] = RowDirectory(self.program, matrix)
        return self._directories[matrix.name]


def _common_rows(outputs: Requests) -> int:
    """Requests of a run without chip segments: the rows of the outputs, or 1 if they do not agree."""
    rows = {array.shape[0] for array in outputs.values() if isinstance(array, np.ndarray) and array.ndim}
    return rows.pop() if len(rows) == 1 else 1


@dataclass
class _Tile:
    """State of one tile during a block: its stream unrolled, where it stands, its memory."""

    number: int
    stream: list[tuple[int, Instr, int]]
    memory: Memory
    position: int = 0


class _ChipRun:
    """One chip segment on all requests."""

    def __init__(
        self,
        simulator: Simulator,
        number: int,
        segment: ChipSegment,
        values: Requests,
        mode: Mode,
        activity: Activity,
    ) -> None:
        self.sim, self.number, self.segment = simulator, number, segment
        self.values, self.mode, self.activity = values, mode, activity
        self.program = simulator.program
        self.constants = self.program.constants.reshape(1, -1)
        self.streams = {t: _unroll(s) for t, s in segment.streams.items()}
        self.sizes = {t: _memory_size(s, self.program) for t, s in segment.streams.items()}
        self.inputs = bind(segment.inputs, values, self._tables_of_ports())
        self.messages: dict[tuple[int, int, int], list[NDArray[np.uint8]]] = {}
        self.first = 0
        self.rows = 0
        self.outputs: dict[int, NDArray[Any]] = {}
        self.noise = simulator.noise if mode == "noisy" else None
        self.uses: dict[str, int] = {}

    def _tables_of_ports(self) -> dict[int, Matrix]:
        tables: dict[int, Matrix] = {}
        for stream in self.streams.values():
            for _, item, i in stream:
                if item.name == "bag":
                    tables[item.index("port").at(i)] = self.program.matrices[item.index("matrix").at(i)]
        return tables

    def run(self, progress: Callable[[int, int], None] | None) -> None:
        batch = self.inputs.batch
        self.activity.requests = max(self.activity.requests, batch)
        for number, port in enumerate(self.segment.outputs):
            self.outputs[number] = np.empty((batch, *port.shape), np.dtype(port.source))
        block = min(max(batch, 1), self._requests_at_a_time())
        for self.first in range(0, max(batch, 1), block):  # no request at all: what is done is nothing
            self.rows = min(block, batch - self.first)
            self._block()
            if progress is not None and batch:
                progress(self.first + self.rows, batch)
        for number, port in enumerate(self.segment.outputs):
            self.values[port.value] = self.outputs[number]

    def _requests_at_a_time(self) -> int:
        one = max(sum(self.sizes.values()), 1)
        if one > self.sim.memory:
            raise ProgramError(
                "sim.memory-budget",
                f"the scratchpads of one request take {one:,} bytes, the budget is {self.sim.memory:,}",
                hint="give a larger budget (--memory)",
            )
        return min(self.sim.memory // one, max(_CACHED // one, _LEAST))

    def _scratchpad(self, tile: int) -> NDArray[np.uint8]:
        """A tile's memory for the requests of this block, all zeros; the same memory for every block."""
        memories = self.sim.memories  # kept between runs: fresh memory costs more than the arithmetic on it
        memory = memories.get((self.number, tile))
        if memory is None or len(memory) < self.rows:
            memory = memories[self.number, tile] = np.zeros((self.rows, self.sizes[tile]), np.uint8)
        else:
            memory[: self.rows].fill(0)
        return memory[: self.rows]

    def _block(self) -> None:
        self.uses = {}
        tiles = [
            _Tile(t, stream, Memory(self._scratchpad(t), self.constants))
            for t, stream in self.streams.items()
        ]
        waiting = tiles
        while waiting:
            moved = False
            for tile in waiting:
                moved |= self._advance(tile)
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

    def load(self, tile: _Tile, item: Instr, i: int, at: int) -> None:
        n = item.number("n")
        source = self.inputs.dense[item.index("port").at(i)][self.first : self.first + self.rows]
        out = tile.memory.f32 if source.dtype == np.float32 else tile.memory.i32
        out(item.ref("dst"), i, n)[...] = source.reshape(self.rows, n)

    def store(self, tile: _Tile, item: Instr, i: int, at: int) -> None:
        number = item.index("port").at(i)
        port = self.segment.outputs[number]
        read = tile.memory.f32 if port.dtype == "f32" else tile.memory.i32
        values = read(item.ref("src"), i, item.number("n"))
        self.outputs[number][self.first : self.first + self.rows] = values.reshape(self.rows, *port.shape)

    def send(self, tile: _Tile, item: Instr, i: int, at: int) -> None:
        data = tile.memory.raw(item.ref("src"), i, item.number("bytes")).copy()
        self.messages.setdefault(self._channel(item, tile, True), []).append(data)

    def recv(self, tile: _Tile, item: Instr, i: int, at: int) -> None:
        data = self.messages[self._channel(item, tile, False)].pop(0)
        tile.memory.raw(item.ref("dst"), i, item.number("bytes"))[...] = data

    # -- arrays -------------------------------------------------------------------------------------

    def mvm(self, tile: _Tile, item: Instr, i: int, at: int) -> None:
        matrix = self.program.matrices[item.index("matrix").at(i)]
        kernel = self.sim.kernel(matrix)
        first, count = item.number("first"), item.number("count")
        raw = tile.memory.raw(item.ref("src"), i, matrix.rows)
        x = raw.view(np.int8) if matrix.input_signed else raw
        left, right = kernel.columns(first, count)
        out = tile.memory.i32(item.ref("dst"), i, right - left)
        threads, product = self.sim.threads, kernel.adc if self.mode == "adc" else kernel.exact
        try:
            if self.noise is not None:
                use = self._local_use(f"{matrix.name} {first}")
                out[...] = self.noise.dense(matrix).noisy(x, first, count, self.first, use, threads)
            elif len(x) != len(out):  # constant inputs
                out[...] = product(x, first, count, threads=threads)
            else:
                product(x, first, count, threads=threads, out=out)
        except ValueError as error:
            raise ProgramError("sim.bad-operand", f"matrix {matrix.name}: {error}") from None

    def bag(self, tile: _Tile, item: Instr, i: int, at: int) -> None:
        whole = self.inputs.bags[item.index("port").at(i)]
        starts = whole.starts[self.first : self.first + self.rows + 1]
        part = slice(int(starts[0]), int(starts[-1]))
        weights = None if whole.weights is None else whole.weights[part]
        bags = Bags(whole.ids[part], starts - starts[0], weights, (self.rows,))
        use = port_use(self.segment.inputs[item.index("port").at(i)].value)
        self._look_up(tile, item, i, at, bags, item.word("mode"), use)

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
        return bags

    def _look_up(
        self, tile: _Tile, item: Instr, i: int, at: int, bags: Bags, mode: str, use: int | None = None
    ) -> None:
        """``use`` tells lookups in the same table apart; counted, if not given (see :meth:`_local_use`)."""
        matrix = self.program.matrices[item.index("matrix").at(i)]
        reader, scale = self.sim.reader(matrix), np.float32(item.real("scale"))
        pooled = bags.weights is None and mode in ("sum", "mean")
        sums: NDArray[np.int32] | None = None
        if self.noise is not None:
            use = self._local_use(matrix.name) if use is None else use
            if pooled and reader.scales is None:
                table, read, own = reader.written, bags, None
                sums = self.noise.pooled(matrix, bags, self.first, use, self.sim.threads)
            else:
                table, read, own = self.noise.rows(
                    matrix, bags, reader.scales, self.first, use, self.sim.threads
                )
        else:
            table, read, own = reader.read(bags, converted=self.mode == "adc")
        if own is not None:
            out = self._own_scales(table, own, read, mode)
        elif read.weights is not None:
            out = weighted_sum(table, float(scale), read.ids, read.weights, read.starts)
        elif mode == "none":
            out = table[read.ids].astype(np.float32) * scale
        elif mode == "max":
            out = pooled_max(table, read.ids, read.starts).astype(np.float32) * scale
        else:
            sums = pooled_sum(table, read.ids, read.starts) if sums is None else sums
            out = sums.astype(np.float32) * scale
            if mode == "mean":
                out = averaged(out, np.diff(read.starts))
        n = out.size // max(self.rows, 1)
        tile.memory.f32(item.ref("dst"), i, n)[...] = out.reshape(self.rows, n)
        self._count((self.number, tile.number, at), matrix, bags, matrix.pool_rows if pooled else 1)
        if self.sim.observer is not None:
            self.sim.observer((self.number, tile.number, at), i, self.first, matrix, bags, mode)

    def _local_use(self, what: str) -> int:
        """Number of this use of ``what`` for the same requests: keeps the noise of repeated uses apart."""
        count = self.uses[what] = self.uses.get(what, -1) + 1
        return local_use(self.number, count)

    @staticmethod
    def _own_scales(table: NDArray[Any], own: RowScales, bags: Bags, mode: str) -> NDArray[np.float32]:
        """A lookup in a table of which each row has its own scale."""
        if mode == "none":
            return own.of(table[bags.ids], bags.ids)
        if mode == "max":
            return scaled_max(table, own, bags.ids, bags.starts)
        out = scaled_sum(table, own, bags.ids, bags.weights, bags.starts)
        return averaged(out, np.diff(bags.starts)) if mode == "mean" else out

    def _count(self, site: Site, matrix: Matrix, bags: Bags, pool_rows: int) -> None:
        """Count what a lookup does, at each place that holds a part of the table."""
        directory = self.sim.directory(matrix)
        places = len(directory.entries)
        counted = self.activity.lookups.setdefault(
            site, LookupActivity(np.zeros(places, np.int64), np.zeros(places, np.int64))
        )
        first_rows = np.arange(directory.high) * directory.block_rows
        hits = shard_hits(directory.slot(bags.ids), bags.starts, first_rows, pool_rows)
        found = directory.place(hits.block, hits.bag + self.first)
        rows = np.broadcast_to(hits.rows[:, None], found.entry.shape)
        # SRAM and DRAM read row by row; only arrays pool
        reads = np.where(found.residence == int(Residence.RRAM), hits.steps[:, None], rows)
        for sums, amounts in ((counted.block_rows, rows), (counted.block_activations, reads)):
            sums += np.bincount(found.entry.ravel(), amounts.ravel(), places).astype(np.int64)
        counted.ids += bags.ids.size
        lowest = int(directory.entries[:, TILE].min())
        span = int(directory.entries[:, TILE].max()) - lowest + 1
        pairs = np.unique(hits.bag[:, None] * span + (found.tile - lowest))
        for number, count in zip(*np.unique(pairs % span + lowest, return_counts=True), strict=True):
            counted.tile_visits[int(number)] = counted.tile_visits.get(int(number), 0) + int(count)


_EXECUTE: dict[str, Callable[[_ChipRun, _Tile, Instr, int, int], None]] = {
    name: getattr(_ChipRun, name)
    for name in ("load", "store", "send", "recv", "mvm", "bag", "lookup", "lookupw")
}


def _unroll(stream: tuple[Instr, ...]) -> list[tuple[int, Instr, int]]:
    """(position in the stream, instruction, loop iteration) in order of execution."""
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
    return out


def _memory_size(stream: tuple[Instr, ...], program: Program) -> int:
    """Scratchpad bytes that a stream touches, rounded up to whole 8-byte words."""
    top = 0
    for _, item, i in _unroll(stream):
        for access in accesses(item, program):
            if not access.ref.constant:
                top = max(top, access.ref.at(i) + access.high)
    return -(-top // 8) * 8
