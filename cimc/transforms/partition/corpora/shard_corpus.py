"""A corpus on arrays: items stacked along rows, a shard of them a tile, and the tree that merges their lists.

An array has more word lines than an item has numbers.  So several groups of items share its columns, each
driven through word lines of its own, one group after the other: the same steps and conversions as side by
side, in fewer arrays.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import Rewriter

from cimc.errors import PassError
from cimc.interpreter.evaluate import main_function
from cimc.ir import cim
from cimc.ir.types import symbol
from cimc.isa.link_widths import HEADER_BITS, WORD_BITS, sum_bits
from cimc.target.spec import Target

Shards = list[tuple[int, int]]
"""First block, and number of blocks, of each tile that holds a part of a corpus."""
ROOM = 0.25
"""Share of the arrays up to which a corpus takes whole tiles."""
FAN_INS = range(2, 17)
"""Lists merged at once that are looked at."""


def searches_of(module: ModuleOp, corpus: str) -> list[cim.SearchOp]:
    """What searches a corpus."""
    found = [o for o in main_function(module).body.block.ops if isinstance(o, cim.SearchOp)]
    return [o for o in found if symbol(o.matrix) == corpus]


def stack_of(items: int, dim: int, width: int, asked: int | None, target: Target) -> int:
    """Groups of ``width`` items that share the columns of an array: ``asked``, or as few as cost nothing.

    As many as the rows of an array hold take the fewest arrays.  Fewer take as many steps in less time, so
    where the machine has room (:data:`ROOM`) a corpus takes all arrays of the tiles that it needs anyway.

    Raises:
        PassError: ``shard.bad-option`` for more than fit.
    """
    most = max(target.array.rows // dim, 1)
    if asked is not None and not 1 <= asked <= most:
        raise PassError(
            "shard.bad-option",
            f"stack={asked}: an array of {target.array.rows} rows holds 1 to {most} groups of items of {dim}",
        )
    if asked is not None:
        return asked
    groups, each = -(-items // width), target.tile.arrays
    tiles = -(-groups // (most * each))
    if tiles * each > ROOM * target.n_arrays:
        return most
    return next(stack for stack in range(1, most + 1) if -(-groups // stack) <= tiles * each)


def arrays_of(matrix: cim.CorpusOp, asked: int | None, target: Target) -> int:
    """Arrays that a corpus takes; see :func:`stack_of`."""
    items, dim = matrix.rows.value.data, matrix.cols.value.data
    width = max(target.array.cols // target.slices(matrix.bits.value.data), 1)
    stack = stack_of(items, dim, width, asked, target)
    groups = -(-items // width)
    return -(-groups // stack) * -(-dim // target.array.rows)


def corpus_blocks(
    items: int, dim: int, stack: int, width: int, target: Target
) -> tuple[NDArray[np.int32], Shards]:
    """Block table of a corpus ``[items, dim]``, and which blocks share a tile.

    A block holds up to ``width`` items; one of more numbers than an array has rows is cut into parts, which
    stay on one tile.  Blocks are in the order of items, ``stack`` after one another on an array; tiles get
    arrays as evenly as they go.
    """
    height = target.array.rows
    parts = [(c, min(height, dim - c)) for c in range(0, dim, height)]
    starts = np.arange(0, items, width)
    blocks = np.full((len(starts), len(parts), len(cim.BLOCK_FIELDS)), -1, np.int32)
    blocks[:, :, cim.ROW0] = starts[:, None]
    blocks[:, :, cim.ROWS] = np.minimum(width, items - starts)[:, None]
    blocks[:, :, cim.COL0 : cim.TILE] = parts
    whole = -(-len(starts) // stack) if len(parts) == 1 else len(starts)  # units that stay together: arrays
    arrays = target.tile.arrays // len(parts)
    if not arrays:
        raise PassError(
            "shard.long-items",
            f"items of {dim} numbers take {len(parts)} arrays side by side, a tile has {target.tile.arrays}",
            hint="items of fewer numbers, or a target with more arrays a tile",
        )
    tiles = -(-whole // arrays)
    each = stack if len(parts) == 1 else 1
    bounds = [min(whole * t // tiles * each, len(starts)) * len(parts) for t in range(tiles + 1)]
    shards = [(a, b - a) for a, b in pairwise(bounds)]
    return blocks.reshape(-1, len(cim.BLOCK_FIELDS)), shards


def fan_in_of(lists: int, k: int, target: Target) -> int:
    """Lists to merge at once so that ``lists`` of ``k`` hits become one soonest.

    A level of the tree takes in all lists but one through its router, and merges them one after the other;
    a message takes a few hops.  On equal times the smaller: its scratchpads hold less.
    """
    link = (2 * k * WORD_BITS + HEADER_BITS) / float(target.tile.link_gbps)
    merge = -(-3 * k // target.tile.vector_lanes) * float(target.tile.vector_op_ns)
    hops = 2 * float(target.tile.hop_ns)

    def time(fan_in: int) -> float:
        total, left = 0.0, lists
        while left > 1:
            total += (min(fan_in, left) - 1) * max(link, merge) + min(link, merge) + hops
            left = -(-left // fan_in)
        return total

    return min(FAN_INS, key=lambda f: (time(f), f))


def bus_of(matrix: cim.CorpusOp, width: int | None) -> tuple[int, int] | None:
    """Bits of sums on the bus, and how many are rounded off so that every sum fits.

    Raises:
        PassError: ``shard.bad-option`` for another width.
    """
    if width is None:
        return None
    if width not in cim.WIDTHS:
        raise PassError(
            "shard.bad-option", f"score_bits={width}: sums have {' or '.join(map(str, cim.WIDTHS))} bits"
        )
    bits = sum_bits(matrix.cols.value.data, matrix.bits.value.data, *matrix.inputs)
    return width, max(bits - width, 0)


def split_search(op: cim.SearchOp, shards: Shards, bus: tuple[int, int] | None, fan_in: int) -> None:
    """A search a shard, and the tree that merges their lists."""
    new: list[Operation] = []
    level: list[SSAValue] = []
    for shard in shards:
        part = cim.SearchOp(op.x, symbol(op.matrix), op.k.value.data, shard, bus)
        new.append(part)
        level.append(part.result)
    while len(level) > 1:
        above: list[SSAValue] = []
        for at in range(0, len(level), fan_in):
            lists = level[at : at + fan_in]
            if len(lists) > 1:
                merge = cim.MergeOp(lists)
                new.append(merge)
                lists = [merge.result]
            above.append(lists[0])
        level = above
    for each in new:
        each.location = op.location
    new[-1].results[0].name_hint = op.result.name_hint
    Rewriter.replace_op(op, new)
