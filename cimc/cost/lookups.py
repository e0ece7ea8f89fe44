"""Work of ``bag``, ``lookup`` and ``lookupw``: means over the requests of a run.

The home tile sends every id as a message to the tile that owns its row, the owner activates the blocks and
answers.  Where rows are summed as integers (``sum`` and ``mean`` without weights) an owner returns one
partial vector; ``max``, ``none`` and weighted sums work on scaled rows, so every row is returned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cimc.cost.arrays import Blocks, Counts, blocks_of, count_array_events, steps_per_phase, weight_offset
from cimc.cost.transfers import from_host, host_ns
from cimc.cost.units import Unit
from cimc.cost.work import HEADER_BITS, ID_BITS, WORD_BITS, CostError, Work, flight_ns
from cimc.ir.cim import ARRAY, COL0, COLS, ROW0, TILE
from cimc.isa.instructions import Instr
from cimc.isa.program import Matrix, Port, Program
from cimc.sim.activity import Activity, LookupActivity, Site
from cimc.target.spec import Target


@dataclass(frozen=True)
class Reading:
    """The table that a lookup reads, and its mean activity per execution.

    Arrays over blocks: ``blocks`` ``[n, 7]``, ``rows`` (word lines driven), ``activations``.  ``visits``:
    tile -> executions that reach it; ``ids`` per execution.
    """

    matrix: Matrix
    blocks: Blocks
    rows: Counts
    activations: Counts
    visits: dict[int, float]
    ids: float


@dataclass(frozen=True)
class Owner:
    """One tile's part in a lookup, per execution: what reaches it, what it does, what it returns."""

    tile: int
    visits: float
    ids: float
    columns: int
    array_ns: float  # of its busiest array, given a visit
    bus_bits: float
    returns: float  # vectors sent back


def reading(
    item: Instr, site: Site, loop: int, program: Program, target: Target, activity: Activity
) -> Reading:
    """Combine the row directory with what a run did.

    Raises:
        CostError: ``cost.no-activity`` when the run did not execute this instruction, ``cost.bad-activity``
            when its counts do not fit the table.
    """
    where = f"segment {site[0]}, tile {site[1]}, instruction {site[2]} ({item.name})"
    seen = activity.lookups.get(site)
    if seen is None or activity.requests < 1:
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
    blocks = blocks_of(matrix, program, target)
    for what, counts in (("block_rows", seen.block_rows), ("block_activations", seen.block_activations)):
        if counts.shape != (len(blocks),):
            raise CostError(
                "cost.bad-activity", f"{where}: {what} has shape {counts.shape}, not ({len(blocks)},)"
            )
    _check_visits(seen, blocks, where)
    executions = activity.requests * loop
    return Reading(
        matrix,
        blocks,
        seen.block_rows / executions,
        seen.block_activations / executions,
        {tile: count / executions for tile, count in sorted(seen.tile_visits.items()) if count},
        seen.ids / executions,
    )


def _check_visits(seen: LookupActivity, blocks: Blocks, where: str) -> None:
    active = {int(t) for t in np.unique(blocks[seen.block_activations > 0, TILE])}
    visited = {tile for tile, count in seen.tile_visits.items() if count}
    if active != visited:
        odd = min(active ^ visited)
        what = "is active but not visited" if odd in active else "is visited but not active"
        raise CostError("cost.bad-activity", f"{where}: tile {odd} {what}")


def ids_per_tile(table: Reading) -> dict[int, float]:
    """Ids sent to each tile: a row cut into several column blocks is asked for once per tile."""
    found: dict[int, float] = {}
    for (tile, _), pieces in _grouped(table, (TILE, ROW0)).items():
        by_column: dict[int, float] = {}
        for b in pieces:
            col0 = int(table.blocks[b, COL0])
            by_column[col0] = by_column.get(col0, 0.0) + float(table.rows[b])
        found[tile] = found.get(tile, 0.0) + max(by_column.values())
    return found


