"""Simulated queues against closed forms, and what must hold of every simulation."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.cost import time_program
from cimc.cost.cost_model import CostModel
from cimc.cost.machine_units import Unit
from cimc.errors import CimcError
from cimc.interpreter.bags import Bags
from cimc.isa.instructions import Instr, Ref, instr
from cimc.isa.program import Port, Program
from cimc.target.overrides import with_overrides
from cimc.timing import Arrivals, Simulation
from cimc.timing import simulation as running
from cimc.timing.event_loop import play
from cimc.timing.expand import expand
from cimc.timing.simulation import simulate_visits
from cimc.timing.task_graph import END, HEAD, START, Builder, Graph
from cimc.timing.template import templates_of
from cimc.timing.visits import Recorder
from tests.cost.cost_programs import TSINGHUA, dense, layer, load, mvm, program, quant, relu, store, table

LINK, HOST, HOST_NS, HOP, BUS, STEP = 38.4, 504.0, 500.0, 2.8, 460.8, 23.08


def run(
    made: Program, count: int = 1, gbps: float | None = None, buffer: int | None = None, **arrivals: object
) -> Simulation:
    how = Arrivals(**arrivals)  # type: ignore[arg-type]
    recorder = Recorder(made, TSINGHUA)
    return simulate_visits(made, TSINGHUA, recorder, count, how, gbps, link_buffer=buffer)


def send(tile: int, size: int, at: int = 0, tag: int = 0) -> Instr:
    return instr("send", tile=tile, tag=tag, src=Ref(at), bytes=size, bits=8)


def recv(tile: int, size: int, at: int = 0, tag: int = 0) -> Instr:
    return instr("recv", tile=tile, tag=tag, dst=Ref(at), bytes=size, bits=8, sign="unsigned")


def busy(found: Simulation, unit: Unit) -> float:
    return next((load.busy_ns for load in found.loads if load.unit == unit), 0.0)


def one_layer() -> Program:
    stream = [load(512), quant(512, 0, 2048), mvm(2048, 4096), relu(64, 4096, 8192), store(64, 8192)]
    blocks = [(0, 512, 0, 64, 9, 0, 0)]
    return program({9: stream}, [(layer("w", 512, 64), blocks)], inputs=[dense(512)], outputs=[dense(64)])


def chain(tiles: Sequence[int], work: int = 640) -> Program:
    """A vector operation on each tile in turn."""
    streams: dict[int, list[Instr]] = {}
    for at, tile in enumerate(tiles):
        streams[tile] = [recv(tiles[at - 1], 4 * work)] if at else [load(work)]
        streams[tile].append(relu(work, 0, 4 * work))
        last = at == len(tiles) - 1
        streams[tile].append(store(work, 4 * work) if last else send(tiles[at + 1], 4 * work, 4 * work))
    return program(streams, inputs=[dense(work)], outputs=[dense(work)])


# -- closed forms ---------------------------------------------------------------------------------------


def test_one_request_through_one_layer() -> None:
    """Host, hops and wire in; scale; bus, one step, bus; one operation; out: as on paper."""
    hops, bits_in, bits_out = 2, 512 * 32 + 32, 64 * 32 + 32  # tile 9 is at (1, 1)
    expected = (
        HOST_NS + hops * HOP + bits_in / LINK + 512 / 32 + (512 * 4 + 64 * 32) / BUS + STEP + 64 / 32
        + HOST_NS + hops * HOP + bits_out / LINK
    )  # fmt: skip
    found = run(one_layer())
    assert found.latency[0] == pytest.approx(expected)
    assert found.unloaded[0] == pytest.approx(expected)
    assert time_program(one_layer(), TSINGHUA).latency_ns == pytest.approx(expected)


@pytest.mark.parametrize("tiles", [(0, 1), (0, 9, 18), (5, 40, 3, 63)])
def test_a_chain_takes_the_sum_of_its_parts(tiles: tuple[int, ...]) -> None:
    found = run(chain(tiles))
    hops = sum(TSINGHUA.hops(a, b) for a, b in pairwise(tiles))
    ends = TSINGHUA.port_hops(tiles[0]) + TSINGHUA.port_hops(tiles[-1])
    wire, edge = (640 * 32 + 32) / LINK, 2 * HOST_NS
    wires = (len(tiles) - 1 + 2) * wire
    expected = edge + (hops + ends) * HOP + wires + len(tiles) * 640 / 32
    assert found.latency[0] == pytest.approx(expected)
    assert found.latency[0] == pytest.approx(time_program(chain(tiles), TSINGHUA).latency_ns)


def test_a_full_pipeline_is_as_fast_as_its_bottleneck() -> None:
    made = chain((0, 9, 18))
    slowest = (640 * 32 + 32) / LINK  # every router port and link on the way
    found = run(made, 400, in_flight=12)
    assert found.throughput_rps == pytest.approx(1e9 / slowest, rel=1e-6)
    assert found.loads[0].utilisation > 0.97
    alone = run(made, 400, in_flight=1)
    assert alone.throughput_rps == pytest.approx(1e9 / alone.unloaded[0], rel=1e-6)


def test_messages_share_a_link() -> None:
    """Tiles 0 and 1 send to tiles 3 and 2 at once: both need the link from 1 to 2."""
    size = 4000
    wire = (size * 8 + 32) / LINK
    fill = {t: instr("fill", dst=Ref(0), value=0.0, n=1000) for t in (0, 1)}
    made = program({
        0: [fill[0], send(3, size)], 1: [fill[1], send(2, size)],
        2: [recv(1, size)], 3: [recv(0, size)],
    })  # fmt: skip
    found = run(made)
    assert busy(found, Unit("link", 1, 2)) == pytest.approx(2 * wire)
    assert busy(found, Unit("link", 0, 1)) == busy(found, Unit("link", 2, 3)) == pytest.approx(wire)
    begun = -(-1000 // 32)
    # the message of tile 1 is one hop earlier at the link; the other one follows it, two hops to go
    assert found.latency[0] == pytest.approx(begun + 2 * wire + 2 * HOP)
    assert found.unloaded[0] == pytest.approx(begun + wire + 3 * HOP)
    many = run(made, 1000, in_flight=50)
    assert many.throughput_rps == pytest.approx(1e9 / (2 * wire), rel=1e-6)
    assert many.bottleneck == "mesh link from tile 1 to tile 2"


def test_cut_through_takes_the_slowest_part_once() -> None:
    """The host link is faster than the mesh on this target: the wire counts at the mesh's rate alone."""
    made = program({0: [load(4096)]}, inputs=[dense(4096)])
    bits = 4096 * 32 + 32
    assert run(made).latency[0] == pytest.approx(HOST_NS + bits / LINK)
    out = program({0: [instr("fill", dst=Ref(0), value=0.0, n=4096), store(4096)]}, outputs=[dense(4096)])
    assert run(out).latency[0] == pytest.approx(4096 / 32 + HOST_NS + bits / LINK)


