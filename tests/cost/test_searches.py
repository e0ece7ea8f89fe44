"""What a search costs: conversions as side by side, comparisons, lists on links, and only the best leave."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cimc.cost.array_work import insertions
from cimc.cost.list_schedule import time_program
from cimc.isa.program import Program
from cimc.sim.executor import Simulator
from cimc.target.spec import Target
from cimc.timing import simulate
from tests.searching import corpus_of, cost_of, searching

QUERIES = np.random.default_rng(2).normal(0, 1, (32, 64)).astype(np.float32)


def made(
    items: int, k: int, *, shard: str = "shard", quantize: str = "quantize{item_scales=false}"
) -> tuple[Program, Target]:
    return searching(corpus_of(items, 64, 1), QUERIES, k, target="tsinghua28", shard=shard, quantize=quantize)


def test_stacking_takes_the_same_conversions_in_an_eighth_of_the_arrays() -> None:
    events = {}
    for stack in (1, 8):
        program, target = made(10_000, 10, shard=f"shard{{stack={stack}}}")
        cost = cost_of(program, target)
        events[stack] = cost.events
        blocks = program.data["items.blocks"]
        assert len(np.unique(blocks[:, 4:6], axis=0)) == -(-40 // stack)
    # two slices of 10,000 items in four phases; rows of 64 in steps of 64 columns
    for found in events.values():
        assert found["adc.conversions_used"] == 10_000 * 2 * 4
        assert (
            found["array.steps.search"] == (39 * 8 + 1) * 4
        )  # 256 items are 512 columns, the last 16 are 32
        assert found["array.rows_driven"] == (39 * 8 + 1) * 4 * 64
        assert found["searches.blocks"] == 40
    assert events[1]["array.steps"] == events[8]["array.steps"]


def test_comparisons_are_one_an_item_and_a_search_for_those_that_enter() -> None:
    program, target = made(2048, 10)  # one tile
    found = cost_of(program, target).events
    entering = 10 * (1 + math.log(2048.5 / 10.5))
    assert found["searches.comparisons"] == pytest.approx(2048 + entering * 4)
    assert found["vector.ops.search"] == pytest.approx(2048 + entering * 6)
    scaled = cost_of(*made(2048, 10, quantize="quantize{item_scales=true}")).events
    assert scaled["vector.ops.search"] == pytest.approx(found["vector.ops.search"] + 2 * 2048)
    more = scaled["scratchpad.read_bits"] - found["scratchpad.read_bits"]
    assert more == 2048 * 32


def test_entering_items_are_those_of_random_orders() -> None:
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(300):
        order, best, entered = rng.permutation(400), [], 0
        for value in order.tolist():
            if len(best) < 7 or value > best[0]:
                entered += 1
                best = sorted([*best, value])[-7:]
        counts.append(entered)
    assert np.mean(counts) == pytest.approx(insertions(400, 7), rel=0.03)
    assert insertions(5, 7) == 5


def test_sixteen_bits_halve_what_crosses_the_bus() -> None:
    wide, narrow = (cost_of(*made(2048, 10, shard=f"shard{{score_bits={n}}}")).events for n in (32, 16))
    assert wide["bus.bits"] - narrow["bus.bits"] == 2048 * 16


def test_only_ids_and_scores_leave() -> None:
    program, target = made(10_000, 10)
    found = cost_of(program, target).events
    query, header = 64 * 8, 32
    assert found["host_link.bits"] == query + header + 2 * 10 * 32 + header


def test_lists_are_merged_pair_by_pair() -> None:
    program, target = made(40_000, 10)  # 157 blocks, 20 arrays, three tiles
    found = cost_of(program, target).events
    assert found["vector.ops.merge"] == 2 * 3 * 10


def test_traffic_and_conversions_are_those_of_the_simulator() -> None:
    program, target = made(40_000, 10)
    _, activity = Simulator(program, target).run({"x": QUERIES}, "exact")
    events, traffic = cost_of(program, target).events, activity.traffic
    n = len(QUERIES)
    assert traffic.conversions == events["adc.conversions"] * n
    assert traffic.host_bits == events["host_link.bits"] * n
    assert traffic.hop_bits == events["router.hop_bits"] * n
    assert traffic.messages == events["messages"] * n


def test_units_are_as_busy_in_simulated_time_as_in_the_analysis() -> None:
    program, target = made(40_000, 10)
    cost = cost_of(program, target)
    played, _ = simulate(program, target, {"x": QUERIES})
    expected = time_program(program, target).busy
    assert {load.unit for load in played.loads} == set(expected)
    for load in played.loads:
        assert load.busy_ns / len(QUERIES) == pytest.approx(expected[load.unit], rel=1e-9)
    assert float(played.latency.mean()) == pytest.approx(cost.latency_ns, rel=0.05)