def columns_per_tile(table: Reading) -> dict[int, int]:
    """Columns of the table that a tile owns: the length of the vector it returns."""
    found: dict[int, int] = {}
    for (tile, _), pieces in _grouped(table, (TILE, COL0)).items():
        found[tile] = found.get(tile, 0) + int(table.blocks[pieces[0], COLS])
    return found


def _grouped(table: Reading, fields: tuple[int, int]) -> dict[tuple[int, int], list[int]]:
    groups: dict[tuple[int, int], list[int]] = {}
    for b, key in enumerate(table.blocks[:, fields].tolist()):
        groups.setdefault((key[0], key[1]), []).append(b)
    return groups


def single_rows(item: Instr, ports: Sequence[Port], loop: int) -> bool:
    """Whether every row is returned by itself: ``max``, ``none`` and weighted sums."""
    if item.name == "lookupw" or item.word("mode") in ("max", "none"):
        return True
    return item.name == "bag" and _weighted(item, ports, loop)


def _weighted(item: Instr, ports: Sequence[Port], loop: int) -> bool:
    index = item.index("port")
    return any(ports[index.at(i)].weights for i in range(loop if index.stride else 1))


def owners(table: Reading, work: Work, singly: bool, target: Target) -> list[Owner]:
    """The tiles that answer; occupies their arrays on the way."""
    steps = steps_per_phase(table.blocks[:, COLS] * table.matrix.slices, target)
    one_ns = steps * float(target.array.step_ns)
    busy: dict[int, dict[int, float]] = {}
    shortest: dict[int, float] = {}
    bits: dict[int, float] = {}
    answer = table.rows * ID_BITS + table.activations * table.blocks[:, COLS] * WORD_BITS
    for b in np.flatnonzero(table.activations > 0).tolist():
        tile, array = int(table.blocks[b, TILE]), int(table.blocks[b, ARRAY])
        ns = float(table.activations[b] * one_ns[b])
        work.hold(Unit("array", tile, array), ns)
        arrays = busy.setdefault(tile, {})
        arrays[array] = arrays.get(array, 0.0) + ns
        shortest[tile] = min(shortest.get(tile, math.inf), float(one_ns[b]))
        bits[tile] = bits.get(tile, 0.0) + float(answer[b])
    ids, columns = ids_per_tile(table), columns_per_tile(table)
    return [
        Owner(
            tile,
            visits,
            ids[tile],
            columns[tile],
            max(shortest[tile], max(busy[tile].values()) / visits),
            bits[tile],
            ids[tile] if singly else visits,
        )
        for tile, visits in table.visits.items()
    ]


def expected_slowest(times: Sequence[tuple[float, float]]) -> float:
    """Mean of the largest of several times of which each occurs with its own chance, given that one does.

    ``times``: pairs of (ns, chance).  They are taken as independent.
    """
    total, none = 0.0, 1.0
    for ns, chance in sorted(times, reverse=True):
        total += none * min(chance, 1.0) * ns
        none *= 1.0 - min(chance, 1.0)
    return total / (1.0 - none) if none < 1.0 else 0.0


def lookup_work(
    item: Instr,
    site: Site,
    loop: int,
    ports: Sequence[Port],
    program: Program,
    target: Target,
    activity: Activity,
) -> Work:
    """Work of one lookup: [host to home,] ids out, the slowest owner, answers back, home's vector unit."""
    home = site[1]
    table = reading(item, site, loop, program, target, activity)
    singly = single_rows(item, ports, loop)
    work = Work()
    count_array_events(
        work, "lookup", target, table.blocks[:, COLS] * table.matrix.slices, table.activations, table.rows
    )
    tiles = owners(table, work, singly, target)
    _count_digital(work, table, tiles, singly, target)
    if item.name == "bag":
        words = 2 if _weighted(item, ports, loop) else 1
        bits = HEADER_BITS + table.ids * words * ID_BITS
        from_host(work, target, home, bits)
        work.count("messages", 1)
        work.ns += host_ns(target, home, bits)
    work.ns += _exchange(work, tiles, home, target)
    work.ns += _combine(work, item, table, tiles, singly, home, target)
    return work


