"""TorchRec's planner: how each table is sharded, by proposals, and where the shards go."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from math import prod

import numpy as np

from cimc.mapping.assignment.strategy_registry import require
from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.mapping.kernels.sharding_loops import deal
from cimc.mapping.sharding.sharding_problem import Piece, ShardingProblem

_GRID = 10_000
"""Combinations up to which all of them are proposed."""

Options = dict[str, list[Piece]]
Proposal = tuple[str, ...]


def torchrec(
    problem: ShardingProblem, /, *, seed: int, memory_bins: int = 100, proposals: int = 2000
) -> tuple[IntArray, str, dict[str, int]]:
    """The planner of TorchRec (Ivchenko et al., RecSys 2022; its code was read) on this project's costs.

    Theirs: every table has options, each a way to shard it; proposers pick one option per table (all
    combinations, where there are at most 10,000; greedily, from the cheapest option of each table by the
    largest or by the sum of its shards, the table with most storage moving on to its next one; the same kind
    for all; and a dynamic program for the least total cost within each amount of storage); a partitioner
    places shards over all devices first and then the others by falling storage, each on the device with the
    least cost that has room; the proposal with the least cost of the busiest device is the plan.

    Options are ``whole``, ``columns`` (its column tiles apart, for tables wider than an array: blocks are not
    narrower) and ``rows`` (runs of equal length over all chips).  Ours: costs are array time and link time;
    the least cost counts the shard that is placed, as links differ; TorchRec's replicated tables are left
    out, as copies are decided before chips.

    Args:
        problem: the problem.
        seed: not used.
        memory_bins: of the dynamic program, per chip.
        proposals: at most.

    Raises:
        InfeasibleError: no proposal fits.
        PassError: ``mapping.bad-option``.
    """
    require(memory_bins >= 1, f"`memory_bins` must be at least 1, it is {memory_bins}")
    require(proposals >= 1, f"`proposals` must be at least 1, it is {proposals}")
    tables = [_options(problem, piece) for piece in problem.whole()]
    best: tuple[float, IntArray, str] | None = None
    tried: set[Proposal] = set()
    for name, proposal in itertools.islice(_proposals(problem, tables, memory_bins), proposals):
        if proposal in tried:
            continue
        tried.add(proposal)
        placed = _partition(problem, tables, proposal)
        if placed is not None and (best is None or placed[0] < best[0]):
            best = (*placed, name)
    if best is None:
        raise problem.no_room(f"none of {len(tried)} proposals fits")
    return best[1], best[2], {"proposals": len(tried)}


def _options(problem: ShardingProblem, whole: Piece) -> Options:
    """The ways to shard a table."""
    found = {"whole": [whole]}
    tiles = np.unique(problem.column[whole.blocks])
    if tiles.size > 1:
        found["columns"] = [
            problem.piece(whole.table, whole.blocks[problem.column[whole.blocks] == tile]) for tile in tiles
        ]
    if whole.blocks.size > 1 and problem.chips > 1:
        runs = np.array_split(whole.blocks, problem.chips)
        found["rows"] = [problem.piece(whole.table, run) for run in runs if run.size]
    return found


def _proposals(
    problem: ShardingProblem, tables: list[Options], memory_bins: int
) -> Iterator[tuple[str, Proposal]]:
    if prod(len(options) for options in tables) <= _GRID:
        for proposal in itertools.product(*tables):
            yield "grid", proposal
        return
    for name, total in (("greedy by largest shard", False), ("greedy by sum", True)):
        for proposal in _greedy(problem, tables, total):
            yield name, proposal
    for kind in ("whole", "columns", "rows"):
        yield f"uniform {kind}", tuple(kind if kind in options else "whole" for options in tables)
    for proposal in _least_totals(problem, tables, memory_bins):
        yield "dynamic program", proposal


def _cost(problem: ShardingProblem, pieces: list[Piece], total: bool) -> float:
    """Of an option: over the slowest link, its shards together or the largest of them."""
    each = [float(problem.cost(piece).max()) for piece in pieces]
    return sum(each) if total else max(each)


def _storage(pieces: list[Piece]) -> int:
    return sum(piece.size for piece in pieces)


def _greedy(problem: ShardingProblem, tables: list[Options], total: bool) -> Iterator[Proposal]:
    ranked = [
        sorted(options, key=lambda kind, o=options: _cost(problem, o[kind], total))  # type: ignore[misc]
        for options in tables
    ]
    at = [0] * len(tables)
    while True:
        yield tuple(kinds[k] for kinds, k in zip(ranked, at, strict=True))
        movable = [t for t, kinds in enumerate(ranked) if at[t] + 1 < len(kinds)]
        if not movable:
            return
        largest = max(movable, key=lambda t: (_storage(tables[t][ranked[t][at[t]]]), -t))
        at[largest] += 1


def _least_totals(problem: ShardingProblem, tables: list[Options], bins: int) -> Iterator[Proposal]:
    """The least total cost within each number of storage bins, from the most storage down."""
    count = bins * problem.chips
    unit = max(float(problem.capacity.sum()) / count, 1e-9)
    least = np.zeros(count + 1)
    chosen: list[tuple[list[str], list[int], IntArray]] = []
    for options in tables:
        kinds = list(options)
        need = [int(np.ceil(_storage(options[kind]) / unit)) for kind in kinds]
        rows = np.full((len(kinds), count + 1), np.inf)
        for row, kind in enumerate(kinds):
            if need[row] <= count:
                rows[row, need[row] :] = least[: count + 1 - need[row]] + _cost(problem, options[kind], True)
        chosen.append((kinds, need, rows.argmin(axis=0)))
        least = rows.min(axis=0)
    for room in range(count, -1, -1):
        if not np.isfinite(least[room]):
            return
        if room < count and least[room] == least[room + 1]:
            continue
        proposal, left = [], room
        for kinds, need, pick in reversed(chosen):
            row = int(pick[left])
            proposal.append(kinds[row])
            left -= need[row]
        yield tuple(reversed(proposal))


def _partition(
    problem: ShardingProblem, tables: list[Options], proposal: Proposal
) -> tuple[float, IntArray] | None:
    """Bottleneck and chip of each block, or None where a shard finds no room."""
    chip = np.full(problem.table.size, -1, np.int64)
    free, time = problem.capacity.copy(), np.zeros(problem.chips)
    others: list[Piece] = []
    for options, kind in zip(tables, proposal, strict=True):
        if kind != "rows":
            others += options[kind]
            continue
        for c, piece in enumerate(options[kind]):
            chip[piece.blocks] = c
            free[c] -= piece.size
            time[c] += problem.cost(piece)[c]
    if free.min() < 0:
        return None
    busy, bits = (np.array([getattr(p, name) for p in others], float) for name in ("busy_ns", "bits"))
    size = np.array([p.size for p in others], np.int64)
    order = np.argsort(-size, kind="stable")
    found = deal(order, busy, bits, size, problem.link_bits_per_ns, free, time)
    if found.size and found.min() < 0:
        return None
    for piece, c in zip(others, found.tolist(), strict=True):
        chip[piece.blocks] = c
    return _slowest(time), chip


def _slowest(time: FloatArray) -> float:
    return float(time.max())
