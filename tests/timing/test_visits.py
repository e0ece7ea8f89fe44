"""Simulated lookups are those that :mod:`cimc.cost` counts: owners, times and bits, request by request."""

from __future__ import annotations

from collections import Counter
from functools import partialmethod

import numpy as np
import pytest

from cimc.api import Program as Compiled
from cimc.api import compile
from cimc.cost import estimate, time_program
from cimc.cost.lookup_work import lookup_work
from cimc.cost.machine_units import Unit
from cimc.interpreter.bags import Bags
from cimc.ir.residence import SRAM_ARRAY, Residence, dram_tile
from cimc.isa.directory import RowDirectory
from cimc.isa.instructions import Instr, Ref, instr
from cimc.isa.link_widths import Headers, host_headers
from cimc.isa.program import Port, Program
from cimc.sim.activity import Activity, LookupActivity
from cimc.target.overrides import with_overrides
from cimc.target.spec import Target
from cimc.timing import Arrivals, simulate
from cimc.timing import simulation as running
from cimc.timing.simulation import simulate_visits
from cimc.timing.visits import Recorder
from cimc.transforms.passes import FRONTEND
from models.tiny import requests_for, tiny_dlrm
from tests.cost.cost_programs import TSINGHUA, program, table

TWO = with_overrides(TSINGHUA, {"system.chips": 2})
ROWS = 64

CELLS = [(64 * b, ROWS, 32 * c, 32, (3, 9, 0)[b], c, 64 * b) for b in range(3) for c in range(2)]
SRAM = [(64 * b, ROWS, 32 * c, 32, (3, 9, 0)[b], SRAM_ARRAY, 0) for b in range(3) for c in range(2)]
DRAM = [(64 * b, ROWS, 32 * c, 32, dram_tile(0), -1, 0) for b in range(3) for c in range(2)]
FAR = [(64 * b, ROWS, 32 * c, 32, (3, 70, 127)[b], c, 0) for b in range(3) for c in range(2)]
PLACES = {
    "cells": CELLS,
    "sram": SRAM,
    "dram": DRAM,
    "mixed": [*CELLS[:2], *SRAM[2:4], *DRAM[4:]],
    "two chips": FAR,
}


def made(places: str, kind: str, mode: str, extras: frozenset[str]) -> tuple[Program, Target, Instr]:
    """A program of one lookup of up to six ids on tile 0, in a table of 192 rows and 64 columns."""
    target = TWO if places == "two chips" else TSINGHUA
    ports = []
    if kind == "bag":
        weights = "w" if mode == "weighted" else ""
        ports = [Port("ids", "bag", "i32", "int64", (), "offsets", "offsets", weights)]
        item = instr(
            "bag", dst=Ref(0), port=0, matrix=0, mode="sum" if weights else mode, scale=1.0, idbits=8
        )
    elif mode == "weighted":
        item = instr(
            "lookupw", dst=Ref(0), ids=Ref(4096), weights=Ref(8192), matrix=0, scale=1.0, n=6,
            drop="none", pad=0, idbits=8,
        )  # fmt: skip
    else:
        item = instr(
            "lookup",
            dst=Ref(0),
            ids=Ref(4096),
            matrix=0,
            mode=mode,
            scale=1.0,
            n=6,
            drop="none",
            pad=0,
            idbits=8,
        )
    whole = program(
        {0: [item]}, [(table("t", 192, 64, block_rows=ROWS, pool_rows=4), PLACES[places])],
        inputs=ports, target=target,
    )  # fmt: skip
    if "slots" in extras:
        whole.data["t.slots"] = np.random.default_rng(3).permutation(192).astype(np.int32)
    if "copies" in extras:
        where = [(0, 12, 3, 0), (0, 13, 4, 0), (3, 14, 5, 0)]
        whole.data["t.replicas"] = np.array(where, np.int32)
    if "scales" in extras:
        whole.data["t.row_scales"] = np.ones(192, np.float32)
    return whole, target, item


