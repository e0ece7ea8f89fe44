"""NeuroShard's search: which tables to halve, by beam search, and where the pieces go."""

from __future__ import annotations

import numpy as np

from cimc.mapping.assignment.strategy_registry import require
from cimc.mapping.dtypes import IntArray
from cimc.mapping.kernels.sharding_loops import deal
from cimc.mapping.sharding.sharding_problem import Piece, ShardingProblem

_CANDIDATES = 10
"""Pieces of most storage, and of most cost, that a step tries to halve."""
_CAPS = 11
"""Limits on a chip's storage that are tried, from 1.0 to 1.5 of the mean."""


def neuroshard(
    problem: ShardingProblem, /, *, seed: int, beam: int = 3, steps: int = 10
) -> tuple[IntArray, str, dict[str, int]]:
    """The search of NeuroShard (Zha et al., MLSys 2023; its code was read) on this project's costs.

    Theirs: a beam of sets of halved tables; a step halves one of the ten largest or ten costliest pieces;
    a set is judged by dealing its pieces, costliest first, to the chip with the least cost, under eleven
    limits on a chip's storage between 1.0 and 1.5 of the mean, of which the best counts; the best set of all
    steps is the plan.  NeuroShard halves columns, and a learned network predicts costs.

    Ours: costs are array time and link time; a twelfth limit is the chip's room itself.  Column tiles are
    halved where a table is wider than an array; other tables, whose blocks are not narrower, are halved by
    rows.  Tables of more than half a chip begin in even runs.

    Args:
        problem: the problem.
        seed: not used.
        beam: sets kept after each step.
        steps: halvings at most.

    Raises:
        InfeasibleError: no set fits.
        PassError: ``mapping.bad-option``.
    """
    require(beam >= 1, f"`beam` must be at least 1, it is {beam}")
    require(steps >= 0, f"`steps` must not be negative, it is {steps}")
    start = problem.fitting()
    found, judged = _dealt(problem, start), 1
    best = (*found, start, 0)
    kept = [(found[0], start)]
    for step in range(1, steps + 1):
        sets = []
        for _, pieces in kept:
            for number in _candidates(problem, pieces):
                halves = _halved(problem, pieces[number])
                if len(halves) == 2:
                    tried = [*pieces[:number], *halves, *pieces[number + 1 :]]
                    cost, chips = _dealt(problem, tried)
                    judged += 1
                    sets.append((cost, tried))
                    if cost < best[0]:
                        best = (cost, chips, tried, step)
        kept = sorted(sets, key=lambda each: each[0])[:beam]
        if not kept:
            break
    if not np.isfinite(best[0]):
        raise problem.no_room("no set of pieces that was tried fits")
    chip = np.empty(problem.table.size, np.int64)
    for piece, c in zip(best[2], best[1].tolist(), strict=True):
        chip[piece.blocks] = c
    return chip, f"{best[3]} halvings", {"sets": judged}


def _candidates(problem: ShardingProblem, pieces: list[Piece]) -> list[int]:
    """The largest and the costliest pieces, each once."""
    cost = np.array([problem.cost(piece).max() for piece in pieces])
    size = np.array([piece.size for piece in pieces])
    first = np.argsort(-size, kind="stable")[:_CANDIDATES].tolist()
    return list(dict.fromkeys([*first, *np.argsort(-cost, kind="stable")[:_CANDIDATES].tolist()]))


def _halved(problem: ShardingProblem, piece: Piece) -> list[Piece]:
    """The column tiles of a piece in two, or its blocks; itself if it has one block."""
    column = problem.column[piece.blocks]
    tiles = np.unique(column)
    if tiles.size > 1:
        right = column >= tiles[tiles.size // 2]
        parts = [piece.blocks[~right], piece.blocks[right]]
    else:
        parts = [part for part in np.array_split(piece.blocks, 2) if part.size]
    return [problem.piece(piece.table, part) for part in parts]


def _dealt(problem: ShardingProblem, pieces: list[Piece]) -> tuple[float, IntArray]:
    """The least bottleneck over all limits on storage, and the chip of each piece; infinity if none fits."""
    busy, bits = (np.array([getattr(p, name) for p in pieces], float) for name in ("busy_ns", "bits"))
    size = np.array([p.size for p in pieces], np.int64)
    order = np.lexsort((-size, -(busy + bits / problem.link_bits_per_ns.min())))
    mean = float(size.sum()) / problem.chips
    best, chips = np.inf, np.zeros(len(pieces), np.int64)
    tried: set[tuple[int, ...]] = set()
    limits = np.ceil(np.linspace(1.0, 1.5, _CAPS) * mean).astype(np.int64)
    for limit in (*limits.tolist(), int(problem.capacity.max())):
        cap = np.minimum(problem.capacity, limit)
        if tuple(cap.tolist()) in tried:
            continue
        tried.add(tuple(cap.tolist()))
        time = np.zeros(problem.chips)
        found = deal(order, busy, bits, size, problem.link_bits_per_ns, cap.copy(), time)
        if (not found.size or found.min() >= 0) and time.max() < best:
            best, chips = float(time.max()), found
    return best, chips