@pytest.mark.parametrize("load_factor", [0.3, 0.6, 0.8])
def test_a_unit_with_random_arrivals_is_an_md1_queue(load_factor: float) -> None:
    """Mean wait of M/D/1: rho S / (2 (1 - rho)) (Pollaczek and Khinchine)."""
    service = 100.0
    made = program({0: [instr("fill", dst=Ref(0), value=0.0, n=3200)]})
    found = run(made, 200_000, kind="poisson", rate=load_factor / service * 1e9, seed=1)
    wait = load_factor * service / (2 * (1 - load_factor))
    assert found.latency.mean() == pytest.approx(service + wait, rel=0.03)
    assert found.loads[0].wait_ns == pytest.approx(wait, rel=0.05)
    assert found.loads[0].utilisation == pytest.approx(load_factor, rel=0.01)


def test_regular_arrivals_wait_only_beyond_capacity() -> None:
    made = program({0: [instr("fill", dst=Ref(0), value=0.0, n=3200)]})
    under = run(made, 100, kind="fixed", rate=1e9 / 125)
    assert under.latency == pytest.approx(np.full(100, 100.0))
    over = run(made, 100, kind="fixed", rate=1e9 / 80)
    assert over.latency == pytest.approx(100 + 20.0 * np.arange(100))


