"""Copies of layers by annealing, after PIMSYN (DATE 2024), as its public code has them.

Taken over: the start in proportion to work; the energy, most windows a copy; no layer with less than 0.6 of
the copies of the next one; temperatures that fall by 0.95, ten tries each.  Ours: windows may be requests in
flight (PIMSYN copies convolutions alone), the first temperature is the energy of the start, the best is kept
instead of the 30 best that its later stages choose among, and a move is one copy more or less, or from a
layer to another.
"""

from __future__ import annotations

import math

import numpy as np

from cimc.mapping.allocation.layer_copies import LayerCopies, LayerCopiesProblem
from cimc.mapping.assignment.strategy_registry import require
from cimc.mapping.dtypes import IntArray
from cimc.support.random.draws import Draws
from cimc.support.random.splitmix import key_of

_AS_NEXT = 0.6
_COOLING, _END = 0.95, 1e-3


def pimsyn_sa(
    problem: LayerCopiesProblem, /, *, seed: int, windows: int = 1, temperatures: int = 100, tries: int = 10
) -> LayerCopies:
    """Copies of each layer by annealing.

    Args:
        problem: the layers.
        seed: of the moves.
        windows: requests in flight, each a window of every layer.
        temperatures, tries: how many, and moves tried at each.
    """
    for name, value in (("temperatures", temperatures), ("tries", tries)):
        require(value >= 0, f"`{name}` must not be negative, it is {value}")
    uses = problem.windows(windows)
    draws = Draws(key_of(seed, "pimsyn annealing"))
    now = in_proportion(problem, uses)
    if problem.layers == 0:
        return LayerCopies(now)
    cost = start = energy(uses, now)
    best, least, accepted, heat = now, cost, 0, start
    for _ in range(temperatures):
        for _ in range(tries):
            trial = _moved(now, draws)
            if not allowed(problem, uses, trial):
                continue
            worth = energy(uses, trial)
            if worth <= cost or float(draws.uniform((1,))[0]) < math.exp((cost - worth) / heat):
                now, cost, accepted = trial, worth, accepted + 1
                if cost < least:
                    best, least = now, cost
        heat *= _COOLING
        if heat < _END * start:
            break
    return LayerCopies(best, {"accepted": accepted, "energy_at_start": start, "energy": least})


def energy(windows: IntArray, copies: IntArray) -> float:
    """Most windows a copy."""
    return float(np.max(windows / copies))


def allowed(problem: LayerCopiesProblem, windows: IntArray, copies: IntArray) -> bool:
    """Whether ``copies`` fit, all have work, and none is far fewer than those of the next layer."""
    busy = np.all((copies >= 1) & (copies <= windows))
    fed = np.all(copies[:-1] >= np.minimum(_AS_NEXT * copies[1:], windows[:-1]))
    return bool(busy and fed) and problem.fits(copies)


def in_proportion(problem: LayerCopiesProblem, windows: IntArray) -> IntArray:
    """int64[n]: as many copies as fit, in proportion to windows, at least one each."""
    low, high = 0, int(windows.max(initial=0))
    most = high
    ones = np.ones(problem.layers, np.int64)
    while low < high:  # the largest multiple that fits
        middle = (low + high + 1) // 2
        if problem.fits(np.maximum(ones, windows * middle // most)):
            low = middle
        else:
            high = middle - 1
    found: IntArray = np.maximum(ones, windows * low // max(most, 1))
    return found


def _moved(copies: IntArray, draws: Draws) -> IntArray:
    trial = copies.copy()
    kind, layer = draws.integer(3), draws.integer(copies.size)
    if kind != 1:
        trial[layer] += 1
    if kind == 1:
        trial[layer] -= 1
    elif kind == 2:
        trial[draws.integer(copies.size)] -= 1
    return trial
