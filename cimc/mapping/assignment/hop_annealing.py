"""Annealing on the hops under a limit on the bin loads; the loop itself is compiled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimc.mapping.assignment.exchange import bin_loads
from cimc.mapping.assignment.problem import PlacementProblem
from cimc.mapping.dtypes import FloatArray, IntArray

# Temperatures, in mean traffic x mean step between neighbouring distances: hot enough for busy items
# to change rings, cold enough that the last steps no longer matter.
_HOT, _COLD = 10.0, 1e-3
_STEPS = 60
# Then the prices rise to this many times themselves, until limit and capacities are kept.
_HARDEN, _HARDEN_STEPS = 300.0, 12
# Bins that still stand above the limit are mended one by one; candidates per item.
_MEND_WIDTH = 20_000
# Sums of loads kept up to date over many steps drift; the loop aims this much below the limit.
_MARGIN = 1e-9


@dataclass(frozen=True, eq=False)
class Annealed:
    """The assignment found and what it took; ``overfull`` where a capacity is not kept."""

    assignment: IntArray
    proposals: int
    accepted: int
    overfull: bool


@dataclass(frozen=True)
class PenaltyPrices:
    """Cost of one unit of load above the limit, and of one unit above a capacity.

    Attributes:
        load: bit-hops per unit of load.
        size: bit-hops per capacity unit; negative where capacities hold at every step.
    """

    load: float
    size: float


def typical_prices(problem: PlacementProblem) -> PenaltyPrices:
    """Prices of the size of what a unit brings: traffic per load, and per size, over the full distance."""
    far = float(problem.distance.max()) - float(problem.distance.min())
    traffic = float(problem.traffic.sum())
    load = float(problem.load.sum())
    return PenaltyPrices(
        2.0 * traffic / load * far if load > 0 else 0.0, traffic / float(problem.size.sum()) * far
    )


def anneal_hops(
    problem: PlacementProblem,
    assignment: IntArray,
    *,
    limit: float,
    prices: PenaltyPrices,
    sweeps: int,
    effort: int,
    seed: int,
) -> Annealed:
    """Fewer hops at bin loads of at most ``limit``, from a complete assignment within capacity.

    Geometric cooling with penalties for load above the limit and size above a capacity; then the
    penalties rise; then single bins are mended.  It may not succeed, so the caller looks at the
    bottleneck of what comes back.

    Args:
        problem: the problem; at least one item and some traffic.
        assignment: int64[n], complete and within capacity.
        limit: largest load that a bin should have.
        prices: of the penalties.
        sweeps: proposals per item, in all.
        effort: proposals in all, if fewer.
        seed: of the proposals.
    """
    from cimc.mapping.kernels.annealing_loops import anneal, mend
    from cimc.support.random.splitmix_jit import state_of

    items = np.lexsort((problem.load, problem.size))
    usable = np.flatnonzero(problem.capacity >= problem.size.min())
    bins = usable[np.argsort(problem.distance[usable], kind="stable")]
    rank = np.zeros(problem.n_bins, dtype=np.int64)
    rank[bins] = np.arange(bins.size)
    load, size, traffic = problem.load[items], problem.size[items], problem.traffic[items]
    distance = problem.distance[bins]
    at = rank[assignment[items]]
    carried = bin_loads(problem, assignment)[bins]
    used = np.zeros(problem.n_bins, dtype=np.int64)
    np.add.at(used, assignment, problem.size)
    room = (problem.capacity - used)[bins]

    aim = limit * (1 - _MARGIN)
    state = state_of(seed)
    steps = _STEPS + _HARDEN_STEPS + 2
    each = max(min(sweeps * items.size, effort) // steps, 0)
    unit = float(traffic.mean()) * _mean_step(distance)
    schedule = [(unit * t, 1.0) for t in geometric(_HOT, _COLD, _STEPS)]
    schedule += [(unit * _COLD, p) for p in geometric(1.0, _HARDEN, _HARDEN_STEPS)]
    accepted = done = 0
    for temperature, times in schedule:
        accepted += anneal(
            load,
            size,
            traffic,
            distance,
            at,
            carried,
            room,
            aim,
            prices.load * times,
            prices.size * times,
            temperature,
            done,
            each,
            state,
        )
        done += each
    # Without heat; capacities that hold by now are kept from here on.
    last = (prices.load * _HARDEN, -abs(prices.size) * _HARDEN)
    for _ in range(2):
        accepted += anneal(
            load, size, traffic, distance, at, carried, room, aim, *last, 0.0, done, each, state
        )
        done += each
    over = np.flatnonzero(carried > aim)
    if over.size and not np.any(room < 0):
        heavy = over[np.argsort(-carried[over], kind="stable")]
        members, start = _members(at, heavy, bins.size)
        done += mend(
            load, size, traffic, distance, at, carried, room, aim, members, heavy, start, _MEND_WIDTH
        )
    found = np.empty_like(at)
    found[items] = bins[at]
    return Annealed(found, done, accepted, bool(np.any(room < 0)))


def geometric(first: float, last: float, count: int) -> list[float]:
    """``count`` >= 2 falling or rising values from ``first`` to ``last`` at equal ratios.

    The ratio is bisected with products alone: a power rounds differently from machine to machine.
    """
    low, high = 0.0, max(last / first, 1.0)
    ratio = high
    for _ in range(100):
        ratio = (low + high) / 2
        power = 1.0
        for _ in range(count - 1):
            power *= ratio
        low, high = (ratio, high) if power < last / first else (low, ratio)
    values = [first]
    for _ in range(count - 1):
        values.append(values[-1] * ratio)
    return values


def _mean_step(distance: FloatArray) -> float:
    levels = np.unique(distance)
    return float(levels[-1] - levels[0]) / max(levels.size - 1, 1)


def _members(at: IntArray, bins: IntArray, m: int) -> tuple[IntArray, IntArray]:
    """The items of each of ``bins``, bin after bin, and where each bin's items start."""
    place = np.full(m, -1, dtype=np.int64)
    place[bins] = np.arange(bins.size)
    mine = np.flatnonzero(place[at] >= 0)
    members = mine[np.argsort(place[at[mine]], kind="stable")]
    return members, np.concatenate(([0], np.cumsum(np.bincount(place[at[mine]], minlength=bins.size))))
