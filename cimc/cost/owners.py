"""Who answers a lookup: tiles with crossbar arrays or table SRAM, and DRAMs at the edge of their chips.

All figures are means per execution of the lookup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimc.cost.array_work import Blocks, Counts, steps_per_phase
from cimc.cost.machine_units import Unit
from cimc.cost.work import CostError, Work
from cimc.ir.cim import ARRAY, COL0, COLS, ROW0, TILE
from cimc.ir.residence import Residence, dram_chip, residence_of, row_bits
from cimc.isa.directory import places_of, serving_tiles
from cimc.isa.instructions import Instr
from cimc.isa.link_widths import WORD_BITS
from cimc.isa.program import Matrix, Program
from cimc.isa.verify_places import wrong_place
from cimc.sim.activity import Activity, LookupActivity, Site
from cimc.target.spec import Constant, Target


@dataclass(frozen=True)
class Reading:
    """The table that a lookup reads, and its mean activity per execution.

    Arrays over the places of the table at the owners that are asked, copies included: ``blocks`` ``[n, 7]``,
    ``residence``, ``rows`` (rows read), ``activations`` (reads: of arrays up to ``pool_rows`` rows at once).
    ``visits``: owner -> executions that reach it; owners are tiles, and DRAMs under their code in the block
    table.  ``ids`` per execution, of ``id_width`` bits; ``row_words``: numbers that are kept beside each row
    and returned with it, a scale and a bias.
    """

    matrix: Matrix
    blocks: Blocks
    residence: NDArray[np.int8]
    rows: Counts
    activations: Counts
    visits: dict[int, float]
    ids: float
    id_width: int
    row_words: int = 0

    def where(self, residence: Residence) -> NDArray[np.bool_]:
        """Which places are of this residence; bool ``[n]``."""
        mask: NDArray[np.bool_] = self.residence == int(residence)
        return mask

    @property
    def stored_bits(self) -> Counts:
        """Bits of one row at each place, read from SRAM or DRAM; ``[n]``."""
        return row_bits(self.blocks[:, COLS], self.matrix.bits).astype(np.float64)

    @property
    def burst_bits(self) -> Counts:
        """Bits of one row at each place with what is kept beside it, as they leave the memory; ``[n]``."""
        return self.stored_bits + self.row_words * WORD_BITS


@dataclass(frozen=True)
class Owner:
    """One owner's part in a lookup: what reaches it, what it does, what it returns.

    ``tile`` is where its router is; a DRAM's is the one at the first port of its chip.  ``near``: whether it
    adds what it reads, and returns one vector of ``columns`` i32 a visit.  ``memory_ns``: its busiest memory
    or array, given a visit; ``return_bits`` of all answers, headers and row words apart.
    """

    tile: int
    near: bool
    visits: float
    ids: float
    columns: int
    memory_ns: float
    bus_bits: float
    return_bits: float


def reading(
    item: Instr, site: Site, executions: int, program: Program, target: Target, activity: Activity
) -> Reading:
    """Combine the row directory with what a run did in ``executions`` of the instruction at ``site``.

    Raises:
        CostError: ``cost.no-activity`` when the run did not execute this instruction, ``cost.bad-activity``
            when its counts do not fit the table, ``cost.not-placed`` when a block lies nowhere.
    """
    where = f"segment {site[0]}, tile {site[1]}, instruction {site[2]} ({item.name})"
    seen = activity.lookups.get(site)
    if seen is None:
        raise CostError(
            "cost.no-activity",
            f"{where}: what a lookup costs depends on the requests, and there is no activity for it",
            hint="run the program on representative requests and pass that run's activity",
        )
    if item.index("matrix").stride:
        raise CostError(
            "cost.bad-activity", f"{where}: activity does not tell apart the tables that a loop goes through"
        )
    matrix = program.matrices[item.index("matrix").base]
    blocks = table_places(matrix, program, target)
    for what, counts in (("block_rows", seen.block_rows), ("block_activations", seen.block_activations)):
        if counts.shape != (len(blocks),):
            raise CostError(
                "cost.bad-activity", f"{where}: {what} has shape {counts.shape}, not ({len(blocks)},)"
            )
    _check_visits(seen, blocks, where)
    # with copies for every instance most owners are not asked here
    asked = np.isin(blocks[:, TILE], [tile for tile, count in seen.tile_visits.items() if count])
    return Reading(
        matrix,
        blocks[asked],
        residence_of(blocks[asked]),
        seen.block_rows[asked] / executions,
        seen.block_activations[asked] / executions,
        {tile: count / executions for tile, count in sorted(seen.tile_visits.items()) if count},
        seen.ids / executions,
        item.number("idbits"),
        sum(f"{matrix.name}.{part}" in program.data for part in ("row_scales", "row_biases")),
    )


def table_places(matrix: Matrix, program: Program, target: Target) -> Blocks:
    """Every place that holds a part of a matrix, ``int64[places, 7]``: cells, SRAM or DRAM, copies too.

    Raises:
        CostError: ``cost.not-placed`` when one of them is none of the target's.
    """
    places = places_of(program, matrix)
    why = wrong_place(places, matrix, target)
    if why:
        raise CostError(
            "cost.not-placed",
            f"matrix {matrix.name} {why} {target.name}" if why.endswith("target") else f"{matrix.name} {why}",
            hint="run the pass 'place' for this target",
        )
    return places


def _check_visits(seen: LookupActivity, blocks: Blocks, where: str) -> None:
    active = {int(t) for t in np.unique(blocks[seen.block_activations > 0, TILE])}
    visited = {tile for tile, count in seen.tile_visits.items() if count}
    if active != visited:
        odd = min(active ^ visited)
        what = "is active but not visited" if odd in active else "is visited but not active"
        raise CostError("cost.bad-activity", f"{where}: tile {odd} {what}")


def _groups(*columns: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Group number of each entry by the values of ``columns``, and the first entry of each group."""
    code = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        low = int(column.min(initial=0))
        code = code * (int(column.max(initial=0)) - low + 1) + column - low
    _, first, number = np.unique(code, return_index=True, return_inverse=True)
    return number, first