SLOW = with_overrides(TSINGHUA, {"array.step_ns": 1000.0})
"""A machine whose arrays are so slow that nothing else matters."""


def hot_program() -> Program:
    """A table whose first half lies on tile 3 and the other on tile 9; home is tile 0."""
    blocks = [(0, 512, 0, 32, 3, 0, 0), (512, 512, 0, 32, 9, 0, 0)]
    look = instr("bag", dst=Ref(0), port=0, matrix=0, mode="sum", scale=1.0, idbits=9)
    port = Port("ids", "bag", "i32", "int64", (), "fixed")
    return program({0: [look]}, [(table("t", 1024, 32), blocks)], inputs=[port], target=SLOW)


def test_a_hot_tile_is_an_md1_queue() -> None:
    """A random share of the requests goes to one array, which therefore sees random arrivals."""
    made, requests, step = hot_program(), 60_000, 1000.0
    recorder = Recorder(made, SLOW)
    hot = np.random.default_rng(0).random(requests) < 0.75
    ids = np.where(hot, 5, 600).astype(np.int64)
    bags = Bags(ids, np.arange(requests + 1, dtype=np.int64), None, (requests,))
    recorder((0, 0, 0), 0, 0, made.matrices[0], bags, "sum")
    load_factor = 0.6
    rate = load_factor / step / 0.75 * 1e9
    found = simulate_visits(made, SLOW, recorder, requests, Arrivals("poisson", rate=rate, seed=3))
    array = next(x for x in found.loads if x.unit == Unit("array", 3, 0))
    assert array.utilisation == pytest.approx(load_factor, rel=0.02)
    assert array.wait_ns == pytest.approx(load_factor * step / (2 * (1 - load_factor)), rel=0.05)
    cold = next(x for x in found.loads if x.unit == Unit("array", 9, 0))
    assert array.wait_ns > 4 * cold.wait_ns
    assert found.tile_loads()[3][0] > found.tile_loads()[9][0]


def test_a_slow_scratchpad_port_delays() -> None:
    made = program({0: [instr("fill", dst=Ref(0), value=0.0, n=3200), relu(3200, 0, 12800)]})
    bits = 3200 * 32
    assert run(made).latency[0] == pytest.approx(200)
    assert run(made).scratchpad_bits == {0: 3 * bits}
    assert run(made, gbps=2 * bits / 100).latency[0] == pytest.approx(200)
    assert run(made, gbps=bits / 100).latency[0] == pytest.approx(100 + 200)
    assert run(made, 50, gbps=bits / 100, in_flight=4).bottleneck == "tile 0 scratchpad port"


def test_order_within_a_tile() -> None:
    """Independent instructions of two units overlap, dependent ones and those of one unit do not."""
    fill = instr("fill", dst=Ref(0), value=0.0, n=3200)
    other = instr("fill", dst=Ref(20000), value=0.0, n=3200)
    apart = program({0: [fill, send(1, 3840), other], 1: [recv(0, 3840)]})
    found = run(apart)
    assert found.latency[0] == pytest.approx(max(200, 100 + (3840 * 8 + 32) / LINK + HOP))
    again = program({0: [fill, send(1, 3840), fill], 1: [recv(0, 3840)]})  # overwrites what is being sent
    assert run(again).latency[0] == pytest.approx(100 + (3840 * 8 + 32) / LINK + 100)


# -- what holds of every simulation ---------------------------------------------------------------------


def no_limit(units: int) -> np.ndarray:
    return np.full(units, -1, np.int32)


