"""The event loop: units serve tasks first come, first served.

A task that may begin joins the queue of its unit; it begins when the unit is free and, where it is to send
into a buffer of limited size, that has a free place.  Events are handled in order of time, equal times in
order of request and task, so results are exact and repeatable.  Requests are loaded a window at a time and
forgotten when they are done, which changes no result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.sim.kernels.availability import backend
from cimc.support.jit import jit
from cimc.support.shown import Shown, counted
from cimc.timing.event_loop_kernel import (
    ADMITTED,
    BLOCKED,
    BUSY,
    FIRST,
    HANDLED,
    LAST,
    LONGEST,
    NONE,
    PLACES,
    SERVED,
    SIZE,
    WAITED,
    run,
)
from cimc.timing.task_graph import F64, I32, Graph, joined

UNLIMITED, OUTSIDE = -1, -2
"""Instead of a number of places, see :meth:`Loop.play`."""


@dataclass(frozen=True, repr=False)
class Played(Shown):
    """What happened, times in ns.

    Attributes:
        arrival, finish: per request.
        busy, waited: per unit, the time it was used, and the time tasks waited for it in all.
        served: per unit, its tasks.
        longest: per unit, the longest time that a task waited.
        blocked: per unit, the time it stood still because there was no free place where it was to send.
        start, ready: per task of the last window, when it began, and when it could have.
    """

    arrival: F64
    finish: F64
    busy: F64
    waited: F64
    served: F64
    longest: F64
    blocked: F64
    start: F64
    ready: F64

    def _brief(self) -> str:
        return f"of {counted(len(self.finish), 'request')}"


@dataclass(frozen=True, repr=False)
class Spans(Shown):
    """Uses of units, one entry each: which unit, for which request and instruction, from when, how long."""

    unit: NDArray[np.int32]
    request: NDArray[np.int32]
    instruction: NDArray[np.int32]
    start: F64
    hold: F64

    def _brief(self) -> str:
        return f"of {counted(len(self.unit), 'use')} of units"

    @classmethod
    def together(cls, parts: list[Spans]) -> Spans:
        """All of several, in order of time."""
        fields = [np.concatenate([getattr(p, n) for p in parts]) for n in cls.__annotations__]
        order = np.lexsort((fields[2], fields[1], fields[0], fields[3]))
        return cls(*(field[order] for field in fields))


class Loop:
    """The state of a simulation.

    Args:
        requests: how many there will be.
        arrivals: when each arrives, ascending; ``None``: a closed loop, in which ``in_flight`` requests
            arrive at 0 and each further one when one is done.
        in_flight: of the closed loop.
        contention: whether units serve one task at a time; without, requests do not meet, and each takes its
            critical path.
    """

    def __init__(
        self, requests: int, arrivals: F64 | None, in_flight: int = 1, contention: bool = True
    ) -> None:
        self.requests, self.contention = requests, contention
        self.closed = arrivals is None
        self.arrival = np.full(requests, -1.0) if arrivals is None else arrivals.astype(np.float64)
        self.finish = np.zeros(requests)
        self._state = np.zeros(3, np.int64)
        if self.closed:
            self._state[ADMITTED] = min(in_flight, requests)
            self.arrival[: min(in_flight, requests)] = 0.0
        self._left = np.zeros(requests, np.int64)
        self._heap = np.empty(1024), np.empty((1024, 2), np.int64)
        self._times, self._queues = np.zeros((7, 0)), np.full((6, 0), NONE, np.int32)
        self._graph: Graph | None = None
        self._ready, self._start = np.zeros(0), np.zeros(0)
        self._before, self._room, self._follow = (np.zeros(0, np.int32) for _ in range(3))
        self._took = np.zeros(0, np.bool_)
        self.loaded = 0
        self.tasks = 0

    @property
    def under_way(self) -> NDArray[np.bool_]:
        """Of each request loaded so far, whether it is not done."""
        return self._left[: self.loaded] > 0

    def play(self, graph: Graph, places: I32) -> None:
        """Load the requests after those loaded so far, and run until others are needed.

        Args:
            graph: of the next requests, numbered from :attr:`loaded` on.
            places: per unit known by now, how many tasks may be on the way to it, wait for it or be served by
                it before what sends to it must wait; :data:`UNLIMITED`: any number, or :data:`OUTSIDE`: and
                what it sends finds a place elsewhere.  One task alone leads to each that takes a place.
        """
        assert not self.closed or self.loaded + graph.requests >= self._state[ADMITTED]
        self._grow(places)
        self._forget()
        first = len(self._ready)
        self._ready = np.concatenate([self._ready, np.zeros(len(graph.hold))])
        self._start = np.concatenate([self._start, np.full(len(graph.hold), -1.0)])
        self._before = np.concatenate([self._before, graph.before])
        room, took = _buffered(graph, places)
        self._room, self._took = np.concatenate([self._room, room]), np.concatenate([self._took, took])
        self._follow = np.concatenate([self._follow, np.full(len(graph.hold), NONE, np.int32)])
        self._left += np.bincount(graph.request, minlength=self.requests)
        known = self._graph
        self._graph = whole = graph if known is None else joined(known, graph)
        fresh = np.full(self.requests, -1, np.int64)
        fresh[self.loaded : self.loaded + graph.requests] = graph.begin + first
        now = (fresh >= 0) & (self.arrival >= 0)
        self.loaded += graph.requests
        self.tasks += len(graph.hold)
        self._heap = _kernel()(
            whole.unit, whole.hold, whole.request, whole.first_edge, whole.dest, whole.offset, self._before,
            self._room, self._took, fresh, np.flatnonzero(now), self._left, self.closed, self.loaded,
            self.contention, self.arrival, self.finish, self._ready, self._start, self._follow, self._times,
            self._queues, *self._heap, self._state,
        )  # fmt: skip
        if self.loaded == self.requests:
            assert self._state[HANDLED] == self.tasks, "a task graph with a cycle"

    def _grow(self, places: I32) -> None:
        """Make room for units that are new."""
        known = self._times.shape[1]
        more = np.full((6, len(places) - known), NONE, np.int32)
        more[PLACES] = places[known:]
        self._times = np.concatenate([self._times, np.zeros((7, more.shape[1]))], axis=1)
        self._queues = np.concatenate([self._queues, more], axis=1)

    def _forget(self) -> None:
        """Drop the tasks of requests that are done."""
        if self._graph is None:
            return
        keep = self._left[self._graph.request] > 0
        number = np.cumsum(keep, dtype=np.int64) - 1
        # order within a request, and so in the heap, stays; tasks in it and in queues have not begun
        events = self._heap[1][: int(self._state[SIZE])]
        of_task = events[:, 0] >= 0
        events[of_task, 1] = number[events[of_task, 1]]
        queued = self._queues[FIRST] >= 0
        for end in (FIRST, LAST):
            self._queues[end, queued] = number[self._queues[end, queued]]
        follow = self._follow[keep]
        self._follow = np.where(follow >= 0, number[follow], NONE).astype(np.int32)
        self._graph = self._graph.only(keep)
        self._ready, self._start = self._ready[keep], self._start[keep]
        self._before, self._room, self._took = self._before[keep], self._room[keep], self._took[keep]

    def spans(self, below: int) -> Spans:
        """What units did for requests with numbers below ``below`` that were done in the last window."""
        graph = self._graph
        assert graph is not None
        done = (graph.request < below) & (self._left[graph.request] == 0) & (graph.unit >= 0)
        tasks = np.flatnonzero(done & (graph.hold > 0))
        return Spans(
            graph.unit[tasks],
            graph.request[tasks],
            graph.instruction[tasks],
            self._start[tasks],
            graph.hold[tasks],
        )

    def result(self, places: I32) -> Played:
        """What happened; ``places``: of all units that there are in the end."""
        self._grow(places)
        busy, waited, served, longest, blocked = self._times[[BUSY, WAITED, SERVED, LONGEST, BLOCKED]]
        return Played(
            self.arrival, self.finish, busy, waited, served, longest, blocked, self._start, self._ready
        )


def play(
    graph: Graph,
    places: I32,
    arrivals: F64 | None,
    in_flight: int,
    contention: bool = True,
) -> Played:
    """Run all requests of a graph in one window; arguments as of :class:`Loop`."""
    loop = Loop(graph.requests, arrivals, in_flight, contention)
    if graph.requests:
        loop.play(graph, places)
    return loop.result(places)


def _buffered(graph: Graph, places: I32) -> tuple[I32, NDArray[np.bool_]]:
    """Per task, the limited unit into whose buffer it sends, or -1; and whether it lies in such a buffer."""
    tasks = len(graph.hold)
    room, took = np.full(tasks, NONE, np.int32), np.zeros(tasks, np.bool_)
    limits = np.append(places, OUTSIDE)  # the last one is that of tasks without a unit
    source = np.repeat(np.arange(tasks), np.diff(graph.first_edge))
    chosen = (limits[graph.unit[graph.dest]] >= 0) & (limits[graph.unit[source]] != OUTSIDE)
    room[source[chosen]] = graph.unit[graph.dest[chosen]]
    took[graph.dest[chosen]] = True
    return room, took


@cache
def _kernel() -> Callable[..., Any]:
    kernel: Callable[..., Any] = jit(run) if backend() == "numba" else run
    return kernel
