"""Latency, busy time and bottleneck in cases with a closed form."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.cost import time_program
from cimc.cost.machine_units import Unit, contents, label, route
from cimc.errors import ProgramError
from cimc.isa.instructions import Ref, instr
from cimc.target import load_target
from cimc.target.overrides import with_overrides
from tests.cost.cost_programs import TSINGHUA, dense, layer, load, mvm, program, quant, relu, store

STEP, BUS, LINK, HOST, HOST_NS, HOP = 23.08, 460.8, 38.4, 504.0, 500.0, 2.8


def host(elements: int, hops: int = 0) -> float:
    """A load or store: one crossing, hops, and the bits at the mesh link's rate."""
    return HOST_NS + hops * HOP + (elements * 32 + 32) / LINK


def send(to: int, size: int, at: int = 0, tag: int = 0):
    return instr("send", tile=to, tag=tag, src=Ref(at), bytes=size, bits=8)


def recv(source: int, size: int, at: int = 0, tag: int = 0):
    return instr("recv", tile=source, tag=tag, dst=Ref(at), bytes=size, bits=8, sign="unsigned")


def test_a_layer_is_the_sum_of_its_parts():
    """8-bit inputs are two phases; 64 columns of two slices are two steps."""
    matrix = layer("w", 64, 64, bits=8, slices=2, input_bits=8)
    stream = [load(64), quant(64, 0, 256, 8), mvm(256, 320), store(64, 320)]
    made = program(
        {0: stream}, [(matrix, [(0, 64, 0, 64, 0, 0, 0)])], inputs=[dense(64)], outputs=[dense(64)]
    )
    timing = time_program(made, TSINGHUA)
    bus = (64 * 8 + 64 * 32) / BUS
    assert timing.latency_ns == pytest.approx(host(64) + 2 + bus + 2 * 2 * STEP + host(64))
    assert timing.busy[Unit("array", 0, 0)] == pytest.approx(4 * STEP)
    assert timing.busy[Unit("vector", 0)] == 2
    assert timing.busy[Unit("bus", 0)] == pytest.approx(bus)
    assert timing.busy[Unit("host link", 0)] == pytest.approx(2 * 65 * 32 / HOST)
    assert timing.bottleneck == Unit("array", 0, 0)
    assert timing.throughput_rps == pytest.approx(1e9 / (4 * STEP))
    assert max(timing.busy.values()) <= timing.latency_ns


def test_two_tiles():
    """Tile 3 is three hops from tile 0: the head arrives after them, the tail one message later."""
    made = program(
        {0: [load(32), send(3, 128)], 3: [recv(0, 128), relu(32, 0, 128), store(32, 128)]},
        inputs=[dense(32)],
        outputs=[dense(32)],
    )
    timing = time_program(made, TSINGHUA)
    message = (128 * 8 + 32) / LINK
    assert timing.latency_ns == pytest.approx(host(32) + 3 * HOP + message + 1 + host(32, 3))
    assert timing.busy[Unit("router out", 0)] == pytest.approx(message)
    for a, b in ((0, 1), (1, 2), (2, 3)):
        assert timing.busy[Unit("link", a, b)] == pytest.approx(message)
        assert timing.busy[Unit("link", b, a)] == pytest.approx(message)  # the store, as long


def test_a_message_between_chips():
    target = load_target("neurram130")
    made = program({1: [relu(1, 64, 0), send(13, 4)], 13: [recv(1, 4)]}, target=target)
    timing = time_program(made, target)
    assert timing.latency_ns == pytest.approx(1 + 2 * HOP + HOST_NS + 64 / LINK)
    for chip in (0, 1):
        assert timing.busy[Unit("host link", chip)] == pytest.approx(64 / HOST)


def two_mvms(array: int, same_output: bool = False):
    """Two independent products on tile 0: the second on ``array``, the first on array 0."""
    matrices = [
        (layer("a", 8, 64), [(0, 8, 0, 64, 0, 0, 0)]),
        (layer("b", 8, 64), [(0, 8, 0, 64, 0, array, 64)]),
    ]
    stream = [mvm(0, 64, 0), mvm(0, 64 if same_output else 512, 1)]
    return program({0: stream}, matrices)


