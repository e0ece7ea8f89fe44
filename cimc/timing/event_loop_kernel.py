"""The event loop itself: one function over arrays, compiled where kernels are.

Three kinds of event, in order of time and at equal times in this order:

* a message has left a link: its place in the buffer before it is free, and a unit that waited for the place
  may send (``who`` = :data:`RELEASE`, ``what`` = the link);
* a unit is free, and a task waits for it (``who`` = :data:`WAKE`, ``what`` = the unit);
* a task may begin: it joins the queue of its unit (``who`` = its request, ``what`` = the task).

A unit serves its queue in order.  Where the task at the head is to send into a buffer without a free place,
the unit stands still until there is one, and so does all behind it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SIZE, ADMITTED, HANDLED = 0, 1, 2
"""Entries of ``state``: events in the heap, requests that have arrived, tasks begun."""
RELEASE, WAKE = -2, -1
NONE = -1
BUSY, WAITED, SERVED, LONGEST, BLOCKED, FREE, SINCE = range(7)
"""Rows of ``times``, float64 per unit: ns in use; ns that tasks waited for it in all; tasks; ns of the
longest wait; ns that it stood still for want of a place; when it is free; since when it stands still."""
FIRST, LAST, PLACES, LINE_FIRST, LINE_LAST, LINE_NEXT = range(6)
"""Rows of ``queues``, int32 per unit: first and last task that waits for it; free places before it (negative:
any number); first and last unit that waits for such a place; the next unit in the line that it stands in."""


def run(
    unit: Any, hold: Any, request: Any, first_edge: Any, dest: Any, offset: Any, before: Any, room: Any,
    took: Any, begin: Any, new: Any, left: Any, closed: Any, loaded: Any, contention: Any, arrival: Any,
    finish: Any, ready: Any, start: Any, follow: Any, times: Any, queues: Any, at_time: Any, at_what: Any,
    state: Any,
) -> Any:  # fmt: skip
    """Handle events until requests are needed that are not loaded; the heap, which may have grown.

    Args:
        unit, hold, request, first_edge, dest, offset: of a task graph.
        before: per task, edges from tasks that have not begun.
        room: per task, the unit before which it needs a place, or -1; ``took``: whether one is kept for it.
        begin: per request, its first task, or -1; ``new``: the requests whose arrival is new.
        left: per request, tasks that have not begun.
        closed, loaded, contention: see ``Loop``.
        arrival, finish, ready, start: what :class:`~cimc.timing.event_loop.Played` holds.
        follow: per task, the next one in the queue of its unit.
        times, queues: per unit, see above.
        at_time, at_what: the heap, float64 ``[n]`` and int64 ``[n, 2]`` (who, what).
        state: see above.
    """
    size, requests = state[SIZE], len(begin)
    soon_time = np.empty(max(len(new), 1024))
    soon = np.empty((len(soon_time), 2), np.int64)
    count = 0
    for k in new:
        soon_time[count], soon[count, 0], soon[count, 1] = arrival[k], k, begin[k]
        ready[begin[k]] = arrival[k]
        count += 1
    stop = False
    while True:
        # push what comes
        for s in range(count):
            t, who, what = soon_time[s], soon[s, 0], soon[s, 1]
            if size == len(at_time):
                more_time, more = np.empty(2 * size), np.empty((2 * size, 2), np.int64)
                more_time[:size], more[:size] = at_time, at_what
                at_time, at_what = more_time, more
            at = size
            size += 1
            while at > 0:
                up = (at - 1) >> 1
                if at_time[up] < t or (
                    at_time[up] == t
                    and (at_what[up, 0] < who or (at_what[up, 0] == who and at_what[up, 1] < what))
                ):
                    break
                at_time[at], at_what[at, 0], at_what[at, 1] = at_time[up], at_what[up, 0], at_what[up, 1]
                at = up
            at_time[at], at_what[at, 0], at_what[at, 1] = t, who, what
        count = 0
        if stop or size == 0 or (not closed and loaded < requests and at_time[0] > arrival[loaded]):
            break
        # pop the next event
        now, whose, which = at_time[0], at_what[0, 0], at_what[0, 1]
        size -= 1
        if size > 0:
            t, who, what = at_time[size], at_what[size, 0], at_what[size, 1]
            at = 0
            while True:
                child = 2 * at + 1
                if child >= size:
                    break
                a = child
                if child + 1 < size:
                    b = child + 1
                    if at_time[b] < at_time[a] or (
                        at_time[b] == at_time[a]
                        and (
                            at_what[b, 0] < at_what[a, 0]
                            or (at_what[b, 0] == at_what[a, 0] and at_what[b, 1] < at_what[a, 1])
                        )
                    ):
                        a = b
                if t < at_time[a] or (
                    t == at_time[a]
                    and (who < at_what[a, 0] or (who == at_what[a, 0] and what < at_what[a, 1]))
                ):
                    break
                at_time[at], at_what[at, 0], at_what[at, 1] = at_time[a], at_what[a, 0], at_what[a, 1]
                at = a
            at_time[at], at_what[at, 0], at_what[at, 1] = t, who, what
        # which unit may serve its queue now
        task = NONE
        if whose == RELEASE:
            queues[PLACES, which] += 1
            u = queues[LINE_FIRST, which]
            if u < 0:
                continue
            queues[LINE_FIRST, which] = queues[LINE_NEXT, u]
            times[BLOCKED, u] += now - times[SINCE, u]
        elif whose == WAKE:
            u = which
        else:
            task = which
            u = unit[task]
            if u >= 0 and contention:
                follow[task] = NONE
                if queues[FIRST, u] >= 0:
                    follow[queues[LAST, u]] = task
                    queues[LAST, u] = task
                    continue
                queues[FIRST, u] = queues[LAST, u] = task
                if times[FREE, u] > now:
                    soon_time[0], soon[0, 0], soon[0, 1] = times[FREE, u], WAKE, u
                    count = 1
                    continue
        # serve the head of its queue
        if u >= 0 and contention:
            task = queues[FIRST, u]
            v = room[task]
            if v >= 0 and queues[PLACES, v] == 0:
                if queues[LINE_FIRST, v] < 0:
                    queues[LINE_FIRST, v] = u
                else:
                    queues[LINE_NEXT, queues[LINE_LAST, v]] = u
                queues[LINE_LAST, v] = u
                queues[LINE_NEXT, u] = NONE
                times[SINCE, u] = now
                continue
            if v >= 0:
                queues[PLACES, v] -= 1
            queues[FIRST, u] = follow[task]
            until = now + hold[task]
            times[FREE, u] = until
            if queues[FIRST, u] >= 0:
                soon_time[count], soon[count, 0], soon[count, 1] = until, WAKE, u
                count += 1
            if took[task]:
                soon_time[count], soon[count, 0], soon[count, 1] = until, RELEASE, u
                count += 1
            wait = now - ready[task]
            times[WAITED, u] += wait
            times[LONGEST, u] = max(times[LONGEST, u], wait)
        if u >= 0:
            times[BUSY, u] += hold[task]
            times[SERVED, u] += 1
        # the task begins
        state[HANDLED] += 1
        start[task] = now
        k = request[task]
        finish[k] = max(finish[k], now + hold[task])
        edges = first_edge[task + 1] - first_edge[task]
        if edges + 3 > len(soon_time):
            more_time, more = np.empty(2 * edges + 3), np.empty((2 * edges + 3, 2), np.int64)
            more_time[:count], more[:count] = soon_time[:count], soon[:count]
            soon_time, soon = more_time, more
        for e in range(first_edge[task], first_edge[task + 1]):
            to = dest[e]
            ready[to] = max(ready[to], now + offset[e])
            before[to] -= 1
            if before[to] == 0:
                soon_time[count], soon[count, 0], soon[count, 1] = ready[to], request[to], to
                count += 1
        left[k] -= 1
        if left[k] == 0 and closed and state[ADMITTED] < requests:
            next_one = state[ADMITTED]
            state[ADMITTED] += 1
            arrival[next_one] = finish[k]
            if next_one < loaded:
                ready[begin[next_one]] = finish[k]
                soon_time[count], soon[count, 0], soon[count, 1] = finish[k], next_one, begin[next_one]
                count += 1
            else:
                stop = True
    state[SIZE] = size
    return at_time, at_what
