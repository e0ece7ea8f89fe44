"""To which instances the host sends a request.

Where programs have copy groups, a **turn** stands for one instance of each: number ``turn mod R`` of a group
with R instances.  There are as many turns as it takes until all groups begin anew.  A request takes one turn,
in all segments; it is under way on each of its instances from its arrival until it is done.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cimc.errors import RequestError

Dispatch = Literal["turn", "least"]
DISPATCHES: tuple[Dispatch, ...] = get_args(Dispatch)

Ints = NDArray[np.int64]


class Dealer:
    """Deals requests, in the order of their arrival.

    ``turn``: request ``k`` takes turn ``k`` modulo how many there are.  ``least``: it takes the turn with the
    fewest requests under way on its instances, of equals the lowest.  Those of groups with different R are
    added up; groups with the same R have the same requests on each instance, and count once.

    Args:
        how: one of :data:`DISPATCHES`.
        counts: R of each copy group.
        requests: how many there will be.

    Attributes:
        turns: int64, of each request so far dealt.

    Raises:
        RequestError: ``simulate.bad-dispatch``.
    """

    def __init__(self, how: Dispatch, counts: Iterable[int], requests: int) -> None:
        if how not in DISPATCHES:
            raise RequestError(
                "simulate.bad-dispatch", f"dispatch '{how}' is none of {', '.join(DISPATCHES)}"
            )
        self.how, self._counts = how, sorted(set(counts))
        self.period = math.lcm(*self._counts)
        self._turns = np.zeros(requests, np.int64)
        self._dealt = 0

    @property
    def turns(self) -> Ints:
        """Of each request so far dealt."""
        return self._turns[: self._dealt]

    @property
    def at_once(self) -> bool:
        """Whether a request can be dealt before it arrives."""
        return self.how == "turn" or self.period == 1

    def deal(self, count: int, under_way: NDArray[np.bool_]) -> Ints:
        """The turns of the next ``count`` requests, which arrive together unless :attr:`at_once`.

        ``under_way``: bool, of each request so far dealt.
        """
        first = self._dealt
        self._dealt += count
        mine = self._turns[first : self._dealt]
        if self.at_once:
            mine[:] = np.arange(first, self._dealt) % self.period
            return mine
        busy = self._turns[:first][under_way]
        loads = np.zeros(self.period, np.int64)
        every = np.arange(self.period)
        for instances in self._counts:
            loads += np.bincount(busy % instances, minlength=instances)[every % instances]
        for at in range(count):
            mine[at] = turn = int(np.argmin(loads))
            for instances in self._counts:
                loads += every % instances == turn % instances
        return mine
