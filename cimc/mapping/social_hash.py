"""Rows to arrays by social hash partitioning: recursive bisection of the bags."""

from __future__ import annotations

import numpy as np

from cimc.mapping.assignment.strategy_registry import require
from cimc.mapping.dtypes import IntArray
from cimc.mapping.grouping import GroupingProblem, among, and_others
from cimc.support.random.draws import Draws
from cimc.support.random.splitmix import key_of
from cimc.support.row_bags import RowBags


def shp(
    problem: GroupingProblem,
    /,
    *,
    seed: int,
    rounds: int = 20,
    p: float = 0.5,
    chance: float = 0.8,
) -> IntArray:
    """Social hash partitioning (Kabiljo et al., VLDB 2017), as Bandana and MaxEmbed order embedding rows.

    Theirs: rows are cut in two again and again, down to arrays, such that few arrays are expected to be
    touched by a request that reads each row of a bag with probability p: a side with n rows of a bag that is
    still to be cut into s arrays counts ``s (1 - (1 - p / s)^n)``.  From random halves, in each round the
    rows of both sides are sorted by what moving them would save, and swapped in that order while a swap saves
    something (exact halves, as in MaxEmbed); a row takes part in a round with probability ``chance``, so that
    neighbours do not move at once.  Rows that are not read come last.

    Ours: the best sides of all rounds count, not the last; arrays stand in the order of their reads; and the
    random numbers are seeded.

    Args:
        problem: the problem.
        seed: of the first halves and of the draws.
        rounds: of swaps per bisection.
        p: as above, in (0, 1).
        chance: in (0, 1].

    Raises:
        PassError: ``mapping.bad-option``.
    """
    require(rounds >= 0, f"`rounds` must not be negative, it is {rounds}")
    require(0 < p < 1, f"`p` must lie between 0 and 1, it is {p}")
    require(0 < chance <= 1, f"`chance` must be above 0 and at most 1, it is {chance}")
    hot, reads = problem.hot, -np.sort(-problem.counts)
    hot, reads = hot[reads > 0], reads[reads > 0]
    bags = among(problem, hot)
    if not len(bags):
        return and_others(problem, problem.hot)
    from cimc.mapping.kernels.social_hash_loops import bisect

    height = problem.block_rows
    order = np.empty(hot.size, dtype=np.int64)
    # Parts that are still to be cut: where each begins, its rows, and its bags by position in the rows.
    parts: list[tuple[int, IntArray, RowBags]] = [(0, np.arange(hot.size, dtype=np.int64), bags)]
    while parts:
        first, rows, inside = parts.pop()
        blocks = -(-rows.size // height)
        if blocks == 1 or not len(inside):
            order[first : first + rows.size] = np.sort(rows)  # by heat
            continue
        left_blocks = (blocks + 1) // 2
        left_rows = left_blocks * height
        draws = Draws(key_of(seed, "shp", first, rows.size))
        right = np.zeros(rows.size, dtype=np.bool_)
        right[draws.permutation(rows.size)[left_rows:]] = True
        bisect(
            inside.starts, inside.rows, inside.weights, right, left_blocks, blocks - left_blocks,
            p, rounds, chance, draws.words(1),
        )  # fmt: skip
        for at, side in ((first, ~right), (first + left_rows, right)):
            name = np.where(side, np.cumsum(side) - 1, -1)
            parts.append((at, rows[side], inside.renamed(name)))
    return and_others(problem, hot[_by_reads(order, reads, height)])


def _by_reads(order: IntArray, counts: IntArray, height: int) -> IntArray:
    """``order`` with its whole arrays by their reads, the most first; what fills no array stays last."""
    whole = order.size // height * height
    arrays = order[:whole].reshape(-1, height)
    ranked = np.argsort(-counts[arrays].sum(axis=1), kind="stable")
    return np.concatenate((arrays[ranked].reshape(-1), order[whole:]))
