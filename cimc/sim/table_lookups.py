"""Lookups in tables: the rows of bags as a mode reads them, put together, and what that takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.interpreter.bags import Bags, RowScales, averaged
from cimc.ir.cim import COL0, COLS, TILE
from cimc.ir.residence import Residence, residence_of, row_bits
from cimc.isa.directory import serving_tiles
from cimc.isa.link_widths import HEADER_BITS, WORD_BITS
from cimc.isa.program import Matrix
from cimc.sim.activity import LookupActivity, Site
from cimc.sim.kernels.lookups.pooled_rows import (
    pooled_max,
    pooled_sum,
    scaled_max,
    scaled_sum,
    shard_hits,
    weighted_sum,
)
from cimc.sim.run_state import Run

Ints = NDArray[np.int64]


def is_pooled(bags: Bags, mode: str) -> bool:
    """Whether rows are added up where they are read."""
    return bags.weights is None and mode in ("sum", "mean")


def look_up(
    run: Run, matrix: Matrix, bags: Bags, mode: str, scale: np.float32, first: int, use: int
) -> NDArray[np.float32]:
    """What a lookup gives, float32 ``[bags, D]``, or ``[ids, D]`` in mode ``none``.

    Bag ``i`` belongs to request ``first + i``; ``use`` tells lookups in the same table apart, and matters in
    noisy mode only.
    """
    reader = run.prepared.reader(matrix)
    sums: NDArray[np.int32] | None = None
    if run.noise is None:
        table, read, own = reader.read(bags, converted=run.mode == "adc")
    elif is_pooled(bags, mode) and reader.scales is None:
        table, read, own = reader.written, bags, None
        sums = run.noise.pooled(matrix, bags, first, use, run.threads)
    else:
        table, read, own = run.noise.rows(matrix, bags, reader.scales, first, use, run.threads)
    if own is not None:
        return _own_scales(table, own, read, mode)
    if read.weights is not None:
        return weighted_sum(table, float(scale), read.ids, read.weights, read.starts)
    out: NDArray[np.float32]
    if mode == "none":
        out = table[read.ids].astype(np.float32) * scale
    elif mode == "max":
        out = pooled_max(table, read.ids, read.starts).astype(np.float32) * scale
    else:
        sums = pooled_sum(table, read.ids, read.starts) if sums is None else sums
        out = sums.astype(np.float32) * scale
        if mode == "mean":
            out = averaged(out, np.diff(read.starts))
    return out


def _own_scales(table: NDArray[Any], own: RowScales, bags: Bags, mode: str) -> NDArray[np.float32]:
    """A lookup in a table of which each row has its own scale."""
    if mode == "none":
        return own.of(table[bags.ids], bags.ids)
    if mode == "max":
        return scaled_max(table, own, bags.ids, bags.starts)
    out = scaled_sum(table, own, bags.ids, bags.weights, bags.starts)
    return averaged(out, np.diff(bags.starts)) if mode == "mean" else out


def count(
    run: Run,
    site: Site,
    matrix: Matrix,
    bags: Bags,
    pooled: bool,
    id_width: int,
    requests: Ints,
    from_host: bool,
) -> None:
    """Count what a lookup does, at each place that holds a part of the table, and what it sends.

    ``requests``: number of the request that each bag belongs to; ``pooled``: see :func:`is_pooled`;
    ``from_host``: see :func:`_exchange`.
    """
    directory = run.prepared.directory(matrix)
    places = len(directory.entries)
    counted = run.activity.lookups.setdefault(
        site, LookupActivity(np.zeros(places, np.int64), np.zeros(places, np.int64))
    )
    first_rows = np.arange(directory.high) * directory.block_rows
    pool_rows = matrix.pool_rows if pooled else 1
    hits = shard_hits(directory.slot(bags.ids), bags.starts, first_rows, pool_rows)
    found = directory.place(hits.block, requests[hits.bag])
    rows = np.broadcast_to(hits.rows[:, None], found.entry.shape)
    # SRAM and DRAM read row by row; only arrays pool
    cells = found.residence == int(Residence.RRAM)
    reads = np.where(cells, hits.steps[:, None], rows)
    amounts = _per_entry(found.entry, rows, places), _per_entry(found.entry, reads, places)
    counted.block_rows += amounts[0]
    counted.block_activations += amounts[1]
    counted.ids += bags.ids.size
    lowest = int(directory.entries[:, TILE].min())
    span = int(directory.entries[:, TILE].max()) - lowest + 1
    pairs = np.unique(hits.bag[:, None] * span + (found.tile - lowest))
    visits = dict(
        zip(*(n.tolist() for n in np.unique(pairs % span + lowest, return_counts=True)), strict=True)
    )
    for number, times in visits.items():
        counted.tile_visits[number] = counted.tile_visits.get(number, 0) + times
    asked = _per_entry(found.tile - lowest, rows * _first_of_row(found.tile), span)
    ids = {number: int(asked[number - lowest]) for number in visits}
    singly = not pooled or f"{matrix.name}.row_scales" in run.prepared.program.data
    _exchange(run, site[1], matrix, ids, visits, amounts[0], singly, id_width, from_host)
    here = directory.residence == int(Residence.RRAM)
    columns = directory.entries[here, COLS] * matrix.slices
    run.activity.traffic.convert(run.prepared.target, columns, amounts[1][here])


def _per_entry(entry: Ints, amounts: Ints, n: int) -> Ints:
    """Sums of ``amounts`` by ``entry`` (0 .. ``n`` - 1), int64 ``[n]``."""
    return np.bincount(entry.ravel(), amounts.ravel(), n).astype(np.int64)


def _first_of_row(tile: Ints) -> NDArray[np.bool_]:
    """Where a tile is the first of its row of ``[n, wide]``: an owner of several columns is asked once."""
    first = np.ones(tile.shape, np.bool_)
    for column in range(1, tile.shape[1]):
        first[:, column] = (tile[:, :column] != tile[:, column : column + 1]).all(axis=1)
    return first


def _exchange(
    run: Run,
    home: int,
    matrix: Matrix,
    ids: dict[int, int],
    visits: dict[int, int],
    rows: Ints,
    singly: bool,
    id_width: int,
    from_host: bool,
) -> None:
    """Count the messages between home and owners: ids out, and back pooled vectors or every row.

    ``ids`` and ``visits`` by owner; ``rows`` read at each place; ``singly``: every row is returned;
    ``from_host``: ids come from there, and straight to owners on other chips.
    """
    program, target = run.prepared.program, run.prepared.target
    entries = run.prepared.directory(matrix).entries
    words = sum(f"{matrix.name}.{part}" in program.data for part in ("row_scales", "row_biases"))
    router = serving_tiles(entries, target)
    stored = residence_of(entries) != int(Residence.RRAM)
    answer = np.where(stored, row_bits(entries[:, COLS], matrix.bits), entries[:, COLS] * WORD_BITS)
    for owner, times in visits.items():
        mine = entries[:, TILE] == owner
        tile = int(router[mine][0])
        if tile == home:
            continue
        if singly or owner < 0:
            back = int((rows * answer)[mine].sum()) + ids[owner] * words * WORD_BITS
        else:
            _, one = np.unique(entries[mine, COL0], return_index=True)
            back = times * int(entries[mine, COLS][one].sum()) * WORD_BITS
        traffic = run.activity.traffic
        out = times * HEADER_BITS + ids[owner] * id_width
        if from_host and target.crosses_chips(home, tile):
            traffic.arrive(target, tile, out, times)
        else:
            traffic.send(target, home, tile, out, times)
        traffic.send(target, tile, home, times * HEADER_BITS + back, times)
