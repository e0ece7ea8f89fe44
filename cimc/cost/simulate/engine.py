"""The event loop: units serve tasks first come, first served.

A task that may begin joins the queue of its unit; it begins when the unit is free.  Events are handled in
order of time, equal times in order of request and task, so results are exact and repeatable.  Requests are
loaded a window at a time and forgotten when they are done, which changes no result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.cost.simulate.graph import F64, Graph, joined
from cimc.sim.kernels.backend import compiled

SIZE, ADMITTED, HANDLED = 0, 1, 2
"""Entries of the loop's state: tasks in the heap, requests that have arrived, events."""


@dataclass(frozen=True)
class Played:
    """What happened, times in ns.

    Attributes:
        arrival, finish: per request.
        busy, waited: per unit, the time it was used, and the time tasks waited for it in all.
        served: per unit, its tasks.
        longest: per unit, the longest time that a task waited.
        start, ready: per task of the last window, when it began, and when it could have.
    """

    arrival: F64
    finish: F64
    busy: F64
    waited: F64
    served: F64
    longest: F64
    start: F64
    ready: F64


@dataclass(frozen=True)
class Spans:
    """Uses of units, one entry each: which unit, for which request and instruction, from when, how long."""

    unit: NDArray[np.int32]
    request: NDArray[np.int32]
    instruction: NDArray[np.int32]
    start: F64
    hold: F64

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
        self._heap = np.empty(1024, np.int32)
        self._free, self._units = np.zeros(0), np.zeros((4, 0))
        self._graph: Graph | None = None
        self._ready, self._start = np.zeros(0), np.zeros(0)
        self._before = np.zeros(0, np.int32)
        self.loaded = 0
        self.tasks = 0

    def play(self, graph: Graph, units: int) -> None:
        """Load the requests after those loaded so far, and run until others are needed.

        Args:
            graph: of the next requests, numbered from :attr:`loaded` on.
            units: how many units there are by now.
        """
        assert not self.closed or self.loaded + graph.requests >= self._state[ADMITTED]
        self._grow(units)
        self._forget()
        first = len(self._ready)
        self._ready = np.concatenate([self._ready, np.zeros(len(graph.hold))])
        self._start = np.concatenate([self._start, np.full(len(graph.hold), -1.0)])
        self._before = np.concatenate([self._before, graph.before])
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
            fresh, np.flatnonzero(now), self._left, self.closed, self.loaded, self.contention, self.arrival,
            self.finish, self._ready, self._start, self._free, self._units, self._heap, self._state,
        )  # fmt: skip
        if self.loaded == self.requests:
            assert self._state[HANDLED] == self.tasks, "a task graph with a cycle"

    def _grow(self, units: int) -> None:
        more = units - len(self._free)
        self._free = np.concatenate([self._free, np.zeros(more)])
        self._units = np.concatenate([self._units, np.zeros((4, more))], axis=1)

    def _forget(self) -> None:
        """Drop the tasks of requests that are done."""
        if self._graph is None:
            return
        keep = self._left[self._graph.request] > 0
        number = np.cumsum(keep, dtype=np.int64) - 1
        size = int(self._state[SIZE])
        self._heap[:size] = number[self._heap[:size]]  # order within a request, and so in the heap, stays
        self._graph = self._graph.only(keep)
        self._ready, self._start, self._before = self._ready[keep], self._start[keep], self._before[keep]

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

    def result(self, units: int) -> Played:
        """What happened; ``units``: how many there are in the end."""
        self._grow(units)
        busy, waited, served, longest = self._units
        return Played(self.arrival, self.finish, busy, waited, served, longest, self._start, self._ready)


def play(graph: Graph, units: int, arrivals: F64 | None, in_flight: int, contention: bool = True) -> Played:
    """Run all requests of a graph in one window; arguments as of :class:`Loop`."""
    loop = Loop(graph.requests, arrivals, in_flight, contention)
    if graph.requests:
        loop.play(graph, units)
    return loop.result(units)


@cache
def _kernel() -> Callable[..., Any]:
    kernel: Callable[..., Any] = compiled(_run)
    return kernel


def _run(
    unit: Any, hold: Any, request: Any, first_edge: Any, dest: Any, offset: Any, before: Any, begin: Any,
    new: Any, left: Any, closed: Any, loaded: Any, contention: Any, arrival: Any, finish: Any, ready: Any,
    start: Any, free: Any, per_unit: Any, heap: Any, state: Any,
) -> Any:  # fmt: skip
    """Handle events until requests are needed that are not loaded; the heap, which may have grown."""
    # a binary heap of tasks that may begin, ordered by (ready, request, task)
    size, requests = state[0], len(begin)
    waiting = np.empty(max(len(new), 1024), np.int32)
    count = 0
    for k in new:
        ready[begin[k]] = arrival[k]
        waiting[count] = begin[k]
        count += 1
    stop = False
    while True:
        # push what became ready
        for w in range(count):
            task = waiting[w]
            if size == len(heap):
                larger = np.empty(2 * len(heap), np.int32)
                larger[:size] = heap
                heap = larger
            at = size
            size += 1
            while at > 0:
                up = (at - 1) >> 1
                other = heap[up]
                if ready[other] < ready[task] or (
                    ready[other] == ready[task]
                    and (request[other] < request[task] or (request[other] == request[task] and other < task))
                ):
                    break
                heap[at] = other
                at = up
            heap[at] = task
        count = 0
        if stop or size == 0 or (not closed and loaded < requests and ready[heap[0]] > arrival[loaded]):
            break
        task = heap[0]
        size -= 1
        if size > 0:
            last = heap[size]
            at = 0
            while True:
                child = 2 * at + 1
                if child >= size:
                    break
                a = heap[child]
                if child + 1 < size:
                    b = heap[child + 1]
                    if ready[b] < ready[a] or (
                        ready[b] == ready[a]
                        and (request[b] < request[a] or (request[b] == request[a] and b < a))
                    ):
                        child += 1
                        a = b
                if ready[last] < ready[a] or (
                    ready[last] == ready[a]
                    and (request[last] < request[a] or (request[last] == request[a] and last < a))
                ):
                    break
                heap[at] = a
                at = child
            heap[at] = last
        # serve it
        state[2] += 1
        t = ready[task]
        u = unit[task]
        if u >= 0:
            if contention and free[u] > t:
                wait = free[u] - t
                per_unit[1, u] += wait
                per_unit[3, u] = max(per_unit[3, u], wait)
                t = free[u]
            free[u] = t + hold[task]
            per_unit[0, u] += hold[task]
            per_unit[2, u] += 1
        start[task] = t
        k = request[task]
        finish[k] = max(finish[k], t + hold[task])
        edges = first_edge[task + 1] - first_edge[task]
        if edges + 1 > len(waiting):
            waiting = np.empty(2 * edges + 2, np.int32)
        for e in range(first_edge[task], first_edge[task + 1]):
            to = dest[e]
            ready[to] = max(ready[to], t + offset[e])
            before[to] -= 1
            if before[to] == 0:
                waiting[count] = to
                count += 1
        left[k] -= 1
        if left[k] == 0 and closed and state[1] < requests:
            next_one = state[1]
            state[1] += 1
            arrival[next_one] = finish[k]
            if next_one < loaded:
                ready[begin[next_one]] = finish[k]
                waiting[count] = begin[next_one]
                count += 1
            else:
                stop = True
    state[0] = size
    return heap
