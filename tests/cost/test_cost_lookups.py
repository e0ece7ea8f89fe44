"""Lookups with activity made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.cost import CostError, count_events, energy_of, time_program
from cimc.cost.machine_units import Unit
from cimc.cost.owners import expected_slowest
from cimc.isa.instructions import Index, Ref, instr
from cimc.isa.program import Port
from cimc.sim.activity import Activity
from cimc.target import load_target
from cimc.target.overrides import with_overrides
from tests.cost.cost_programs import TSINGHUA, dense, load, lookup_activity, program, relu, table

STEP, BUS, LINK, HOST, HOST_NS, HOP = 23.08, 460.8, 38.4, 504.0, 500.0, 2.8
WIDTH = 12  # bits of an id: enough for the largest table here, and more than the others need
DIM = 32  # 64 cell columns of two slices: one step
FAR = [(0, 512, 0, DIM, 3, 0, 0), (512, 512, 0, DIM, 3, 1, 0), (1024, 512, 0, DIM, 0, 0, 0)]
"""Three blocks: two on tile 3 (three hops from tile 0), one on tile 0."""


def bag_bits(ids: int) -> int:
    """A bag with offsets on the host link: header, its length in unary, its ids."""
    return 32 + (ids + 1) + ids * WIDTH


BAG = bag_bits(4)


def bag(mode: str = "sum"):
    return instr("bag", dst=Ref(0), port=0, matrix=0, mode=mode, scale=1.0, idbits=WIDTH)


def ids_port(weights: str = ""):
    return Port("ids", "bag", "i32", "int64", (), "offsets", "offsets", weights)


def bag_program(blocks=FAR, mode: str = "sum", weights: str = "", tile: int = 0, target=TSINGHUA):
    made = [(table("t", 512 * len(blocks), DIM), blocks)]
    return program({tile: [bag(mode)]}, made, inputs=[ids_port(weights)], target=target)


# Of ten requests with four ids each, all reach tile 3 and five reach tile 0.
ACTIVITY = lookup_activity((0, 0, 0), [20, 10, 10], [10, 5, 10], {0: 5, 3: 10}, 40, 10)


def test_events_of_a_pooled_bag():
    events = count_events(bag_program(), TSINGHUA, ACTIVITY)
    assert events["lookup.ids"] == 4
    assert events["lookup.activations"] == events["array.steps"] == events["array.steps.lookup"] == 2.5
    assert events["array.rows_driven.lookup"] == 4
    assert events["adc.conversions"] == 2.5 * 64
    assert events["lookup.tile_visits"] == 1.5
    # activations beyond the first of a visit are added at the owner, partial vectors at home
    assert events["accumulate.adds"] == pytest.approx((2.5 - 1.5) * DIM)
    assert events["vector.ops.bag"] == pytest.approx((1.5 - 1 + 2) * DIM)
    out, back = 32 + 3 * WIDTH, 1 * (DIM * 32 + 32)
    assert events["router.hop_bits"] == pytest.approx(3 * (out + back))
    assert events["host_link.bits"] == BAG
    assert events["bus.bits"] == pytest.approx(4 * WIDTH + 1.5 * DIM * 32)  # one vector a visit
    assert events["messages"] == pytest.approx(1 + 1 + 1)
    assert events["scratchpad.write_bits"] == pytest.approx(1.5 * DIM * 32 + DIM * 32)


def test_energy_of_pooled_rows_in_one_array():
    """Eighty rows at once: one step, 80 driven rows and 64 conversions (hardware figures: 1.68 nJ)."""
    blocks = [(0, 512, 0, DIM, 0, 0, 0)]
    made = program({0: [bag()]}, [(table("t", 512, DIM, pool_rows=80), blocks)], inputs=[ids_port()])
    together = lookup_activity((0, 0, 0), [80], [1], {0: 1}, 80, 1)
    found = energy_of(count_events(made, TSINGHUA, together), TSINGHUA)
    assert found.array_pj == pytest.approx(80 * 2.064 + 64 * 13.2 + 674)
    assert found.array_pj == pytest.approx(1680, rel=0.01)


def test_energy_of_rows_scattered_over_arrays():
    """The same rows in eighty arrays: 122 nJ."""
    blocks = [(512 * n, 512, 0, DIM, n // 8, n % 8, 0) for n in range(80)]
    mesh = with_overrides(TSINGHUA, {"chip.mesh": (4, 4)})
    made = program({0: [bag()]}, [(table("t", 512 * 80, DIM), blocks)], inputs=[ids_port()], target=mesh)
    apart = lookup_activity((0, 0, 0), [1] * 80, [1] * 80, dict.fromkeys(range(10), 1), 80, 1)
    found = energy_of(count_events(made, mesh, apart), mesh)
    assert found.array_pj == pytest.approx(122e3, rel=0.01)


def test_latency_of_one_owner():
    """Every request asks tile 3 for four rows of one block, two activations."""
    blocks = [(0, 512, 0, DIM, 3, 0, 0)]
    activity = lookup_activity((0, 0, 0), [40], [20], {3: 10}, 40, 10)
    timing = time_program(bag_program(blocks), TSINGHUA, activity)
    arrive = HOST_NS + BAG / LINK
    out, back = (32 + 4 * WIDTH) / LINK, (DIM * 32 + 32) / LINK
    bus = (4 * WIDTH + DIM * 32) / BUS
    assert timing.latency_ns == pytest.approx(arrive + out + 2 * 3 * HOP + 2 * STEP + bus + back + 2)
    assert timing.busy[Unit("array", 3, 0)] == pytest.approx(2 * STEP)
    assert timing.busy[Unit("router out", 0)] == pytest.approx(out)
    assert timing.busy[Unit("router in", 3)] == pytest.approx(out)
    assert timing.busy[Unit("router in", 0)] == pytest.approx(back + BAG / LINK)
    assert timing.busy[Unit("link", 3, 2)] == pytest.approx(back)
    assert timing.busy[Unit("host link", 0)] == pytest.approx(BAG / HOST)


def test_the_busiest_array_of_a_tile_counts():
    """Arrays of a tile work side by side; blocks of one array one after the other."""
    for array, times in ((1, 2), (0, 3)):
        blocks = [(0, 512, 0, DIM, 0, 0, 0), (512, 512, 0, DIM, 0, array, 64)]
        activity = lookup_activity((0, 0, 0), [2, 1], [2, 1], {0: 1}, 3, 1)
        timing = time_program(bag_program(blocks), TSINGHUA, activity)
        bus = (3 * WIDTH + DIM * 32) / BUS
        arrive = HOST_NS + bag_bits(3) / LINK
        assert timing.latency_ns == pytest.approx(arrive + times * STEP + bus + 2)


def test_a_rare_visit_still_takes_a_whole_activation():
    """One id a request, spread over a hundred arrays: no array is busy, yet each request waits for one."""
    blocks = [(512 * n, 512, 0, DIM, 0, n, 0) for n in range(8)]
    activity = lookup_activity((0, 0, 0), [1] * 8, [1] * 8, {0: 8}, 8, 8)
    timing = time_program(bag_program(blocks), TSINGHUA, activity)
    bus = (WIDTH + DIM * 32) / BUS
    assert timing.latency_ns == pytest.approx(HOST_NS + bag_bits(1) / LINK + STEP + bus + 2)
    assert timing.busy[Unit("array", 0, 0)] == pytest.approx(STEP / 8)


def test_modes_that_need_single_rows_return_every_row():
    rows = lookup_activity((0, 0, 0), [40, 0, 0], [40, 0, 0], {3: 10}, 40, 10)
    moved = {}
    for mode, weights, ops in (("none", "", 8), ("max", "", 6), ("sum", "w", 16), ("mean", "w", 17)):
        events = count_events(bag_program(mode=mode, weights=weights), TSINGHUA, rows)
        moved[mode, weights] = events["router.hop_bits"]
        assert events["accumulate.adds"] == 0
        assert events["vector.ops.bag"] == pytest.approx(ops * DIM)
    assert set(moved.values()) == {3 * (2 * 32 + 4 * (WIDTH + DIM * 32))}
    weighted = count_events(bag_program(mode="sum", weights="w"), TSINGHUA, rows)
    assert weighted["host_link.bits"] == BAG + 4 * 32


def test_column_blocks_are_asked_for_once_per_tile():
    """A row cut into two column blocks on one tile: one id message, one vector of both parts."""
    blocks = [(0, 512, 0, 16, 1, 0, 0), (0, 512, 16, 16, 1, 1, 0)]
    activity = lookup_activity((0, 0, 0), [3, 3], [1, 1], {1: 1}, 3, 1)
    events = count_events(bag_program(blocks), TSINGHUA, activity)
    assert events["router.hop_bits"] == 32 + 3 * WIDTH + 32 * 32 + 32
    # cut over two tiles: both are asked, each returns its half
    split = [(0, 512, 0, 16, 1, 0, 0), (0, 512, 16, 16, 8, 1, 0)]
    activity = lookup_activity((0, 0, 0), [3, 3], [1, 1], {1: 1, 8: 1}, 3, 1)
    events = count_events(bag_program(split), TSINGHUA, activity)
    assert events["router.hop_bits"] == 2 * (32 + 3 * WIDTH + 16 * 32 + 32)


def test_lookup_reads_its_ids_from_the_scratchpad_and_loops():
    item = instr(
        "lookup", dst=Ref(128, 4 * DIM), ids=Ref(0, 8), matrix=0, mode="sum", scale=1.0, n=2,
        drop="none", pad=0, idbits=WIDTH,
    )  # fmt: skip
    made = program(
        {0: [load(6), instr("loop", count=3), item, instr("end")]},
        [(table("t", 512, DIM), [(0, 512, 0, DIM, 0, 0, 0)])],
        inputs=[dense(6)],
    )
    activity = lookup_activity((0, 0, 2), [60], [30], {0: 30}, 60, 10)  # ten requests, three bags each
    events = count_events(made, TSINGHUA, activity)
    assert events["lookup.ids"] == 6
    assert events["array.steps"] == 3
    assert events["host_link.bits"] == 7 * 32
    timing = time_program(made, TSINGHUA, activity)
    assert timing.busy[Unit("array", 0, 0)] == pytest.approx(3 * STEP)
    bus = (2 * WIDTH + DIM * 32) / BUS
    first = HOST_NS + 7 * 32 / LINK
    # the second and third bag wait for the array only
    assert timing.latency_ns == pytest.approx(first + 3 * STEP + bus + 2)


def test_cells_with_an_offset_are_corrected():
    target = load_target("isaac32")
    blocks = [(0, 128, 0, 16, 0, 0, 0)]
    made = program(
        {0: [bag("sum")]}, [(table("t", 128, 16, slices=4, block_rows=128), blocks)],
        inputs=[ids_port()], target=target,
    )  # fmt: skip
    events = count_events(made, target, lookup_activity((0, 0, 0), [6], [3], {0: 1}, 6, 1))
    assert events["accumulate.adds"] == 2 * 16 + 3 * 16


def test_a_hot_array_is_named():
    blocks = [(0, 512, 0, DIM, 5, 2, 0)]
    made = bag_program(blocks)
    activity = lookup_activity((0, 0, 0), [400], [400], {5: 1}, 400, 1)
    timing = time_program(made, TSINGHUA, activity)
    assert timing.bottleneck == Unit("array", 5, 2)
    assert timing.throughput_rps == pytest.approx(1e9 / (400 * STEP))


def test_an_empty_table_access_costs_the_trip_of_its_header():
    activity = lookup_activity((0, 0, 0), [0, 0, 0], [0, 0, 0], {}, 0, 10)
    timing = time_program(bag_program(), TSINGHUA, activity)
    assert timing.latency_ns == pytest.approx(HOST_NS + bag_bits(0) / LINK + 2)


@pytest.mark.parametrize(
    "activity", [None, Activity(), Activity(5), lookup_activity((1, 0, 0), [1] * 3, [1] * 3, {0: 1}, 1, 1)]
)
def test_lookups_need_activity(activity):
    with pytest.raises(CostError, match=r"segment 0, tile 0, instruction 0 \(bag\)") as caught:
        count_events(bag_program(), TSINGHUA, activity)
    assert caught.value.code == "cost.no-activity"


@pytest.mark.parametrize(
    ("rows", "activations", "visits"),
    [
        ([1, 1], [1, 1], {3: 1}),
        ([1, 0, 0], [1, 0, 0], {}),
        ([1, 0, 0], [1, 0, 0], {3: 1, 0: 1}),
        ([1, 0, 0], [1, 0, 0], {2: 1}),
    ],
)
def test_activity_must_fit_the_table(rows, activations, visits):
    activity = lookup_activity((0, 0, 0), rows, activations, visits, 1, 1)
    with pytest.raises(CostError) as caught:
        count_events(bag_program(), TSINGHUA, activity)
    assert caught.value.code == "cost.bad-activity"


def test_a_loop_over_tables_is_refused():
    item = instr("bag", dst=Ref(0), port=0, matrix=Index(0, 1), mode="sum", scale=1.0, idbits=WIDTH)
    made = program(
        {0: [instr("loop", count=2), item, instr("end")]},
        [(table(n, 512, DIM), [(0, 512, 0, DIM, 0, 0, 0)]) for n in "ab"],
        inputs=[ids_port()],
    )
    with pytest.raises(CostError, match="tables that a loop goes through"):
        count_events(made, TSINGHUA, lookup_activity((0, 0, 1), [1], [1], {0: 1}, 1, 1))


def test_activity_that_nobody_asks_for_changes_nothing():
    made = program({0: [relu(4, 0, 64)]})
    assert count_events(made, TSINGHUA, ACTIVITY) == count_events(made, TSINGHUA)


def test_the_slowest_of_certain_replies_is_the_slowest():
    assert expected_slowest([(3.0, 1.0), (5.0, 1.0), (4.0, 0.5)]) == 5.0
    assert expected_slowest([(3.0, 0.01)]) == pytest.approx(3.0)
    assert expected_slowest([]) == 0.0


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0.05, 1)), min_size=1, max_size=6),
)
def test_the_slowest_reply_by_enumeration(times):
    """Over all 2^n outcomes but the empty one."""
    total = reached = 0.0
    for outcome in range(1, 1 << len(times)):
        inside = [bool(outcome >> n & 1) for n in range(len(times))]
        chance = float(np.prod([p if i else 1 - p for (_, p), i in zip(times, inside, strict=True)]))
        total += chance * max(ns for (ns, _), i in zip(times, inside, strict=True) if i)
        reached += chance
    assert expected_slowest(times) == pytest.approx(total / reached, abs=1e-9)