def counted(whole: Program, ids: list[int], request: int, pool_rows: int) -> Activity:
    """What one request does, counted the plain way."""
    directory = RowDirectory(whole, whole.matrices[0])
    places = len(directory.entries)
    rows, activations = np.zeros(places, np.int64), np.zeros(places, np.int64)
    blocks = directory.block(np.array(ids, np.int64))
    for block in set(blocks.tolist()):
        inside = Counter(i for i, b in zip(ids, blocks.tolist(), strict=True) if b == block)
        steps = max(-(-inside.total() // pool_rows), *inside.values())
        for entry in directory.entry(np.array([block]), np.array([request]))[0].tolist():
            rows[entry] += inside.total()
            cells = directory.residence[entry] == int(Residence.RRAM)
            activations[entry] += steps if cells else inside.total()
    visited = {int(t): 1 for t in directory.entries[activations > 0, 4]}
    return Activity(1, {(0, 0, 0): LookupActivity(rows, activations, visited, len(ids))})


CASES = [
    *((p, "bag", m, "") for p in PLACES for m in ("sum", "mean", "max", "none", "weighted")),
    *((p, "lookup", m, "") for p in ("cells", "mixed") for m in ("sum", "none", "weighted")),
    *(("cells", "bag", "sum", e) for e in ("slots", "copies", "slots copies")),
    *((p, "bag", m, "scales") for p in ("cells", "mixed", "dram") for m in ("sum", "max", "weighted")),
]


@pytest.mark.parametrize(("places", "kind", "mode", "extras"), CASES)
def test_one_request_costs_what_the_model_says(places: str, kind: str, mode: str, extras: str) -> None:
    whole, target, item = made(places, kind, mode, frozenset(extras.split()))
    weighted = mode == "weighted"
    pooled = mode in ("sum", "mean")
    for request, ids in enumerate(([5, 70, 5, 6, 130, 191], [0, 1, 2, 3, 4, 5], [64, 64, 64, 1, 150, 150])):
        weights = np.ones(6, np.float32) if weighted else None
        bags = Bags(np.array(ids), np.array([0, 6]), weights, (1,))
        recorder = Recorder(whole, target)
        recorder((0, 0, 0), 0, request, whole.matrices[0], bags, "sum" if weighted else mode)
        visits = recorder.of((0, 0, 0, 0))
        visits.request[:] = 0
        found = simulate_visits(whole, target, recorder, 1, Arrivals())
        activity = counted(whole, ids, request, 4 if pooled else 1)
        segment = whole.chip_segments[0]
        headers = host_headers(segment, target).get((0, 0), Headers())
        work = lookup_work(item, (0, 0, 0), 1, segment, headers, whole, target, activity)
        expected = {u: ns for u, ns in [*work.holds.items(), *work.passes.items()] if ns}
        have = {load.unit: load.busy_ns for load in found.loads}
        assert have == pytest.approx(expected)
        # owners that answer early overlap with the ids of others, so it may only be quicker
        assert found.unloaded[0] <= work.ns + 1e-6
        if len({u.place for u in expected if u.kind in ("array", "table sram", "dram")}) == 1:
            assert found.latency[0] == pytest.approx(work.ns)


def test_ids_go_from_the_host_to_owners_on_other_chips_while_the_bag_comes() -> None:
    """Those of a bag; ids that lie in the scratchpad leave it by both chips' links."""
    ids = [64, 65, 130]  # rows on tiles 70 and 127, of the other chip
    took, home_link = {}, {}
    for kind in ("bag", "lookup"):
        whole, target, _ = made("two chips", kind, "sum", frozenset())
        bags = Bags(np.array(ids), np.array([0, 3]), None, (1,))
        recorder = Recorder(whole, target)
        recorder((0, 0, 0), 0, 0, whole.matrices[0], bags, "sum")
        found = simulate_visits(whole, target, recorder, 1, Arrivals())
        took[kind] = float(found.unloaded[0])
        home_link[kind] = next(x.busy_ns for x in found.loads if x.unit == Unit("host link", 0))
    flight, link = float(TWO.chip.host_link_ns), float(TWO.chip.host_link_gbps)
    # from the host to the owner, and to the tile that reduces; from and to that tile
    assert 2 * flight < took["bag"] < 2.5 * flight
    assert 2 * flight < took["lookup"] < 2.5 * flight
    answers = 2 * (64 * 32 + 32)
    bag = 3 * (8 + 1) + 1 + 32
    assert home_link["bag"] == pytest.approx((answers + bag) / link)
    assert home_link["lookup"] == pytest.approx((answers + 3 * 8 + 2 * 32) / link)


def test_copies_share_the_load() -> None:
    whole, target, _ = made("cells", "bag", "sum", frozenset({"copies"}))
    recorder = Recorder(whole, target)
    bags = Bags(np.full(300, 7), np.arange(301), None, (300,))
    recorder((0, 0, 0), 0, 0, whole.matrices[0], bags, "sum")
    found = simulate_visits(whole, target, recorder, 300, Arrivals(in_flight=30))
    uses = {load.unit: load.uses for load in found.loads if load.unit.kind == "array"}
    # the first column block has two copies, the second one none
    assert uses == {
        Unit("array", 3, 0): 100, Unit("array", 12, 3): 100, Unit("array", 13, 4): 100,
        Unit("array", 3, 1): 300,
    }  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Compiled, dict[str, np.ndarray]]:
    import onnx

    model, _ = tiny_dlrm(seed=0, tables=3)
    path = tmp_path_factory.mktemp("simulate") / "tiny.onnx"
    onnx.save(model, path)
    calib = requests_for(model, batch=50, seed=6)
    # one instance, which so few requests fill; tests/e2e/test_copies.py has several
    line = f"{FRONTEND},quantize,group,shard,choose-adc-steps,place,schedule,lower"
    return compile(path, calib=calib, pipeline=line), requests_for(model, batch=300, seed=5)


def test_a_model_keeps_units_as_busy_as_the_model_says(tiny: tuple[Compiled, dict[str, np.ndarray]]) -> None:
    compiled, requests = tiny
    found, activity = simulate(compiled.data, compiled.target, requests, Arrivals(in_flight=4))
    assert found.requests == activity.requests == 300
    assert compiled.simulate(requests, Arrivals(in_flight=4)).to_json() == found.to_json()
    expected = time_program(compiled.data, compiled.target, activity).busy
    assert {load.unit for load in found.loads} == set(expected)
    for load in found.loads:
        # the sum over means of an empty bag is below zero there, and zero here
        assert load.busy_ns / 300 == pytest.approx(expected[load.unit], rel=0.01)
    cost = estimate(compiled.data, compiled.target, activity)
    assert cost.throughput_rps is not None
    assert found.throughput_rps is not None
    assert found.unloaded.max() <= cost.latency_ns * 1.2
    assert found.throughput_rps <= cost.throughput_rps * 1.02
    busy = simulate(compiled.data, compiled.target, requests, Arrivals(in_flight=24))[0]
    assert busy.throughput_rps == pytest.approx(cost.throughput_rps, rel=0.1)
    assert busy.bottleneck == cost.bottleneck


def test_requests_are_simulated_as_a_whole_whatever_the_blocks(
    tiny: tuple[Compiled, dict[str, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cimc.sim.executor import Simulator

    compiled, requests = tiny
    first = simulate(compiled.data, compiled.target, requests, Arrivals(in_flight=4))[0]
    old = Simulator.run
    monkeypatch.setattr(running, "WINDOW", 37)
    monkeypatch.setattr(Simulator, "run", partialmethod(old, memory=1 << 18))
    again = simulate(compiled.data, compiled.target, requests, Arrivals(in_flight=4))[0]
    assert first.to_json() == again.to_json()
