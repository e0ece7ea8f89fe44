"""What each lookup of each request asks of which owner: the same figures as :mod:`cimc.cost.owners`, but of
every request by itself instead of means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimc.cost.array_work import steps_per_phase
from cimc.cost.owners import cell_columns
from cimc.cost.work import CostError
from cimc.interpreter.bags import Bags
from cimc.ir.cim import ARRAY, COL0, COLS, TILE
from cimc.ir.residence import Residence, row_bits
from cimc.isa.directory import RowDirectory, serving_tiles
from cimc.isa.link_widths import HEADER_BITS, WORD_BITS
from cimc.isa.program import ChipSegment, Matrix, Program
from cimc.sim.kernels.lookups.pooled_rows import shard_hits
from cimc.target.spec import Constant, Target
from cimc.timing.template import SiteKey

Ints = NDArray[np.int64]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Visits:
    """Requests that reach owners, at one lookup.

    One entry per request and owner, arrays ``[n]``: ``request``; ``owner``, the code of the owner in the
    block table (a tile, or a DRAM); ``router``, the tile whose router answers for it; ``out_bits`` ids to it,
    ``in_ns`` row numbers over its bus, ``back_ns`` results over its bus, ``back_bits`` its answers;
    ``sram_ns``, ``dram_ns`` of its memories (0: not used).  ``array_visit``, ``array``, ``array_ns`` ``[m]``:
    arrays that are used in a visit (an index into the others), and for how long.

    Per request ``[requests]``: ``ids`` looked up, ``combine_ns`` of home's vector unit, ``port_bits`` through
    home's scratchpad.
    """

    request: Ints
    owner: Ints
    router: Ints
    out_bits: F64
    in_ns: F64
    back_ns: F64
    back_bits: F64
    sram_ns: F64
    dram_ns: F64
    array_visit: Ints
    array: Ints
    array_ns: F64
    ids: Ints
    combine_ns: F64
    port_bits: F64

    def part(self, first: int, stop: int) -> Visits:
        """Those of requests ``first .. stop - 1``, which are numbered from 0."""
        low, high = np.searchsorted(self.request, (first, stop))
        begin, end = np.searchsorted(self.array_visit, (low, high))
        found = {name: getattr(self, name)[low:high] for name in _PER_VISIT}
        found |= {name: getattr(self, name)[begin:end] for name in _PER_ARRAY}
        found |= {name: getattr(self, name)[first:stop] for name in _PER_REQUEST}
        found["request"], found["array_visit"] = found["request"] - first, found["array_visit"] - low
        return Visits(**found)


_PER_REQUEST = ("ids", "combine_ns", "port_bits")
_PER_ARRAY = ("array_visit", "array", "array_ns")
_PER_VISIT = tuple(name for name in Visits.__annotations__ if name not in (*_PER_REQUEST, *_PER_ARRAY))


class Table:
    """A table as lookups see it: its directory, and what each of its places takes."""

    def __init__(self, program: Program, matrix: Matrix, target: Target) -> None:
        self.matrix, self.target = matrix, target
        self.directory = RowDirectory(program, matrix)
        entries = self.directory.entries
        self.row_words = sum(f"{matrix.name}.{part}" in program.data for part in ("row_scales", "row_biases"))
        cols = entries[:, COLS]
        self.cells = self.directory.residence == int(Residence.RRAM)
        self.sram = self.directory.residence == int(Residence.SRAM)
        self.dram = self.directory.residence == int(Residence.DRAM)
        self.step_ns = steps_per_phase(cols * matrix.slices, target) * float(target.array.step_ns)
        self.stored = row_bits(cols, matrix.bits).astype(np.float64)
        burst = (target.chip.dram_burst_bytes or 1) * 8
        self.bursts = np.ceil((self.stored + self.row_words * WORD_BITS) / burst) * burst
        self.router = serving_tiles(entries, target)
        self.lowest = int(entries[:, TILE].min())
        self.columns = self._columns()
        self.cell_columns = cell_columns(entries, self.cells)

    def _columns(self) -> dict[int, int]:
        """Owner -> columns of the table that it has."""
        entries = self.directory.entries
        pieces = np.unique(entries[:, (TILE, COL0, COLS)], axis=0)
        _, first = np.unique(pieces[:, :2], axis=0, return_index=True)
        found: dict[int, int] = {}
        for tile, _, cols in pieces[first].tolist():
            found[tile] = found.get(tile, 0) + cols
        return found

    def visits(
        self, bags: Bags, first: int, pool_rows: int, mode: str, weighted: bool, id_width: int
    ) -> Visits:
        """Visits of the lookups of requests ``first``, ``first + 1``, ... whose ids are ``bags``."""
        d, target = self.directory, self.target
        singly = weighted or mode in ("max", "none") or self.row_words > 0
        hits = shard_hits(d.slot(bags.ids), bags.starts, np.arange(d.high) * d.block_rows, pool_rows)
        entry = d.entry(hits.block, hits.bag + first).reshape(-1)
        tile = d.entries[entry, TILE]
        wide = d.wide
        hit = np.repeat(np.arange(len(hits.bag)), wide)
        rows = hits.rows[hit].astype(np.float64)
        cells = self.cells[entry]
        reads = np.where(cells, hits.steps[hit], hits.rows[hit]).astype(np.float64)
        cols = d.entries[entry, COLS]

        span = int(d.entries[:, TILE].max()) - self.lowest + 1
        key, of = np.unique(hits.bag[hit] * span + tile - self.lowest, return_inverse=True)
        request, owner = key // span, key % span + self.lowest
        n = len(key)

        def total(values: F64) -> F64:
            return np.bincount(of, values, n).astype(np.float64, copy=False)

        # an owner of several column blocks of a row is asked once
        once = np.zeros(len(entry), np.bool_)
        once[np.unique(hit * span + tile - self.lowest, return_index=True)[1]] = True
        ids = total(rows * once)
        near = owner >= 0
        one_by_one = singly | ~near
        known = np.array(sorted(self.columns), np.int64)
        columns = np.array([self.columns[int(t)] for t in known], np.int64)[np.searchsorted(known, owner)]
        row_answer = rows * np.where(cells, cols * WORD_BITS, self.stored[entry])
        return_bits = np.where(one_by_one, total(row_answer), columns * float(WORD_BITS))
        moved = total(np.where(cells, singly * rows * cols * WORD_BITS, rows * self.stored[entry]))
        if not singly:  # sums of arrays are added before the bus
            moved += np.array([self.cell_columns.get(int(t), 0) for t in owner]) * float(WORD_BITS)
        bus = float(target.tile.bus_gbps)
        sram = total(rows * self.sram[entry]) * _figure(target.tile.table_sram_ns)
        rate = _figure(target.chip.dram_gbps)
        far = total(rows * self.dram[entry] * self.bursts[entry])

        arrays = np.flatnonzero(cells)
        per_tile = target.tile.arrays
        pair, to = np.unique(of[arrays] * per_tile + d.entries[entry[arrays], ARRAY], return_inverse=True)
        array_ns: F64 = np.bincount(to, reads[arrays] * self.step_ns[entry[arrays]], len(pair)).astype(float)

        counts = np.diff(bags.starts)
        returned = np.bincount(request, return_bits, len(counts))
        each = np.where(near, 1.0, ids) * -(-columns // target.tile.vector_lanes)
        answers: F64 = np.bincount(request, each, len(counts)).astype(float)
        return Visits(
            request + first,
            owner,
            self.router_of(owner),
            ids * id_width + HEADER_BITS,
            np.where(near, ids * id_width / bus, 0.0),
            np.where(near, (moved + ids * self.row_words * WORD_BITS) / bus, 0.0),
            return_bits + ids * self.row_words * WORD_BITS + HEADER_BITS,
            sram,
            far / rate if rate else far,
            pair // per_tile,
            pair % per_tile,
            array_ns,
            counts.astype(np.int64),
            self._combine(counts, answers, singly, mode, weighted),
            2 * returned + (counts if mode == "none" else 1.0) * self.matrix.cols * WORD_BITS,
        )

    def router_of(self, owner: Ints) -> Ints:
        """The tile whose router answers for owners."""
        known, at = np.unique(self.directory.entries[:, TILE], return_index=True)
        found: Ints = self.router[at][np.searchsorted(known, owner)]
        return found

    def _combine(self, ids: Ints, answers: F64, singly: bool, mode: str, weighted: bool) -> F64:
        """Ns of home's vector unit per request; ``answers``: operations to add every answer once."""
        whole = -(-self.matrix.cols // self.target.tile.vector_lanes)
        mean = 1.0 if mode == "mean" else 0.0
        if not singly:
            times = np.asarray(np.maximum(answers - whole, 0.0) + (2.0 + mean) * whole, np.float64)
        else:
            kind = "weighted" if weighted else mode
            if self.row_words:
                each = 1 + self.row_words + {"weighted": 2, "none": 0}.get(kind, 1)
                once = 0.0
            else:
                each, once = {"weighted": 4, "max": 1}.get(kind, 2), 2.0 * (kind == "max")
            times = np.asarray((ids * each + once + mean) * float(whole), np.float64)
        out: F64 = times * float(self.target.tile.vector_op_ns)
        return out


def _figure(constant: Constant | None) -> float:
    return 0.0 if constant is None else float(constant)


@dataclass
class Recorder:
    """Gathers the visits of all lookups while the functional simulator executes the requests."""

    program: Program
    target: Target

    def __post_init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.parts: dict[SiteKey, list[Visits]] = {}

    def __call__(
        self, site: tuple[int, int, int], iteration: int, first: int, matrix: Matrix, bags: Bags, mode: str
    ) -> None:
        """One lookup of some requests, as :class:`~cimc.sim.executor.Simulator` reports it."""
        table = self.tables.get(matrix.name)
        if table is None:
            table = self.tables[matrix.name] = Table(self.program, matrix, self.target)
        weighted = bags.weights is not None
        pooled = not weighted and mode in ("sum", "mean")
        segment = self.program.segments[site[0]]
        assert isinstance(segment, ChipSegment)
        width = segment.streams[site[1]][site[2]].number("idbits")
        made = table.visits(bags, first, matrix.pool_rows if pooled else 1, mode, weighted, width)
        self.parts.setdefault((*site, iteration), []).append(made)

    def of(self, key: SiteKey) -> Visits:
        """All visits of a lookup.

        Raises:
            CostError: ``cost.no-activity`` when it was not executed.
        """
        parts = self.parts.get(key)
        if not parts:
            raise CostError(
                "cost.no-activity",
                f"segment {key[0]}, tile {key[1]}, instruction {key[2]}: no request executes this lookup",
            )
        if len(parts) == 1:
            return parts[0]
        before = np.cumsum([0, *(len(p.request) for p in parts)])
        columns = {name: np.concatenate([getattr(p, name) for p in parts]) for name in Visits.__annotations__}
        columns["array_visit"] = np.concatenate(
            [p.array_visit + b for p, b in zip(parts, before, strict=False)]
        )
        whole = Visits(**columns)
        self.parts[key] = [whole]
        return whole
