"""Lookups in tables: the rows of bags as a mode reads them, put together, and what that takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.interpreter.bags import Bags, RowScales, averaged
from cimc.ir.cim import TILE
from cimc.ir.residence import Residence
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


def count(run: Run, site: Site, matrix: Matrix, bags: Bags, pool_rows: int, requests: Ints) -> None:
    """Count what a lookup does, at each place that holds a part of the table.

    ``requests``: number of the request that each bag belongs to.
    """
    directory = run.prepared.directory(matrix)
    places = len(directory.entries)
    counted = run.activity.lookups.setdefault(
        site, LookupActivity(np.zeros(places, np.int64), np.zeros(places, np.int64))
    )
    first_rows = np.arange(directory.high) * directory.block_rows
    hits = shard_hits(directory.slot(bags.ids), bags.starts, first_rows, pool_rows)
    found = directory.place(hits.block, requests[hits.bag])
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
