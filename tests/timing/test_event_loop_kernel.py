"""The event loop in Python and compiled: queues as in a few lines of Python, places in buffers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cimc.timing.event_loop as loops
from cimc.support.jit import jit
from cimc.timing.event_loop import UNLIMITED, Loop
from cimc.timing.event_loop_kernel import BLOCKED, BUSY, LONGEST, SERVED, WAITED, run
from cimc.timing.task_graph import Graph

KERNELS = {"python": run, "compiled": jit(run)}


def requests(holds: list[list[float]], units: list[list[int]]) -> Graph:
    """Each request is a chain of tasks, one after the other, on units."""
    count = [len(h) for h in holds]
    first = np.cumsum([0, *count])
    number = np.arange(first[-1])
    last = np.isin(number, first[1:] - 1)
    flat = np.array([x for h in holds for x in h], np.float64)
    return Graph(
        unit=np.array([u for each in units for u in each], np.int32),
        hold=flat,
        request=np.repeat(np.arange(len(holds)), count).astype(np.int32),
        instruction=np.zeros(len(flat), np.int32),
        first_edge=np.concatenate([[0], np.cumsum(~last)]).astype(np.int64),
        dest=(number[~last] + 1).astype(np.int32),
        offset=flat[~last],
        before=(~np.isin(number, first[:-1])).astype(np.int32),
        begin=first[:-1].astype(np.int32),
    )


def played(
    kernel: str, graph: Graph, arrivals: list[float] | None, places: list[int], monkeypatch: Any, **more: Any
) -> Loop:
    monkeypatch.setattr(loops, "_kernel", lambda: KERNELS[kernel])
    made = Loop(graph.requests, None if arrivals is None else np.array(arrivals), **more)
    made.play(graph, np.array(places, np.int32))
    return made


def queue(arrivals: list[float], holds: list[float]) -> list[float]:
    """When each is done at one server, first come, first served."""
    free, out = 0.0, []
    for arrival, hold in zip(arrivals, holds, strict=True):
        free = max(free, arrival) + hold
        out.append(free)
    return out


@pytest.mark.parametrize("kernel", KERNELS)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 9)), min_size=1, max_size=12))
@settings(max_examples=20, deadline=None)
def test_one_unit_serves_first_come_first_served(kernel: str, given: list[tuple[int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        arrivals = sorted(float(a) for a, _ in given)
        holds = [float(h) for _, h in given]
        graph = requests([[h] for h in holds], [[0]] * len(holds))
        made = played(kernel, graph, arrivals, [UNLIMITED], patch)
    done = queue(arrivals, holds)
    assert made.finish.tolist() == done
    waits = [d - h - a for d, h, a in zip(done, holds, arrivals, strict=True)]
    assert made._times[WAITED, 0] == pytest.approx(sum(waits))
    assert made._times[LONGEST, 0] == pytest.approx(max(waits))
    assert made._times[BUSY, 0] == sum(holds)
    assert made._times[SERVED, 0] == len(holds)


@pytest.mark.parametrize("kernel", KERNELS)
def test_without_contention_requests_do_not_meet(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = requests([[5.0, 2.0]] * 3, [[0, 1]] * 3)
    made = played(kernel, graph, [0.0, 0.0, 1.0], [UNLIMITED] * 2, monkeypatch, contention=False)
    assert made.finish.tolist() == [7.0, 7.0, 8.0]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_closed_loop_lets_one_in_when_one_is_done(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = requests([[5.0, 2.0]] * 4, [[0, 1]] * 4)
    made = played(kernel, graph, None, [UNLIMITED] * 2, monkeypatch, in_flight=1)
    assert made.arrival.tolist() == [0, 7, 14, 21]
    assert made.finish.tolist() == [7, 14, 21, 28]
    two = played(kernel, graph, None, [UNLIMITED] * 2, monkeypatch, in_flight=2)
    assert two.finish[-1] < 28


@pytest.mark.parametrize("kernel", KERNELS)
def test_units_in_a_row_overlap(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = requests([[5.0, 5.0]] * 10, [[0, 1]] * 10)
    made = played(kernel, graph, [0.0] * 10, [UNLIMITED] * 2, monkeypatch)
    assert made.finish.tolist() == [10 + 5 * k for k in range(10)]
    assert made._times[BLOCKED].tolist() == [0, 0]