def conserved(graph: Graph, units: int, arrivals: np.ndarray | None, in_flight: int) -> None:
    found = play(graph, no_limit(units), arrivals, in_flight)
    alone = play(graph, no_limit(units), np.zeros(graph.requests), graph.requests, contention=False)
    used = graph.unit >= 0
    np.testing.assert_allclose(found.busy, np.bincount(graph.unit[used], graph.hold[used], units))
    assert (found.start >= found.ready).all()
    assert (found.start >= found.arrival[graph.request]).all()
    assert (found.finish - found.arrival >= alone.finish - 1e-6).all()
    for unit in range(units):
        mine = np.flatnonzero(graph.unit == unit)
        order = mine[np.argsort(found.start[mine], kind="stable")]
        ends = found.start[order] + graph.hold[order]
        assert (found.start[order][1:] >= ends[:-1] - 1e-6).all()
        # first come, first served
        assert (np.diff(found.ready[order]) >= -1e-6).all()
    tasks = np.arange(len(graph.hold))
    for task in tasks:
        for e in range(graph.first_edge[task], graph.first_edge[task + 1]):
            assert found.start[graph.dest[e]] >= found.start[task] + graph.offset[e] - 1e-6
    if arrivals is None:
        open_now = [int(((found.arrival <= t) & (found.finish > t)).sum()) for t in found.arrival.tolist()]
        assert max(open_now) <= in_flight


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Small random graphs of some requests over three units."""
    builder, begin, first = Builder(), [], 0
    for request in range(draw(st.integers(1, 5))):
        size = draw(st.integers(1, 6))
        units = [-1, *draw(st.lists(st.integers(-1, 2), min_size=size, max_size=size))]
        holds = [0.0, *draw(st.lists(st.integers(1, 9), min_size=size, max_size=size))]
        holds = [h if u >= 0 else 0.0 for h, u in zip(holds, units, strict=True)]
        builder.add(
            np.array(units), np.array(holds, float), np.full(size + 1, request), np.zeros(size + 1, int)
        )
        for task in range(1, size + 1):
            kind = draw(st.sampled_from([END, START, HEAD]))
            source = draw(st.integers(0, task - 1))
            builder.link(np.array([first + source]), np.array([first + task]), kind, draw(st.integers(0, 3)))
        begin.append(first)
        first += size + 1
    return builder.graph(np.array(begin))


def slowly(graph: Graph, units: int, arrivals: np.ndarray) -> np.ndarray:
    """The same queues, written in the plainest way."""
    start, free = np.full(len(graph.hold), -1.0), np.zeros(units)
    ready, before = np.zeros(len(graph.hold)), graph.before.copy()
    queue = []
    for request, task in enumerate(graph.begin.tolist()):
        ready[task] = arrivals[request]
        heapq.heappush(queue, (ready[task], request, task))
    while queue:
        now, _, task = heapq.heappop(queue)
        unit = graph.unit[task]
        start[task] = now if unit < 0 else max(now, free[unit])
        if unit >= 0:
            free[unit] = start[task] + graph.hold[task]
        for e in range(graph.first_edge[task], graph.first_edge[task + 1]):
            to = graph.dest[e]
            ready[to] = max(ready[to], start[task] + graph.offset[e])
            before[to] -= 1
            if before[to] == 0:
                heapq.heappush(queue, (ready[to], int(graph.request[to]), int(to)))
    return start


@settings(max_examples=80, deadline=None)
@given(graphs(), st.lists(st.integers(0, 9), min_size=5, max_size=5), st.integers(1, 3))
def test_queues_conserve_work_and_agree_with_a_plain_one(graph: Graph, gaps: list[int], flight: int) -> None:
    arrivals = np.cumsum(np.array(gaps[: graph.requests], float))
    conserved(graph, 3, arrivals, 1)
    conserved(graph, 3, None, flight)
    assert np.array_equal(play(graph, no_limit(3), arrivals, 1).start, slowly(graph, 3, arrivals))


@pytest.mark.parametrize("in_flight", [1, 3, 40])
def test_a_program_conserves_work(in_flight: int) -> None:
    for made in (one_layer(), chain((5, 40, 3, 63))):
        found = run(made, 30, in_flight=in_flight)
        templates = templates_of(CostModel(made, TSINGHUA, None), None)
        graph = expand(templates, Recorder(made, TSINGHUA), 0, 30, TSINGHUA, None)
        conserved(graph, len(templates[0].units), None, in_flight)
        expected = time_program(made, TSINGHUA).busy
        assert {x.unit for x in found.loads} == set(expected)
        for unit, ns in expected.items():
            assert busy(found, unit) == pytest.approx(30 * ns)


@pytest.mark.parametrize(
    "how",
    [
        {"in_flight": 5},
        {"kind": "poisson", "rate": 1e6},
        {"kind": "fixed", "rate": 1e8},
        {"in_flight": 9, "buffer": 1},
        {"kind": "poisson", "rate": 1e8, "buffer": 2},
    ],
)
def test_windows_change_nothing(how: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    made = chain((5, 40, 3, 63))
    whole = run(made, 64, **how)
    for window in (1, 7, 30):
        monkeypatch.setattr(running, "WINDOW", window)
        assert run(made, 64, **how).to_json() == whole.to_json()


def test_the_whole_time_begins_with_the_first_arrival() -> None:
    found = run(one_layer(), kind="poisson", rate=1e3, seed=1)  # which is some 100 us late
    assert found.played.arrival[0] > 10 * found.latency[0]
    assert found.makespan_ns == pytest.approx(found.latency[0])
    assert run(one_layer(), 0).makespan_ns == 0


def test_poisson_arrivals_are_the_same_everywhere() -> None:
    """Written down, so that another generator, or another version of it, shows."""
    times = Arrivals("poisson", rate=1e9, seed=1).times(200_000)
    assert times is not None
    assert times[:3] == pytest.approx([0.20679841582989109, 1.2930567503397696, 2.964753029235897], rel=1e-14)
    shorter = Arrivals("poisson", rate=1e9, seed=1).times(1000)
    assert np.array_equal(times[:1000], shorter)
    gaps = np.diff(times)
    assert gaps.mean() == pytest.approx(1, rel=0.01)
    assert gaps.std() == pytest.approx(1, rel=0.01)
    assert (gaps > 3).mean() == pytest.approx(np.exp(-3), rel=0.03)
    assert np.corrcoef(gaps[1:], gaps[:-1])[0, 1] == pytest.approx(0, abs=0.01)


def test_the_same_simulation_twice() -> None:
    first, second = (run(chain((0, 9)), 500, kind="poisson", rate=3e6, seed=7) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert run(chain((0, 9)), 500, kind="poisson", rate=3e6, seed=8).to_json() != first.to_json()


def test_host_segments_take_no_time_and_nothing_is_nothing() -> None:
    made = program({0: [instr("fill", dst=Ref(0), value=0.0, n=32)]}, hosts=2)
    assert run(made).latency[0] == pytest.approx(1.0)
    assert run(made).host_segments == 2
    idle = run(program({}), 3)
    assert (idle.throughput_rps, idle.bottleneck, idle.loads) == (None, "", ())


@pytest.mark.parametrize("how", [{"in_flight": 0}, {"kind": "fixed"}, {"kind": "poisson", "rate": -1.0}])
def test_arrivals_that_make_no_sense(how: dict[str, object]) -> None:
    with pytest.raises(CimcError) as caught:
        Arrivals(**how)  # type: ignore[arg-type]
    assert caught.value.code == "simulate.bad-arrivals"


@pytest.mark.parametrize("kind", ["fixed", "poisson"])
def test_times_that_float64_cannot_tell_apart_are_refused(kind: Literal["fixed", "poisson"]) -> None:
    times = Arrivals(kind, rate=1.0).times(1000)
    assert times is not None
    assert np.spacing(times[-1]) < 1e-2
    with pytest.raises(CimcError) as caught:
        Arrivals(kind, rate=1e-6).times(1000)
    assert caught.value.code == "simulate.bad-arrivals"