BUS_ONE = (8 * 4 + 64 * 32) / BUS


def test_different_arrays_overlap():
    """They share the bus only."""
    assert time_program(two_mvms(1), TSINGHUA).latency_ns == pytest.approx(2 * BUS_ONE + STEP)


def test_the_same_array_serialises():
    assert BUS_ONE < STEP
    assert time_program(two_mvms(0), TSINGHUA).latency_ns == pytest.approx(BUS_ONE + 2 * STEP)


def test_writes_of_the_same_bytes_serialise():
    assert time_program(two_mvms(1, same_output=True), TSINGHUA).latency_ns == pytest.approx(
        2 * (BUS_ONE + STEP)
    )


def test_blocks_of_an_array_group_fire_together():
    """Two row blocks on two arrays take one array time; on one array they take two."""
    matrix = layer("w", 16, 64)
    bus = (16 * 4 + 64 * 32) / BUS  # their sums are added before the bus
    for array, times in ((1, 1), (0, 2)):
        blocks = [(0, 8, 0, 64, 0, 0, 0), (8, 8, 0, 64, 0, array, 64)]
        made = program({0: [mvm(0, 64, count=2)]}, [(matrix, blocks)])
        assert time_program(made, TSINGHUA).latency_ns == pytest.approx(bus + times * STEP)


def test_a_write_waits_for_readers():
    """The product reads what relu would overwrite."""
    matrix = layer("w", 8, 64)
    blocks = [(0, 8, 0, 64, 0, 0, 0)]
    waits = program({0: [mvm(0, 64), relu(2, 512, 0)]}, [(matrix, blocks)])
    free = program({0: [mvm(0, 64), relu(2, 512, 516 + 4)]}, [(matrix, blocks)])
    assert time_program(waits, TSINGHUA).latency_ns == pytest.approx(BUS_ONE + STEP + 1)
    assert time_program(free, TSINGHUA).latency_ns == pytest.approx(BUS_ONE + STEP)


def test_issue_is_in_order():
    """The second relu could run at once, but the first, which waits for the product, is before it."""
    matrix = layer("w", 8, 64)
    stream = [mvm(0, 64), relu(32, 64, 512), relu(32, 1024, 1536)]
    timing = time_program(program({0: stream}, [(matrix, [(0, 8, 0, 64, 0, 0, 0)])]), TSINGHUA)
    assert timing.latency_ns == pytest.approx(BUS_ONE + STEP + 2)


def test_a_gather_waits_for_all_that_lies_behind_its_source():
    rows = [relu(32, 4096, 0), relu(32, 4096, 128)]
    gather = instr("gather", dst=Ref(1024), src=Ref(0), index=Ref(0, 0, True), n=1, inner=32)
    one = with_overrides(TSINGHUA, {"tile.vector_op_ns": 10.0})
    timing = time_program(program({0: [*rows, gather]}, target=one), one)
    assert timing.latency_ns == pytest.approx(30)


def test_tiles_run_side_by_side():
    made = program({t: [relu(64, 0, 256)] for t in range(4)})
    assert time_program(made, TSINGHUA).latency_ns == 2


def test_loops_repeat_and_strides_move():
    body = instr("unary", dst=Ref(256, 4), src=Ref(0, 4), n=1, fn="relu", alpha=0.0, beta=0.0)
    made = program({0: [instr("loop", count=7), body, instr("end"), relu(1, 280, 512)]})
    timing = time_program(made, TSINGHUA)
    assert timing.latency_ns == 8
    assert len([s for s in timing.timeline if s.unit.kind == "stream"]) == 8


