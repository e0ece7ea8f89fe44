"""Which rows are on every chip with a dense part, and how many of those there are: decided over classes.

Blocks of all tables of a class come in runs of similar heat (:mod:`~cimc.study.planning.skew`).  A run is
either *far*, once in the machine, dealt over all chips, or *near*, on every chip with a dense part.  With
the number of dense parts fixed, the least time of the busiest unit is a linear program with a variable a run
and one row for the room; its optimum bounds every decision of this form, and rounding takes at most one run
apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ortools.math_opt.python import mathopt

from cimc.cost.machine.machine_bounds import links_round_ports
from cimc.isa.link_widths import HEADER_BITS, WORD_BITS, id_bits
from cimc.study.planning.description import Description
from cimc.study.planning.skew import Floats, block_runs, touched
from cimc.target.spec import Target

_FULL = 0.98
"""Share of the arrays that is used: packing leaves a little of each chip empty."""
_FEWER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""A dense part on every chip, on every second, and so on."""
_MORE = (1, 2, 3, 4, 6, 8, 12, 16, 24)
"""Dense parts on a chip that has any."""
_EPSILON = 1e-9
_WORTH = 0.01
"""What a further dense part must be worth."""


@dataclass(frozen=True)
class Items:
    """Runs of blocks of all classes, arrays over them ``[n]``.

    Attributes:
        of: class; first, count: blocks of one table; times: tables of the class.
        arrays: that one place of all of them takes.
        ids: bits a request that ask for them, headers included, were they far; answers: bits that come back.
        reads, touches: of one table: rows read, and blocks.
    """

    of: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    times: NDArray[np.int64]
    arrays: Floats
    ids: Floats
    answers: Floats
    reads: Floats
    touches: Floats


@dataclass(frozen=True)
class Spread:
    """A decision.

    Attributes:
        chips, homes: of the machine, and those of them with the near rows and dense parts, ``each`` so many.
        near: of each class, blocks of each table that are near, the most read first.
        period_ns: time of the busiest unit per request of the machine, as far as cuts, and router inputs of
            dense parts, tell; bound_ns: of no decision of this form it is less, as far as cuts tell.
        arrays: used in all.
    """

    chips: int
    homes: int
    each: int
    near: tuple[int, ...]
    period_ns: float
    bound_ns: float
    arrays: float


