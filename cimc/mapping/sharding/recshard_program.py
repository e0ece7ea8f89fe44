"""RecShard's program: where to cut each table's frequency order, and which chip gets the cold part."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cimc.mapping.assignment.strategy_registry import require
from cimc.mapping.dtypes import IntArray
from cimc.mapping.kernels.sharding_loops import deal
from cimc.mapping.sharding.sharding_problem import Piece, ShardingProblem

_BOOLEANS = 20_000
"""Choices of a cut and a chip, over all tables, up to which the solver is asked."""
_SCALE = 1 << 34
# Costs become integers of about this size for the solver.


class _Cut(NamedTuple):
    """The hot part of a table, for the near chip, and the cold one; either may be missing."""

    hot: Piece | None
    cold: Piece | None


def recshard(
    problem: ShardingProblem, /, *, seed: int, steps: int = 10, deterministic_time: float = 4.0
) -> tuple[IntArray, str, dict[str, int]]:
    """The mixed-integer program of RecShard (Sethi et al., ASPLOS 2022; known from its abstract) in CP-SAT.

    Theirs: rows of a table in the order of their frequency are cut where a step of the cumulative
    distribution lies; the hot part goes to fast memory, the cold one to slow memory; each table has a
    device; the slowest device is as fast as possible, within all capacities.

    Ours: the fast place is the chip of the layers (0), whose link costs nothing, and the cold part's chip is
    the decision; costs are array time and link time; ``steps`` steps instead of 100; a start by dealing, on
    which the solver has to improve.  Tables of more than half a chip are cut into even runs before.

    Args:
        problem: the problem.
        seed: of the solver.
        steps: of the distribution, where a table may be cut.
        deterministic_time: effort of the solver, in its own measure; no seconds.

    Raises:
        InfeasibleError: nothing fits.
        PassError: ``mapping.bad-option``.
    """
    require(steps >= 1, f"`steps` must be at least 1, it is {steps}")
    require(0 <= deterministic_time < np.inf, "`deterministic_time` must be finite and not negative")
    pieces = problem.fitting()
    busy, bits = (np.array([getattr(p, name) for p in pieces], float) for name in ("busy_ns", "bits"))
    size = np.array([p.size for p in pieces], np.int64)
    order = np.lexsort((-size, -busy))
    time = np.zeros(problem.chips)
    start = deal(order, busy, bits, size, problem.link_bits_per_ns, problem.capacity.copy(), time)
    chip = np.zeros(problem.table.size, np.int64)
    best, how = np.inf, "nothing"
    if not start.size or start.min() >= 0:
        for piece, c in zip(pieces, start.tolist(), strict=True):
            chip[piece.blocks] = c
        best, how = float(problem.times(chip).max()), "dealt"
    cuts = [_cuts(problem, piece, steps) for piece in pieces]
    choices = sum(map(len, cuts)) * problem.chips
    if choices > _BOOLEANS or not pieces:
        if not np.isfinite(best):
            raise problem.no_room(f"tables whole; {choices} choices are too many for the solver")
        return chip, f"{how} (more than {_BOOLEANS} choices)" if choices > _BOOLEANS else how, {}
    solved, effort = _solve(problem, cuts, start, best, seed, deterministic_time)
    if solved is not None:
        reached = float(problem.times(solved).max())
        if reached < best and np.all(problem.used(solved) <= problem.capacity):
            chip, best, how = solved, reached, "CP-SAT"
    if not np.isfinite(best):
        raise problem.no_room("no cut of the tables was found that fits")
    return chip, how, effort


def _cuts(problem: ShardingProblem, piece: Piece, steps: int) -> list[_Cut]:
    """Where a piece may be cut: nothing hot, a step's share of its reads hot, all hot."""
    heat = problem.busy_ns[piece.blocks]
    order = piece.blocks[np.argsort(-heat, kind="stable")]
    share = np.cumsum(problem.busy_ns[order]) / max(float(heat.sum()), 1e-300)
    at = {0, order.size}
    at |= {min(int(np.searchsorted(share, k / steps)) + 1, order.size) for k in range(1, steps)}
    return [
        _Cut(
            problem.piece(piece.table, order[:n]) if n else None,
            problem.piece(piece.table, order[n:]) if n < order.size else None,
        )
        for n in sorted(at)
    ]


def _solve(
    problem: ShardingProblem, cuts: list[list[_Cut]], start: IntArray, best: float, seed: int, effort: float
) -> tuple[IntArray | None, dict[str, int]]:
    """One boolean per piece, cut and chip of its cold part."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    limit = (
        best
        if np.isfinite(best)
        else float(problem.busy_ns.sum())
        + sum(float(problem.cost(c.cold).max()) for each in cuts for c in each[:1] if c.cold)
    )
    unit = max(limit, 1e-300) / _SCALE
    worst = model.new_int_var(0, _SCALE, "worst")
    load: list[list[Any]] = [[] for _ in range(problem.chips)]
    used: list[list[Any]] = [[] for _ in range(problem.chips)]
    chosen = []
    for number, each in enumerate(cuts):
        mine = []
        for k, cut in enumerate(each):
            for chip in range(problem.chips if cut.cold is not None else 1):
                if chip == 0 and cut.hot is not None and cut.cold is not None:
                    continue  # both parts on the near chip: no cut
                on = model.new_bool_var("")
                mine.append((on, cut, chip))
                model.add_hint(on, k == 0 and number < start.size and int(start[number]) == chip)
                for part, at in ((cut.hot, 0), (cut.cold, chip)):
                    if part is not None:
                        load[at].append(int(problem.cost(part)[at] / unit) * on)
                        used[at].append(part.size * on)
        model.add_exactly_one([on for on, _, _ in mine])
        chosen.append(mine)
    for chip in range(problem.chips):
        model.add(sum(load[chip]) <= worst)
        model.add(sum(used[chip]) <= int(problem.capacity[chip]))
    model.minimize(worst)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.catch_sigint_signal = False  # it would end the search, and the command go on
    solver.parameters.random_seed = seed
    solver.parameters.max_deterministic_time = effort
    status = solver.solve(model)
    counts = {"conflicts": int(solver.num_conflicts), "branches": int(solver.num_branches)}
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None, counts
    found = np.empty(problem.table.size, np.int64)
    for mine in chosen:
        _, cut, chip = next(each for each in mine if solver.value(each[0]))
        for part, at in ((cut.hot, 0), (cut.cold, chip)):
            if part is not None:
                found[part.blocks] = at
    return found, counts