def test_a_slow_host_link_is_the_bottleneck():
    slow = with_overrides(TSINGHUA, {"chip.host_link_gbps": 1.0})
    made = program({0: [load(100)], 9: [load(28)]}, inputs=[dense(100)], target=slow)
    timing = time_program(made, slow)
    bits = (100 + 28 + 1) * 32  # one header: both are parts of one message on the link
    assert label(timing.bottleneck, {}) == "host link of chip 0"
    assert timing.busy[timing.bottleneck] == pytest.approx(bits)
    # the two loads share the link, their latencies overlap
    assert timing.latency_ns == pytest.approx(bits + HOST_NS + 2 * HOP)


def test_segments_follow_one_another():
    made = program({0: [relu(32, 0, 256)]}, hosts=1)
    made.segments = (*made.segments, *made.segments)
    timing = time_program(made, TSINGHUA)
    assert timing.segment_ns == (1, 1)
    assert timing.latency_ns == 2
    assert timing.busy[Unit("vector", 0)] == 2
    assert [(s.start, s.end) for s in timing.timeline if s.unit.kind == "vector"] == [(0, 1), (1, 2)]


def test_a_program_of_host_segments_takes_no_modelled_time():
    made = program({}, hosts=1)
    timing = time_program(made, TSINGHUA)
    assert timing.latency_ns == 0
    assert timing.throughput_rps is None
    assert timing.bottleneck is None


def test_a_message_that_never_comes():
    with pytest.raises(ProgramError, match="waits for message 5 from tile 1") as caught:
        time_program(program({0: [recv(1, 4, tag=5)]}), TSINGHUA)
    assert caught.value.code == "isa.invalid"


def test_messages_of_one_tag_keep_their_order():
    made = program({0: [send(1, 4), relu(320, 64, 2048), send(1, 4, 2048)], 1: [recv(0, 4), recv(0, 4, 8)]})
    timing = time_program(made, TSINGHUA)
    assert timing.latency_ns == pytest.approx(10 + HOP + 64 / LINK)


def test_labels():
    matrices = [(layer(f"w{n}", 8, 8), [(0, 8, 0, 8, 5, 2, 8 * n)]) for n in range(5)]
    held = contents(program({0: []}, matrices))
    assert label(Unit("array", 5, 2), held) == "array 2 of tile 5 (layer w0, layer w1, layer w2 and 2 more)"
    assert label(Unit("array", 5, 3), held) == "array 3 of tile 5"
    assert label(Unit("link", 1, 2), held) == "mesh link from tile 1 to tile 2"
    kinds = ("vector", "bus", "router in", "router out", "stream")
    assert len({label(Unit(k, 3), held) for k in kinds}) == len(kinds)


@given(st.integers(0, 47), st.integers(0, 47))
def test_routes_have_as_many_links_as_hops(a, b):
    target = load_target("neurram130")  # four chips of 4x3
    links = route(target, a, b)
    assert len(links) == target.hops(a, b)
    if links and not target.crosses_chips(a, b):
        assert (links[0].place, links[-1].number) == (a, b)
        for before, after in itertools.pairwise(links):
            assert before.number == after.place
    assert all(target.hops(link.place, link.number) == 1 for link in links)


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(1, 64)), max_size=12))
def test_a_schedule_keeps_its_promises(ops):
    """No unit does two things at once, one tile's busy time fits its latency, starts are in order."""
    stream = [relu(n, 256 * src, 256 * dst) for src, dst, n in ops]
    timing = time_program(program({0: stream}), TSINGHUA)
    spans = [s for s in timing.timeline if s.unit.kind == "vector"]
    for before, after in itertools.pairwise(spans):
        assert before.end <= after.start
    assert sum(timing.busy.values()) <= timing.latency_ns + 1e-9
    assert timing.latency_ns == max((s.end for s in timing.timeline), default=0)


def test_the_schedule_is_deterministic():
    made = program(
        {t: [load(8), relu(8, 0, 64), store(8, 64)] for t in range(9)}, inputs=[dense(8)], outputs=[dense(8)]
    )
    assert time_program(made, TSINGHUA) == time_program(made, TSINGHUA)