def _count_digital(work: Work, table: Reading, tiles: list[Owner], singly: bool, target: Target) -> None:
    """Events at the owners behind the converters."""
    bus_bits = sum(o.bus_bits for o in tiles)
    work.count("bus.bits", bus_bits)
    for owner in tiles:
        work.hold(Unit("bus", owner.tile), owner.bus_bits / float(target.tile.bus_gbps))
    columns = table.activations * table.blocks[:, COLS]
    additions = 0.0
    if not singly:  # every activation after the first of a visit is added to the partial vector
        additions += max(0.0, float(columns.sum()) - sum(o.visits * o.columns for o in tiles))
    if weight_offset(table.matrix, target):
        additions += float(columns.sum())
    work.count("accumulate.adds", additions)
    work.count("lookup.ids", table.ids)
    work.count("lookup.activations", float(table.activations.sum()))
    work.count("lookup.tile_visits", sum(o.visits for o in tiles))


def _exchange(work: Work, tiles: list[Owner], home: int, target: Target) -> float:
    """Ids out and answers back over the mesh; the ns between the first id and the last answer."""
    sums: dict[str, float] = {"out": 0.0, "back": 0.0, "out-far": 0.0, "back-far": 0.0}
    replies: list[tuple[float, float]] = []
    for owner in tiles:
        bus_ns = owner.bus_bits / owner.visits / float(target.tile.bus_gbps)
        replies.append((2 * flight_ns(target, home, owner.tile) + owner.array_ns + bus_ns, owner.visits))
        if owner.tile == home:
            continue
        out = owner.ids * (ID_BITS + HEADER_BITS)
        back = owner.returns * (owner.columns * WORD_BITS + HEADER_BITS)
        far = "-far" if target.crosses_chips(home, owner.tile) else ""
        for way, bits, source, dest in (("out", out, home, owner.tile), ("back", back, owner.tile, home)):
            sums[way] += bits
            if far:
                sums[way + far] += bits
            work.leave(target, source, bits)
            work.travel(target, source, dest, bits)
            work.enter(target, dest, bits)
        work.count("messages", owner.ids + owner.returns)
    serial = 0.0
    for way in ("out", "back"):
        serial += max(
            sums[way] / float(target.tile.link_gbps), sums[way + "-far"] / float(target.chip.host_link_gbps)
        )
    return serial + expected_slowest(replies)


def _combine(
    work: Work, item: Instr, table: Reading, tiles: list[Owner], singly: bool, home: int, target: Target
) -> float:
    """The home tile adds or pools what came back and scales it; the ns its vector unit takes."""
    lanes, cols = target.tile.vector_lanes, table.matrix.cols
    weighted = item.name == "lookupw" or (singly and item.word("mode") in ("sum", "mean"))
    each: list[tuple[float, int]] = []  # (how often, columns)
    if singly:
        # weighted: convert, scale, multiply by the weight, add; none: convert, scale; max: compare each
        largest = not weighted and item.word("mode") == "max"
        each.append((table.ids * (4 if weighted else 1 if largest else 2), cols))
        if largest:
            each.append((2.0, cols))
    else:
        partial = [*((o.visits, o.columns) for o in tiles), (-1.0, cols)]  # the first is added to nothing
        if sum(times * columns for times, columns in partial) > 0:
            each += partial
        each.append((2.0, cols))  # convert and scale
    mean = 1.0 if item.name != "lookupw" and item.word("mode") == "mean" else 0.0
    each.append((mean, cols))  # the division by the number of ids
    operations = sum(times * columns for times, columns in each)
    words = sum(o.returns * o.columns for o in tiles)
    work.count("vector.ops", operations)
    work.count(f"vector.ops.{item.name}", operations)
    work.count("scratchpad.write_bits", words * WORD_BITS)
    work.count("scratchpad.read_bits", words * WORD_BITS)
    ns = sum(times * math.ceil(c / lanes) for times, c in each) * float(target.tile.vector_op_ns)
    ns = max(ns, 0.0)
    work.hold(Unit("vector", home), ns)
    return ns