def items_of(model: Description, target: Target) -> Items:
    """The runs of a model's tables."""
    height, cols = target.array.rows, target.array.cols
    slices = target.slices(8)
    columns: list[tuple[NDArray[Any], ...]] = []
    for number, each in enumerate(model.tables):
        runs = block_runs(each.law, height)
        n = len(runs.first)
        most = cols // slices
        widths = [min(most, each.dim - first) * slices for first in range(0, each.dim, most)]
        arrays = sum(1.0 / (cols // width) for width in widths)
        chance = touched(runs.share, each.bags) * runs.count
        reads = each.pooling * runs.share * runs.count
        columns.append(
            (
                np.full(n, number),
                runs.first,
                runs.count,
                np.full(n, each.count),
                each.count * runs.count * arrays,
                each.count * (chance * HEADER_BITS + reads * id_bits(each.rows)),
                each.count * chance * (each.dim * WORD_BITS + HEADER_BITS),
                reads,
                chance,
            )
        )
    whole = [np.concatenate(parts) for parts in zip(*columns, strict=True)]
    of, first, counts, times = (part.astype(np.int64) for part in whole[:4])
    room, ids, answers, reads, touches = (part.astype(np.float64) for part in whole[4:])
    return Items(of, first, counts, times, room, ids, answers, reads, touches)


def least_chips(items: Items, dense_arrays: int, target: Target) -> int:
    """Chips that hold every row once, and the dense part once."""
    one = target.tiles_per_chip * target.tile.arrays
    return max(int(np.ceil((items.arrays.sum() + dense_arrays) / (_FULL * one))), 1)


def decide(
    items: Items, dense_arrays: int, bits_in: float, bits_out: float, chips: int, target: Target
) -> Spread | None:
    """The best spread over ``chips``; ``None`` where they do not hold the model.

    Args:
        items: see :func:`items_of`.
        dense_arrays: of one dense part.
        bits_in, bits_out: between host and chip, a request.
        chips, target: the machine; ``target`` says what one chip is.
    """
    best: Spread | None = None
    bound = np.inf
    answers = (float(items.answers.sum()) + bits_in) / float(target.tile.link_gbps)
    one = _FULL * target.tiles_per_chip * target.tile.arrays
    most = int((chips * one - float(items.arrays.sum())) / dense_arrays)  # with no copies of rows
    counts = {1, min(max(most, 1), chips), *(max(chips // fewer, 1) for fewer in _FEWER)}
    for homes in sorted(counts, reverse=True):
        for each in _MORE if homes == chips else (1,):
            if each * dense_arrays > target.tiles_per_chip * target.tile.arrays:
                break
            found = _with_homes(items, each * dense_arrays, bits_in, bits_out, chips, homes, target)
            if found is None:
                break
            bound = min(bound, found.bound_ns)
            period = max(found.period_ns, answers / (homes * each))
            if best is None or period < best.period_ns * (1 - _WORTH):
                best = replace(found, each=each, period_ns=period)
            if period == found.period_ns:
                break  # more of them would only take room
    return None if best is None else replace(best, bound_ns=min(float(bound), best.period_ns))


def _with_homes(
    items: Items,
    dense_arrays: int,
    bits_in: float,
    bits_out: float,
    chips: int,
    homes: int,
    target: Target,
) -> Spread | None:
    room = _FULL * chips * target.tiles_per_chip * target.tile.arrays
    room -= homes * dense_arrays + float(items.arrays.sum())
    home_room = _FULL * target.tiles_per_chip * target.tile.arrays - dense_arrays
    if room < 0 or home_room < 0:
        return None
    more = items.arrays * (homes - 1)
    rows = _rows(items, bits_in, bits_out, chips, homes, target)
    scale = max(float(fixed + far.sum()) for fixed, far in rows)
    if chips == 1:
        near = np.ones(len(more))
        return _rounded(items, near, rows, homes, chips, dense_arrays, 0.0)
    model = mathopt.Model()
    share = [model.add_variable(lb=0.0, ub=1.0) for _ in more]  # of a run that is near
    busy = model.add_variable(lb=0.0)
    used = mathopt.fast_sum(a * x for a, x in zip(more.tolist(), share, strict=True))
    model.add_linear_constraint(used <= room)
    mine = mathopt.fast_sum(a * x for a, x in zip(items.arrays.tolist(), share, strict=True))
    model.add_linear_constraint(mine <= home_room)
    for fixed, far in rows:
        saved = mathopt.fast_sum(f / scale * x for f, x in zip(far.tolist(), share, strict=True))
        model.add_linear_constraint(busy + saved >= (fixed + float(far.sum())) / scale)
    # of equal ones that with the fewest copies
    weight = _EPSILON / max(float(more.sum()), 1.0)
    model.minimize(busy + weight * used)
    result = mathopt.solve(model, mathopt.SolverType.GLOP)
    if result.termination.reason != mathopt.TerminationReason.OPTIMAL:
        return None
    near = np.array([result.variable_values(x) for x in share])
    bound = scale * (result.objective_value() - _EPSILON)
    return _rounded(items, near, rows, homes, chips, dense_arrays, max(bound, 0.0))


def _rows(
    items: Items, bits_in: float, bits_out: float, chips: int, homes: int, target: Target
) -> list[tuple[float, Floats]]:
    """Units per request of the machine: time that is always taken, and of each run, were it far.

    The cut round the ports of a chip, in either direction, and its host link.  A far answer comes in at the
    chip that asked, one of ``homes``, and leaves the one that has it, one of ``chips``.
    """
    link, host = float(target.tile.link_gbps), float(target.chip.host_link_gbps)
    cut = max(links_round_ports(target), 1) * link
    away = 1.0 - 1.0 / chips
    into = (bits_in / homes, away * (items.answers / homes + items.ids / chips))
    out = (bits_out / homes, away * (items.ids / homes + items.answers / chips))
    both = into[0] + out[0], into[1] + out[1]
    return [(into[0] / cut, into[1] / cut), (out[0] / cut, out[1] / cut), (both[0] / host, both[1] / host)]


def _rounded(
    items: Items,
    near: Floats,
    rows: list[tuple[float, Floats]],
    homes: int,
    chips: int,
    dense_arrays: int,
    bound: float,
) -> Spread:
    """Whole blocks, the hottest of each class first."""
    classes = int(items.of.max()) + 1
    blocks = np.zeros(classes, np.int64)
    np.add.at(blocks, items.of, np.floor(near * items.count + 1e-6).astype(np.int64))
    kept = np.clip((blocks[items.of] - items.first) / items.count, 0.0, 1.0)
    period = max(fixed + float((far * (1.0 - kept)).sum()) for fixed, far in rows)
    arrays = float((items.arrays * (1.0 + kept * (homes - 1))).sum()) + homes * dense_arrays
    return Spread(chips, homes, 1, tuple(blocks.tolist()), period, min(bound, period), arrays)
