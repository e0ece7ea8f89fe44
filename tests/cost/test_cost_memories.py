"""Lookups in table SRAM, in DRAM, and over copies, with activity made by hand."""

from __future__ import annotations

import pytest

from cimc.cost import CostError, count_events, energy_of, time_program
from cimc.cost.area import area_of
from cimc.cost.machine_units import Unit
from cimc.isa.instructions import Ref, instr
from cimc.isa.program import Port, Program
from cimc.sim.activity import Activity
from cimc.target.overrides import with_overrides
from cimc.target.spec import Target
from tests.cost.cost_programs import TSINGHUA, lookup_activity, program, table

STEP, BUS, LINK, HOST_NS, HOP = 23.08, 460.8, 38.4, 500.0, 2.8
SRAM_NS, DRAM_NS, DRAM_GBPS = 1.0, 100.0, 102.4
DIM, WIDTH = 32, 10  # columns of the table, bits of an id
ROW = DIM * 8  # bits of a row in SRAM or DRAM: one burst of 32 bytes
CHIP0 = -3


def lookup_program(blocks, *, mode: str = "sum", tile: int = 0, target: Target = TSINGHUA) -> Program:
    item = instr("bag", dst=Ref(0), port=0, matrix=0, mode=mode, scale=1.0, idbits=WIDTH)
    port = Port("ids", "bag", "i32", "int64", (), "offsets", "offsets", "")
    return program(
        {tile: [item]}, [(table("t", 512 * len(blocks), DIM), blocks)], inputs=[port], target=target
    )


def activity(rows: list[int], reads: list[int], visits: dict[int, int], ids: int, requests: int) -> Activity:
    return lookup_activity((0, 0, 0), rows, reads, visits, ids, requests)


SRAM = [(0, 512, 0, DIM, 3, -2, 0)]
DRAM = [(0, 512, 0, DIM, CHIP0, -1, 0)]


def test_rows_in_sram() -> None:
    """Four rows a request from the SRAM of tile 3, added there."""
    seen = activity([40], [40], {3: 10}, 40, 10)
    made = lookup_program(SRAM)
    events = count_events(made, TSINGHUA, seen)
    assert (events["lookup.rows.sram"], events["lookup.rows.cells"], events["lookup.rows.dram"]) == (4, 0, 0)
    assert events["sram.read_bits"] == 4 * ROW
    assert events["array.steps"] == events["adc.conversions"] == events["lookup.activations"] == 0
    assert events["bus.bits"] == 4 * (WIDTH + ROW)
    assert events["accumulate.adds"] == 3 * DIM
    out, back = 32 + 4 * WIDTH, DIM * 32 + 32
    assert events["router.hop_bits"] == 3 * (out + back)
    timing = time_program(made, TSINGHUA, seen)
    assert timing.busy[Unit("table sram", 3)] == pytest.approx(4 * SRAM_NS)
    arrive = HOST_NS + (32 + 5 + 4 * WIDTH) / LINK
    bus = 4 * (WIDTH + ROW) / BUS
    assert timing.latency_ns == pytest.approx(arrive + (out + back) / LINK + 6 * HOP + 4 * SRAM_NS + bus + 2)
    line = next(i for i in energy_of(events, TSINGHUA).items if i.name == "table SRAM")
    assert line.pj == pytest.approx(4 * ROW * 0.08)
    assert line.basis == "assumed"


def test_rows_in_dram_come_one_by_one_from_the_edge() -> None:
    """Four rows a request; the port is tile 0, the home three hops away; the controller adds nothing."""
    seen = activity([40], [40], {CHIP0: 10}, 40, 10)
    made = lookup_program(DRAM, tile=3)
    seen.lookups = {(0, 3, 0): next(iter(seen.lookups.values()))}
    events = count_events(made, TSINGHUA, seen)
    assert events["lookup.rows.dram"] == 4
    assert events["dram.read_bits"] == 4 * ROW
    assert events["bus.bits"] == events["accumulate.adds"] == 0
    out, back, bag = 32 + 4 * WIDTH, 32 + 4 * ROW, 32 + 5 + 4 * WIDTH
    assert events["router.hop_bits"] == 3 * (out + back + bag)
    assert events["vector.ops.bag"] == (4 - 1 + 2) * DIM
    assert events["scratchpad.write_bits"] == 4 * ROW + DIM * 32
    timing = time_program(made, TSINGHUA, seen)
    assert timing.busy[Unit("dram", 0)] == pytest.approx(4 * ROW / DRAM_GBPS)
    arrive = HOST_NS + 3 * HOP + bag / LINK
    memory = DRAM_NS + 4 * ROW / DRAM_GBPS
    assert timing.latency_ns == pytest.approx(arrive + (out + back) / LINK + 6 * HOP + memory + 5)
    line = next(i for i in energy_of(events, TSINGHUA).items if i.name == "DRAM")
    assert line.pj == pytest.approx(4 * ROW * 8.0)


