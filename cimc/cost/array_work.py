"""Work of ``mvm`` and ``search``, and the cost of one array operation, which lookups share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.cost.machine_units import Unit
from cimc.cost.work import CostError, Work
from cimc.ir.cim import ARRAY, COL0, COLS, ROW0, ROWS, TILE
from cimc.isa.directory import blocks_at
from cimc.isa.instructions import Instr
from cimc.isa.link_widths import WORD_BITS
from cimc.isa.program import Matrix, Program
from cimc.target import cell_encoding
from cimc.target.spec import Target

BYTE = 8
"""Bits of a quantised activation in the scratchpad; on the bus it has those of its format."""

Blocks = NDArray[np.int64]
Counts = NDArray[np.float64]


def blocks_of(matrix: Matrix, program: Program, target: Target, turn: int) -> Blocks:
    """The block table of a matrix as request ``turn`` of a run uses it, ``int64[blocks, 7]``.

    Raises:
        CostError: ``cost.not-placed`` when a block lies on no array of the target.
    """
    blocks = blocks_at(program, matrix, turn)
    tiles, arrays = blocks[:, TILE], blocks[:, ARRAY]
    good = (tiles >= 0) & (tiles < target.n_tiles) & (arrays >= 0) & (arrays < target.tile.arrays)
    if not good.all():
        raise CostError(
            "cost.not-placed",
            f"block {int(np.argmin(good))} of matrix {matrix.name} lies on no array of target {target.name}",
            hint="run the pass 'place' for this target",
        )
    return blocks


def steps_per_phase(cell_columns: NDArray[np.int64], target: Target) -> NDArray[np.int64]:
    """Steps to convert this many cell columns: ``ceil(columns / columns_per_step)``."""
    return -(-cell_columns // target.array.columns_per_step)


def count_array_events(
    work: Work,
    kind: str,
    target: Target,
    cell_columns: NDArray[np.int64],
    operations: NDArray[Any],
    driven: NDArray[Any],
) -> None:
    """Count steps, driven rows, conversions and shift-adds of array operations.

    Per block: ``cell_columns`` converted in each of ``operations`` (input phases or activations), and
    ``driven``, the rows driven, summed over those operations; each is driven anew in every step.
    """
    steps = steps_per_phase(cell_columns, target)
    total_steps = float((operations * steps).sum())
    used = float((operations * cell_columns).sum())
    charged = float((operations * target.array.conversions(cell_columns)).sum())
    rows = float((driven * steps).sum())
    for event, amount in (
        ("array.steps", total_steps),
        ("array.rows_driven", rows),
        ("adc.conversions", charged),
    ):
        work.count(event, amount)
        work.count(f"{event}.{kind}", amount)
    work.count("adc.conversions_used", used)
    work.count("shift_add.ops", used)


def hold_arrays(
    work: Work, blocks: Blocks, operations: NDArray[Any], slices: NDArray[np.int64], target: Target
) -> float:
    """Occupy the arrays of ``blocks``; the ns of the busiest one."""
    steps = steps_per_phase(blocks[:, COLS] * slices, target)
    times = operations * steps * float(target.array.step_ns)
    busiest = 0.0
    for block, ns in zip(blocks, times.tolist(), strict=True):
        unit = Unit("array", int(block[TILE]), int(block[ARRAY]))
        work.hold(unit, ns)
        busiest = max(busiest, work.holds.get(unit, 0.0))
    return busiest


def weight_offset(matrix: Matrix, target: Target) -> int:
    """What stored weights exceed the true ones by; non-zero means digital correction of every sum."""
    return cell_encoding.weight_offset(target.array.encoding, matrix.bits)


def covered(first: NDArray[np.int64], count: NDArray[np.int64]) -> int:
    """Rows that the ranges ``first .. first + count - 1`` cover, each once."""
    total, end = 0, 0
    for low, rows in sorted(zip(first.tolist(), count.tolist(), strict=True)):
        total += max(0, low + rows - max(low, end))
        end = max(end, low + rows)
    return total


def mvm_work(item: Instr, matrix: Matrix, tile: int, program: Program, target: Target, turn: int = 0) -> Work:
    """Work of one ``mvm``: input over the bus, all blocks at once (one after the other on one array), output.

    The bus is heard by all arrays of the tile, so each input crosses it once; sums over row blocks are added
    before it, so each result does.

    ``tile`` is that of the instance that request ``turn`` of a run uses.

    Every row of a block counts as driven in every phase: an upper bound, rows whose digit is zero included.
    """
    first, count = item.number("first"), item.number("count")
    blocks = blocks_of(matrix, program, target, turn)[first : first + count]
    phases = target.input_phases(matrix.input_bits, matrix.input_signed)
    slices = np.full(len(blocks), matrix.slices, np.int64)
    rows, cols = blocks[:, ROWS], blocks[:, COLS]
    columns = int((blocks[:, COL0] + cols).max() - blocks[:, COL0].min())
    work = Work()
    count_array_events(
        work, "mvm", target, cols * slices, np.full(len(blocks), phases, np.int64), rows * phases
    )
    busiest = hold_arrays(work, blocks, np.full(len(blocks), phases, np.int64), slices, target)

    inputs = covered(blocks[:, ROW0], rows)
    bits_in, bits_out = inputs * matrix.input_bits, columns * WORD_BITS
    bus_ns = (bits_in + bits_out) / float(target.tile.bus_gbps)
    work.hold(Unit("bus", tile), bus_ns)
    work.count("bus.bits", bits_in + bits_out)
    work.count("bus.in_bits", bits_in)
    work.count("scratchpad.read_bits", inputs * BYTE)
    work.count("scratchpad.write_bits", columns * WORD_BITS)
    additions = int(cols.sum()) - columns
    if weight_offset(matrix, target):
        additions += int((rows + cols).sum())  # sum of the activations, and its subtraction from each column
    work.count("accumulate.adds", additions)
    work.count("mvm.blocks", len(blocks))
    work.ns = bus_ns + busiest
    return work


# -- searches ----------------------------------------------------------------------------------------


def insertions(items: int, k: int) -> float:
    """How many of ``items`` enter a running list of ``k``, were they in random order.

    The ``i``-th is among the best ``k`` so far with probability ``k / i``: ``k (1 + H(items) - H(k))``.
    """
    if items <= k:
        return float(items)
    return k * (1 + math.log((items + 0.5) / (k + 0.5)))


def search_work(item: Instr, tile: int, program: Program, target: Target) -> Work:
    """Work of one ``search``: query over the bus, all blocks (those of one array in turn), sums over the bus.

    The vector unit makes scores of sums (convert and multiply where items have factors, add where they have
    biases; else sums themselves are compared), compares each with the last of the list, and puts those that
    are better in their place: as many comparisons as a binary search takes, and a hit read and written for
    each.  All this goes on while arrays convert, so that the slowest of arrays, bus and vector unit counts.
    Factors and biases lie in the tile's memory and are read once a query.
    """
    first, count, k = item.number("first"), item.number("count"), item.number("k")
    matrix = program.matrices[item.index("matrix").base]
    blocks = blocks_of(matrix, program, target, 0)[first : first + count]
    phases = target.input_phases(matrix.input_bits, matrix.input_signed)
    times = np.full(len(blocks), phases, np.int64)
    items, dims = blocks[:, ROWS], blocks[:, COLS]
    work = Work()
    count_array_events(work, "search", target, items * matrix.slices, times, dims * phases)
    across = blocks.copy()  # an item is a column of its array
    across[:, COLS] = items
    busiest = hold_arrays(work, across, times, np.full(len(blocks), matrix.slices, np.int64), target)
    total = int(items[blocks[:, COL0] == 0].sum())
    inputs = covered(blocks[:, COL0], dims)
    bits_in, bits_out = inputs * matrix.input_bits, total * item.number("width")
    bus = float(target.tile.bus_gbps)
    work.hold(Unit("bus", tile), (bits_in + bits_out) / bus)
    work.count("bus.bits", bits_in + bits_out)
    work.count("bus.in_bits", bits_in)
    additions = int(items.sum()) - total
    if weight_offset(matrix, target):
        additions += int((items + dims).sum())
    work.count("accumulate.adds", additions)
    work.count("searches.blocks", len(blocks))
    lanes = _choose(work, matrix, program, total, k)
    work.count("scratchpad.read_bits", inputs * BYTE)
    vector = math.ceil(lanes / target.tile.vector_lanes) * float(target.tile.vector_op_ns)
    work.hold(Unit("vector", tile), vector)
    work.ns = bits_in / bus + max(busiest, bits_out / bus, vector)
    return work


def _choose(work: Work, matrix: Matrix, program: Program, items: int, k: int) -> float:
    """Count what keeping the best takes; its lane operations."""
    own = [f"{matrix.name}.{part}" in program.data for part in ("row_scales", "row_biases")]
    entering = insertions(items, k)
    comparisons = items + entering * math.ceil(math.log2(k + 1))
    lanes = comparisons + items * (2 * own[0] + own[1]) + 2 * entering
    work.count("searches.comparisons", comparisons)
    work.count("vector.ops", lanes)
    work.count("vector.ops.search", lanes)
    hit = 2 * WORD_BITS
    work.count("scratchpad.read_bits", items * WORD_BITS * sum(own) + entering * hit)
    work.count("scratchpad.write_bits", (k + entering) * hit)
    return lanes
