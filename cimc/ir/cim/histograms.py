"""How many of what, in at most a screenful: what IR text says about tables too large to print."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.ir.residence import Residence, dram_chip, residence_of

BINS = 16
"""Bins of a histogram of one quantity."""

Histogram = tuple[tuple[str, int], ...]
"""Labels and how many entries each stands for."""


def by_value(values: NDArray[Any], label: str) -> Histogram:
    """``label 3`` for each value, or ``label 0-59`` for ranges of equal width where there are many."""
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= BINS:
        return tuple((f"{label} {v}", n) for v, n in zip(distinct.tolist(), counts.tolist(), strict=True))
    low, high = int(distinct[0]), int(distinct[-1])
    width = -(-(high - low + 1) // BINS)
    held = np.bincount((distinct.astype(np.int64) - low) // width, counts, BINS).astype(np.int64)
    bins = ((low + b * width, min(low + (b + 1) * width - 1, high), n) for b, n in enumerate(held.tolist()))
    return tuple((f"{label} {first}-{last}", n) for first, last, n in bins if n)


def block_shapes(blocks: NDArray[Any]) -> Histogram:
    """``512x16`` (rows, columns) for blocks ``[n, 4]``, the most frequent first; rare ones are ``others``."""
    shapes, counts = np.unique(blocks[:, (1, 3)], axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    bins = [(f"{shapes[i, 0]}x{shapes[i, 1]}", int(counts[i])) for i in order.tolist()]
    rest = sum(n for _, n in bins[BINS:])
    return (*bins[:BINS], *((("others", rest),) if rest else ()))


def copied(of: NDArray[Any]) -> Histogram:
    """How many blocks have one copy, two, ...; ``of``: the block that each copy is one of."""
    return by_value(np.unique(of, return_counts=True)[1], "blocks with copies")


def places(found: NDArray[Any], tiles_per_chip: int) -> Histogram:
    """Chips and tiles of places ``[n, 3]`` (tile, array, offset): cells, then SRAM, then DRAM."""
    table = np.zeros((len(found), 7), np.int64)
    table[:, 4:] = found
    kind, tile = residence_of(table), table[:, 4]
    bins: list[tuple[str, int]] = []
    for memory, label in ((Residence.RRAM, ""), (Residence.SRAM, "sram of ")):
        mine = tile[kind == int(memory)]
        if len(mine):
            bins += by_value(mine // tiles_per_chip, f"{label}chip")
            bins += by_value(mine, f"{label}tile")
    outside = tile[kind == int(Residence.DRAM)]
    if len(outside):
        bins += by_value(dram_chip(outside), "dram of chip")
    return tuple(bins)