def ids_per_owner(table: Reading) -> dict[int, float]:
    """Ids sent to each owner: a row cut into several column blocks is asked for once."""
    used = np.flatnonzero(table.rows > 0)
    blocks = table.blocks[used]
    piece, first = _groups(blocks[:, TILE], blocks[:, ROW0], blocks[:, COL0])
    rows = np.bincount(piece, table.rows[used])
    owner, row0 = blocks[first, TILE], blocks[first, ROW0]
    part, first = _groups(owner, row0)
    most = np.zeros(len(first))
    np.maximum.at(most, part, rows)
    return _sums(owner[first], most)


def columns_per_owner(blocks: Blocks) -> dict[int, int]:
    """Columns of the table that an owner has: the length of the vector it returns."""
    if not len(blocks):
        return {}
    _, first = _groups(blocks[:, TILE], blocks[:, COL0])
    return {t: int(n) for t, n in _sums(blocks[first, TILE], blocks[first, COLS]).items()}


def cell_columns(blocks: Blocks, cells: NDArray[np.bool_]) -> dict[int, int]:
    """The same, of places in crossbar ``cells`` alone: the sums that cross the bus of an owner."""
    return columns_per_owner(blocks[cells])


def _sums(keys: NDArray[np.int64], values: NDArray[np.float64] | NDArray[np.int64]) -> dict[int, float]:
    found, number = np.unique(keys, return_inverse=True)
    return dict(zip(found.tolist(), np.bincount(number, values, len(found)).tolist(), strict=True))


