"""Buffers of limited size before mesh links: closed forms, and what must hold of every simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.cost.machine_units import Unit
from cimc.errors import CimcError
from cimc.isa.instructions import Ref, instr
from cimc.isa.program import Program
from cimc.timing.event_loop import OUTSIDE, UNLIMITED, Played, play
from cimc.timing.task_graph import END, HEAD, Builder, Graph
from tests.cost.cost_programs import program
from tests.timing.test_simulation import HOP, LINK, chain, recv, run, send


def blocked(made: Program, unit: Unit, buffer: int | None, count: int = 1) -> float:
    found = run(made, count, buffer=buffer)
    return next(load.blocked_ns for load in found.loads if load.unit == unit)


@pytest.mark.parametrize("size", [4, 60])
@pytest.mark.parametrize("buffer", [1, 2, 3, 8])
def test_a_place_comes_back_after_a_round_trip(buffer: int, size: int) -> None:
    """Two links in a row, saturated.

    A place of the second one is taken when the first begins to send, and free again when the second is done,
    a hop and a message later: N places let N messages through in that time, and never more than the wire.
    """
    wire = (size * 8 + 32) / LINK
    fill = instr("fill", dst=Ref(0), value=0.0, n=1)
    made = program({0: [fill, send(2, size)], 2: [recv(0, size)]})
    period = max(wire, (wire + HOP) / buffer, 1.0)  # the vector unit fills for 1 ns
    found = run(made, 1500, buffer=buffer, in_flight=60)
    assert found.throughput_rps == pytest.approx(1e9 / period, rel=2e-3)  # N leave in a bunch
    assert found.to_json()["link_buffer"] == buffer


def test_a_full_buffer_holds_up_what_lies_behind() -> None:
    """A long message from 1 to 2; a short one from 0 to 2 wants the same link, and behind it is one to 9."""
    long, short = 40_000, 4000
    w_long, w = (long * 8 + 32) / LINK, (short * 8 + 32) / LINK
    fill = instr("fill", dst=Ref(0), value=0.0, n=long // 4)
    later = instr("fill", dst=Ref(0), value=0.0, n=long // 4 + 3200)  # 100 ns later
    made = program({
        0: [later, send(2, short), send(9, short, tag=1)], 1: [fill, send(2, long)],
        2: [recv(1, long), recv(0, short)], 9: [recv(0, short, tag=1)],
    })  # fmt: skip
    begun = -(-(long // 4) // 32)
    # with two places the short one waits at the link, and the other one passes
    assert run(made, buffer=2).latency[0] == pytest.approx(begun + w_long + HOP + w)
    assert run(made).latency[0] == pytest.approx(begun + w_long + HOP + w)
    assert blocked(made, Unit("link", 0, 1), 2) == 0
    # with one place it stays on its first link until the long one has left, and the other one in tile 0
    assert run(made, buffer=1).latency[0] == pytest.approx(begun + w_long + w + 2 * HOP + w)
    assert blocked(made, Unit("link", 0, 1), 1) == pytest.approx(w_long - 100)
    assert blocked(made, Unit("router out", 0), 1) == pytest.approx(w_long - 100)


def test_one_request_alone_is_not_held_up() -> None:
    made = chain((5, 40, 3, 63))
    assert run(made, buffer=1).latency[0] == run(made).latency[0]


def test_messages_of_the_host_wait_at_the_edge() -> None:
    """The crossing from the host is long; no place of the mesh is kept for it."""
    made = chain((27,))
    assert run(made, 100, buffer=1, in_flight=50).throughput_rps == pytest.approx(
        run(made, 100, in_flight=50).throughput_rps, rel=0.02
    )


def test_a_buffer_for_nothing_is_refused() -> None:
    with pytest.raises(CimcError) as caught:
        run(chain((0, 1)), buffer=0)
    assert caught.value.code == "simulate.bad-buffer"


# -- what holds of every simulation ---------------------------------------------------------------------


@st.composite
def lines(draw: st.DrawFn) -> Graph:
    """Messages over parts of a line of four links, from one of two sources each; some wait for another."""
    builder, begin, first = Builder(), [], 0
    for request in range(draw(st.integers(1, 7))):
        start = first
        units, holds, edges = [-1], [0.0], []
        for _ in range(draw(st.integers(1, 3))):
            low = draw(st.integers(2, 5))
            way = [draw(st.sampled_from([0, 1])), *range(low, draw(st.integers(low, 5)) + 1)]
            hold, base = float(draw(st.integers(1, 6))), len(units)
            edges.append((draw(st.integers(0, base - 1)), base, END))
            edges += [(base + n, base + n + 1, HEAD) for n in range(len(way) - 1)]
            units += way
            holds += [hold] * len(way)
        n = len(units)
        builder.add(np.array(units), np.array(holds), np.full(n, request), np.zeros(n, int))
        for source, dest, kind in edges:
            builder.link(np.array([start + source]), np.array([start + dest]), kind, 1.0)
        begin.append(start)
        first += n
    return builder.graph(np.array(begin))


SOURCES, LINKS = 2, 4


def conserved(graph: Graph, found: Played, buffer: int) -> None:
    ends = found.start + graph.hold
    used = graph.unit >= 0
    np.testing.assert_allclose(found.busy, np.bincount(graph.unit[used], graph.hold[used], SOURCES + LINKS))
    came = np.full(len(graph.hold), -1)
    for task in range(len(graph.hold)):
        for e in range(graph.first_edge[task], graph.first_edge[task + 1]):
            to = graph.dest[e]
            assert found.start[to] >= found.start[task] + graph.offset[e]
            if graph.unit[to] >= SOURCES:
                came[to] = task
    for unit in range(SOURCES + LINKS):
        mine = np.flatnonzero(graph.unit == unit)
        order = mine[np.argsort(found.start[mine], kind="stable")]
        assert (found.start[order][1:] >= ends[order][:-1]).all()
        assert (np.diff(found.ready[order]) >= 0).all()  # first come, first served
        if unit >= SOURCES:
            for now in found.start[came[order]].tolist():
                held = (found.start[came[order]] <= now) & (ends[order] > now)
                assert held.sum() <= buffer
        if not len(mine):
            continue
        previous = np.concatenate([[-1.0], ends[order][:-1]])
        sends_to = {int(t): graph.unit[n] for n, t in enumerate(came.tolist()) if t >= 0}
        for task, free in zip(order.tolist(), previous.tolist(), strict=True):
            moment = found.start[task]
            if moment == max(found.ready[task], free):
                continue
            left = ends[graph.unit == sends_to[task]]  # nothing but a place there can have been missing
            assert moment in left.tolist()


@settings(max_examples=150, deadline=None)
@given(
    lines(),
    st.lists(st.integers(0, 4), min_size=7, max_size=7),
    st.integers(1, 3),
    st.booleans(),
)
def test_buffers_are_never_too_full_and_nothing_waits_without_reason(
    graph: Graph, gaps: list[int], buffer: int, closed: bool
) -> None:
    arrivals = None if closed else np.cumsum(np.array(gaps[: graph.requests], float))
    places = np.array([UNLIMITED] * SOURCES + [buffer] * LINKS, np.int32)
    found = play(graph, places, arrivals, 3)
    conserved(graph, found, buffer)
    assert (found.blocked[-1] == 0).all()  # the last link sends into memory
    free = play(graph, np.full(SOURCES + LINKS, UNLIMITED, np.int32), arrivals, 3)
    many = play(graph, np.array([UNLIMITED] * SOURCES + [99] * LINKS, np.int32), arrivals, 3)
    assert np.array_equal(free.start, many.start)
    assert not many.blocked.any()
    outside = np.array([OUTSIDE] * SOURCES + [buffer] * LINKS, np.int32)
    assert not play(graph, outside, arrivals, 3).blocked[:SOURCES].any()
