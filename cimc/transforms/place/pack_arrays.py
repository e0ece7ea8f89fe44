"""Arrays: how many the layers take, and which blocks of tables share one."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp

from cimc.interpreter.evaluate import main_function
from cimc.ir import cim, rec
from cimc.ir.context import CompilerContext
from cimc.ir.types import symbol
from cimc.isa.link_widths import WORD_BITS
from cimc.mapping import PlacementProblem, solve
from cimc.target.spec import Target
from cimc.transforms.place.shard_list import Places

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ArrayGroup:
    """Blocks from ``first`` on of a layer or corpus, which share a tile and own ``count`` arrays.

    Each array has a block of a layer, or ``stack`` of a corpus, the last one of ``blocks`` in all maybe less.
    """

    matrix: str
    first: int
    count: int
    load: float
    traffic: float
    stack: int = 1
    blocks: int = 0

    @property
    def held(self) -> slice:
        """Its blocks in the block table."""
        return slice(self.first, self.first + (self.blocks or self.count))


@dataclass(frozen=True)
class Packing:
    """Array of each place in cells (numbered from 0, not yet on tiles), and its first column there.

    ``items``: positions among all places; ``array`` and ``offset`` per item; ``arrays`` in all, of which
    ``primary`` hold primary blocks and the others copies; ``chip`` of each array, -1 for any.
    """

    items: Ints
    array: Ints
    offset: Ints
    arrays: int
    primary: int
    chip: Ints

    @classmethod
    def joined(cls, parts: list[Packing], chip: bool = True) -> Packing:
        """Packings of different items as one, arrays numbered one after another.

        With ``chip`` part ``n`` is on chip ``n``, else all are on any.
        """
        first = np.cumsum([0, *(p.arrays for p in parts)])
        return cls(
            np.concatenate([np.zeros(0, np.int64), *(p.items for p in parts)]),
            np.concatenate(
                [np.zeros(0, np.int64), *(p.array + a for p, a in zip(parts, first, strict=False))]
            ),
            np.concatenate([np.zeros(0, np.int64), *(p.offset for p in parts)]),
            int(first[-1]),
            sum(p.primary for p in parts),
            np.repeat(np.arange(len(parts)) if chip else np.full(len(parts), -1), [p.arrays for p in parts]),
        )


def array_groups_of(module: ModuleOp, data: CompilerContext, target: Target) -> list[ArrayGroup]:
    """The distinct block ranges that ``cim.mvm`` and ``cim.search`` operations fire together."""
    seen: dict[tuple[str, int], ArrayGroup] = {}
    corpora = {m.symbol: m for m in cim.matrices_of(module) if isinstance(m, cim.CorpusOp)}
    declared = {m.symbol: m for m in cim.matrices_of(module) if isinstance(m, cim.WeightsOp)}
    for op in main_function(module).body.block.ops:
        if isinstance(op, cim.SearchOp):
            found = _shard_of(op, corpora[symbol(op.matrix)], data, target)
            seen[found.matrix, found.first] = found
        if not isinstance(op, cim.MvmOp):
            continue
        name, mine = symbol(op.matrix), op.blocks()
        matrix = declared[name]
        blocks = matrix.block_table(data.store)[mine]
        phases = target.input_phases(*matrix.inputs)
        columns = int(blocks[:, cim.COLS].sum())
        load = float(phases * matrix.shards().slices.value.data * columns)
        traffic = float(
            matrix.rows.value.data * matrix.input_bits.value.data
            + np.unique(blocks[:, cim.COL0]).size * WORD_BITS * blocks[:, cim.COLS].mean()
        )
        seen[name, mine.start] = ArrayGroup(name, mine.start, len(blocks), load, traffic)
    return list(seen.values())


def _shard_of(op: cim.SearchOp, matrix: cim.CorpusOp, data: CompilerContext, target: Target) -> ArrayGroup:
    """The arrays of a shard of a corpus."""
    mine, shards = op.blocks(), matrix.shards()
    blocks = matrix.block_table(data.store)[mine]
    columns = int(blocks[:, cim.ROWS].sum()) * shards.slices.value.data
    load = float(target.input_phases(*matrix.inputs) * columns)
    traffic = float(
        matrix.cols.value.data * matrix.input_bits.value.data + rec.shape(op.result)[-1] * WORD_BITS
    )
    arrays = -(-len(blocks) // shards.stacked)
    return ArrayGroup(matrix.symbol, mine.start, arrays, load, traffic, shards.stacked, len(blocks))


def pack(
    places: Places,
    items: Ints,
    target: Target,
    strategy: str,
    array_slack: float,
    seed: int,
    copies: bool = True,
) -> Packing:
    """Places ``items`` side by side into arrays, no more of them than :func:`arrays_of` says
    (``array_slack`` 1).

    Primary blocks go into as few arrays as the strategy can pack, times ``array_slack``, with balanced loads.
    Copies get arrays of their own, so that no copy shares an array with its block or with another copy of it;
    with ``copies`` false nothing is taken for one.
    """
    primary = places.copy_of[items] < 0 if copies else np.ones(len(items), np.bool_)
    array = np.zeros(len(items), np.int64)
    mine = items[primary]
    count = 0
    if len(mine):
        least = first_fit_count(places.width[mine], target.array.cols)
        count = min(max(least, int(np.ceil(least * array_slack))), len(mine))
        problem = PlacementProblem(
            load=places.load[mine],
            size=places.width[mine],
            traffic=np.zeros(len(mine)),
            capacity=np.full(count, target.array.cols),
            distance=np.zeros(count),
            item_unit="columns",
            resource="array columns",
        )
        array[primary] = solve(problem, strategy, seed=seed).assignment
    arrays = count
    if not primary.all():
        rest = items[~primary]
        found, more = pack_copies(
            places.width[rest], places.block[rest], places.load[rest], target.array.cols
        )
        array[~primary], arrays = count + found, count + more
    offset = _offsets(array, places.width[items], arrays)
    return Packing(items, array, offset, arrays, count, np.full(arrays, -1, np.int64))


def pack_copies(width: Ints, block: Ints, weight: NDArray[np.float64], cols: int) -> tuple[Ints, int]:
    """Arrays of copies: hottest first, each to the least loaded array that has room and not its block yet.

    Where that would take more than :func:`copy_arrays`, copies are dealt to so many instead.

    Args:
        width, block, weight: cell columns, block number and load of each copy, ``[n]``.
        cols: cell columns of an array.

    Returns:
        The array of each copy, numbered from 0, and how many there are.
    """
    most = copy_arrays(width, block, cols)
    count = max(first_fit_count(width, cols), _most_often(block))
    free = [cols] * count
    load = [0.0] * count
    held: list[set[int]] = [set() for _ in range(count)]
    found = np.zeros(len(width), np.int64)
    order = np.argsort(-weight, kind="stable")
    narrowest = int(width.min(initial=cols))
    queue = [(0.0, a) for a in range(count)]  # a heap: the least loaded, of those with room for anything
    for i in order.tolist():
        size, of = int(width[i]), int(block[i])
        passed: list[tuple[float, int]] = []
        a = -1
        while queue:
            entry = heapq.heappop(queue)
            if free[entry[1]] >= size and of not in held[entry[1]]:
                a = entry[1]
                break
            passed.append(entry)
        if a < 0:
            a = len(free)
            if a == most:
                return _dealt(width, block, cols), most
            free.append(cols)
            load.append(0.0)
            held.append(set())
        free[a] -= size
        load[a] += float(weight[i])
        held[a].add(of)
        found[i] = a
        for entry in (*passed, (load[a], a)):
            if free[entry[1]] >= narrowest:
                heapq.heappush(queue, entry)
    return found, len(free)


def copy_arrays(width: Ints, block: Ints, cols: int) -> int:
    """Arrays that copies (as in :func:`pack_copies`) take at most, those of one width together.

    As many as have room for all, and for each copy of one block an array of its own.
    """
    return sum(_arrays_of_width(block[width == w], cols // w) for w in np.unique(width).tolist())


def arrays_of(width: Ints, copy_of: Ints, cols: int) -> int:
    """Arrays for blocks (``copy_of`` -1) and copies (the number of their block) on one chip, at most.

    Those of one width count together, so that the parts of a whole never count less than the whole.
    """
    copies = copy_of >= 0
    widths, counts = np.unique(width[~copies], return_counts=True)
    return int((-(-counts // (cols // widths))).sum()) + copy_arrays(width[copies], copy_of[copies], cols)


def _arrays_of_width(block: Ints, side_by_side: int) -> int:
    return max(-(-len(block) // side_by_side), _most_often(block))


def _most_often(block: Ints) -> int:
    return int(np.unique(block, return_counts=True)[1].max(initial=0))


def _dealt(width: Ints, block: Ints, cols: int) -> Ints:
    """Array of each copy: copies of one width dealt block by block to arrays of their own, in turn."""
    found = np.zeros(len(width), np.int64)
    before = 0
    for w in np.unique(width).tolist():
        mine = np.flatnonzero(width == w)
        mine = mine[np.argsort(block[mine], kind="stable")]
        count = _arrays_of_width(block[mine], cols // w)
        found[mine] = before + np.arange(len(mine)) % count
        before += count
    return found


def _offsets(array: Ints, width: Ints, arrays: int) -> Ints:
    """First column of each item: items of an array lie side by side in their order."""
    order = np.argsort(array, kind="stable")
    ends = np.cumsum(width[order])
    before = np.concatenate([[0], np.cumsum(np.bincount(array, width, arrays))]).astype(np.int64)
    offsets = np.empty(len(array), np.int64)
    offsets[order] = ends - width[order] - before[array[order]]
    return offsets


def first_fit_count(width: Ints, capacity: int) -> int:
    """Bins that first-fit decreasing needs: items of equal width fill one bin after another."""
    free: list[tuple[int, int]] = []  # (room left, bins with that much left), fullest first
    for size, number in sorted(zip(*np.unique(width, return_counts=True), strict=True), reverse=True):
        left, rest = int(number), []
        for room, bins in free:
            fit = room // int(size)
            used = min(bins, -(-left // fit)) if fit and left else 0
            full, part = (used, 0) if used * fit <= left else (used - 1, left - (used - 1) * fit)
            left -= full * fit + part
            rest += [(room - fit * int(size), full)] if full else []
            rest += [(room - part * int(size), 1)] if part else []
            rest += [(room, bins - used)] if bins > used else []
        fit = capacity // int(size)
        full, part = divmod(left, fit)
        rest += [(capacity - fit * int(size), full)] if full else []
        rest += [(capacity - part * int(size), 1)] if part else []
        free = rest
    return sum(bins for _, bins in free)


def largest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to ``most`` that fits, taking that fewer always fit too; 0 fits."""
    low, high = 0, most
    if fits(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