def test_dram_reads_whole_bursts() -> None:
    wide = with_overrides(TSINGHUA, {"chip.dram_burst_bytes": 48})
    events = count_events(lookup_program(DRAM, target=wide), wide, activity([4], [4], {CHIP0: 1}, 4, 1))
    assert events["dram.read_bits"] == 4 * 48 * 8


def test_single_rows_cost_the_same_traffic_from_dram() -> None:
    seen = activity([4], [4], {CHIP0: 1}, 4, 1)
    pooled, single = (count_events(lookup_program(DRAM, mode=m), TSINGHUA, seen) for m in ("sum", "none"))
    assert pooled["dram.read_bits"] == single["dram.read_bits"]
    assert pooled["router.hop_bits"] == single["router.hop_bits"] == 0  # the home is at the port


def test_single_rows_from_sram_travel_in_whole_bytes() -> None:
    seen = activity([4], [4], {3: 1}, 4, 1)
    events = count_events(lookup_program(SRAM, mode="none"), TSINGHUA, seen)
    assert events["router.hop_bits"] == 3 * (2 * 32 + 4 * (WIDTH + ROW))


def test_cells_and_sram_of_one_tile_answer_together() -> None:
    """One vector a visit; the slower of the two memories counts, the bus carries both."""
    blocks = [(0, 512, 0, DIM, 3, 0, 0), (512, 512, 0, DIM, 3, -2, 0)]
    seen = activity([10, 20], [10, 20], {3: 10}, 30, 10)
    made = lookup_program(blocks)
    events = count_events(made, TSINGHUA, seen)
    assert (events["lookup.rows.cells"], events["lookup.rows.sram"]) == (1, 2)
    assert events["lookup.activations"] == 1
    assert events["lookup.tile_visits"] == 1
    assert events["accumulate.adds"] == 2 * DIM
    assert events["router.hop_bits"] == 3 * (2 * 32 + 3 * WIDTH + DIM * 32)
    timing = time_program(made, TSINGHUA, seen)
    bus = (3 * WIDTH + DIM * 32 + 2 * ROW) / BUS
    arrive = HOST_NS + (32 + 4 + 3 * WIDTH) / LINK
    wire = (2 * 32 + 3 * WIDTH + DIM * 32) / LINK
    assert timing.latency_ns == pytest.approx(arrive + wire + 6 * HOP + STEP + bus + 2)


def test_copies_split_the_load() -> None:
    """Ten requests over a block and its copy: each array is busy for half of them."""
    import numpy as np

    made = lookup_program([(0, 512, 0, DIM, 3, 0, 0)])
    made.data["t.replicas"] = np.array([[0, 4, 1, 64]], np.int32)
    seen = activity([10, 10], [5, 5], {3: 5, 4: 5}, 20, 10)
    timing = time_program(made, TSINGHUA, seen)
    assert timing.busy[Unit("array", 3, 0)] == pytest.approx(STEP / 2)
    assert timing.busy[Unit("array", 4, 1)] == pytest.approx(STEP / 2)
    events = count_events(made, TSINGHUA, seen)
    assert events["lookup.activations"] == 1
    assert events["router.hop_bits"] == pytest.approx((3 + 4) * (2 * 32 + 2 * WIDTH + DIM * 32) / 2)
    with pytest.raises(CostError, match="shape"):
        count_events(made, TSINGHUA, activity([10], [5], {3: 5}, 20, 10))


def test_area_counts_table_sram_where_it_is_used() -> None:
    plain = area_of(lookup_program([(0, 512, 0, DIM, 3, 0, 0)]), TSINGHUA)
    assert "table SRAM" not in plain.system
    with_sram = area_of(lookup_program(SRAM), TSINGHUA)
    assert with_sram.system["table SRAM"] == pytest.approx(64 * 0.083)
    assert with_sram.used["table SRAM"] == pytest.approx(0.083)
    assert with_sram.counts["table_SRAM_used"] == 1
    assert with_sram.counts["arrays_used"] == 0
    far = with_overrides(TSINGHUA, {"system.chips": 3})
    in_dram = area_of(lookup_program([(0, 512, 0, DIM, -5, -1, 0)], target=far), far)
    assert in_dram.counts["chips_used"] == 2  # the one with the streams, and the one with the DRAM


def test_a_place_that_the_target_does_not_have() -> None:
    with pytest.raises(CostError) as caught:
        count_events(
            lookup_program([(0, 512, 0, DIM, -4, -1, 0)]), TSINGHUA, activity([4], [4], {-4: 1}, 4, 1)
        )
    assert caught.value.code == "cost.not-placed"