def owners(table: Reading, work: Work, singly: bool, target: Target) -> list[Owner]:
    """The owners that answer; occupies their memories on the way."""
    ids, columns = ids_per_owner(table), columns_per_owner(table.blocks)
    router = dict(
        zip(table.blocks[:, TILE].tolist(), serving_tiles(table.blocks, target).tolist(), strict=True)
    )
    cells, sram, dram = (table.where(kind) for kind in Residence)
    # sums of arrays are added before the bus: one vector a visit, unless every row goes home by itself
    singles = cells * singly * table.rows * table.blocks[:, COLS] * WORD_BITS
    moved = table.rows * np.where(cells, 0.0, table.stored_bits) + singles
    summed = {} if singly else cell_columns(table.blocks, cells)
    rows = table.rows * np.where(cells, table.blocks[:, COLS] * WORD_BITS, table.stored_bits)
    bus, returned = (_sums(table.blocks[:, TILE], bits) for bits in (moved, rows))
    times = _array_times(table, cells, work, target)
    for tile, ns in _sram_times(table, sram, work, target).items():
        times[tile] = max(times.get(tile, 0.0), ns)
    far = _dram_times(table, dram, work, target)
    found = []
    for key, visits in table.visits.items():
        near = key not in far
        one_by_one = singly or not near
        found.append(
            Owner(
                router[key],
                near,
                visits,
                ids[key],
                columns[key],
                times[key] if near else far[key],
                bus[key]
                + ids[key] * (table.id_width + table.row_words * WORD_BITS)
                + visits * summed.get(key, 0) * WORD_BITS
                if near
                else 0.0,
                returned[key] if one_by_one else visits * columns[key] * WORD_BITS,
            )
        )
    return found


def _array_times(table: Reading, cells: NDArray[np.bool_], work: Work, target: Target) -> dict[int, float]:
    """Per tile, the ns of its busiest array given a visit: at least one whole activation."""
    one_ns = steps_per_phase(table.blocks[:, COLS] * table.matrix.slices, target) * float(
        target.array.step_ns
    )
    busy: dict[int, dict[int, float]] = {}
    shortest: dict[int, float] = {}
    for b in np.flatnonzero(cells & (table.activations > 0)).tolist():
        tile, array = int(table.blocks[b, TILE]), int(table.blocks[b, ARRAY])
        ns = float(table.activations[b] * one_ns[b])
        work.hold(Unit("array", tile, array), ns)
        arrays = busy.setdefault(tile, {})
        arrays[array] = arrays.get(array, 0.0) + ns
        shortest[tile] = min(shortest.get(tile, math.inf), float(one_ns[b]))
    return {t: max(shortest[t], max(arrays.values()) / table.visits[t]) for t, arrays in busy.items()}


def _sram_times(table: Reading, sram: NDArray[np.bool_], work: Work, target: Target) -> dict[int, float]:
    """Per tile, the ns of its table SRAM given a visit: one access a row, at least one."""
    if not sram.any():
        return {}
    one_ns = _option(target.tile.table_sram_ns)
    read = table.rows * sram
    work.count("sram.read_bits", float((read * table.stored_bits).sum()))
    found = {}
    for tile, rows in _sums(table.blocks[:, TILE], read).items():
        if rows > 0:
            work.hold(Unit("table sram", tile), rows * one_ns)
            found[tile] = max(one_ns, rows * one_ns / table.visits[tile])
    return found


def _dram_times(table: Reading, dram: NDArray[np.bool_], work: Work, target: Target) -> dict[int, float]:
    """Per DRAM (its code in the block table), its latency and transfer given a visit, whole bursts."""
    if not dram.any():
        return {}
    burst = target.chip.dram_burst_bytes * 8
    rate, latency = _option(target.chip.dram_gbps), _option(target.chip.dram_ns)
    one = np.ceil(table.burst_bits / burst) * burst
    read = table.rows * dram * one
    work.count("dram.read_bits", float(read.sum()))
    found = {}
    for key, bits in _sums(table.blocks[dram, TILE], read[dram]).items():
        if bits > 0:
            chip = int(dram_chip(np.array(key)))
            work.hold(Unit("dram", chip), bits / rate)
            least = float(one[table.blocks[:, TILE] == key].min())
            found[key] = latency + max(least, bits / table.visits[key]) / rate
    return found


def _option(figure: Constant | None) -> float:
    if figure is None:  # the verifier refuses programs that use a memory which the target does not have
        raise CostError("cost.not-placed", "a table lies in a memory that the target does not describe")
    return float(figure)


def expected_slowest(times: Sequence[tuple[float, float]]) -> float:
    """Mean of the largest of several times of which each occurs with its own chance, given that one does.

    ``times``: pairs of (ns, chance).  They are taken as independent.
    """
    total, none = 0.0, 1.0
    for ns, chance in sorted(times, reverse=True):
        total += none * min(chance, 1.0) * ns
        none *= 1.0 - min(chance, 1.0)
    return total / (1.0 - none) if none < 1.0 else 0.0
