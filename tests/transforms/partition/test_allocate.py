"""What is decided for a model as a whole, from expected work alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cimc.api import Program
from cimc.errors import PassError, Shortage
from cimc.ir import cim
from cimc.remarks import AllocationRemarks
from cimc.target.load_target import load_target
from cimc.target.overrides import with_overrides
from cimc.timing import Arrivals
from cimc.transforms.partition.allocate import Allocate, _hottest, _multiples
from cimc.transforms.partition.copies_of_policy import copies_of_policy
from cimc.transforms.partition.request_work import LookupWork, block_reads, power_of, request_work
from cimc.transforms.partition.shard import layers_of
from cimc.transforms.pipeline import Pipeline
from tests.build import dlrm, dlrm_requests

TAIL = "shard,copy,place,schedule,lower"


def run(line: str, **overrides: object) -> tuple[Program, str]:
    module, ctx = dlrm()
    assert ctx.target is not None
    ctx.target = with_overrides(ctx.target, {k.replace("__", "."): v for k, v in overrides.items()})
    fitted = Pipeline.parse(f"quantize,group,{line}").run(module, ctx)
    return Program(ctx.program, ctx.target), str(fitted)


def test_throughput_rises_and_results_stay() -> None:
    plain, _ = run(TAIL)
    made, _ = run(f"allocate,{TAIL}")
    said = made.remarks.allocation
    assert said is not None
    assert said.instances > 4
    assert said.produced_by == "cp-sat"
    assert 0 <= said.gap < 0.01
    requests = dlrm_requests(300, 1)
    one, other = (p.run(requests, "adc").outputs for p in (plain, made))
    assert all(value.tobytes() == other[name].tobytes() for name, value in one.items())
    rates = [p.simulate(requests, Arrivals(in_flight=64)).throughput_rps or 0.0 for p in (plain, made)]
    assert rates[1] > 3 * rates[0]


def test_over_chips_there_is_one_instance_on_some_or_as_many_on_each() -> None:
    for chips, most, counts in (
        (1, 6, [1, 2, 3, 4, 5, 6]),
        (3, 8, [1, 2, 3, 6]),
        (40, 90, [*range(1, 9), 10, 12, 14, 16, 20, 24, 28, 32, 40, 80]),
        (40, 10, [*range(1, 9), 10]),
    ):
        assert _multiples(with_overrides(load_target("tsinghua28"), {"system.chips": chips}), most) == counts


def test_of_many_blocks_the_few_hottest_may_be_copied_alone() -> None:
    target = load_target("tsinghua28")
    assert _hottest(np.full(100, target.array.cols // 4), 9, target) == [4, 8, 16, 32]
    assert _hottest(np.full(100, target.array.cols // 4), 0, target) == []


def test_more_chips_than_instances_may_have() -> None:
    made, _ = run(f"allocate{{most=4}},{TAIL}", system__chips=6)
    said = made.remarks.allocation
    assert said is not None
    assert said.instances == 4
    tiles = made.data.chip_segments[0].copies[0].instances
    assert sorted({t // made.target.tiles_per_chip for group in tiles for t in group}) == [0, 1, 2, 3]


def test_latency_alone_needs_one_instance() -> None:
    made, _ = run(f"allocate{{objective=latency}},{TAIL}")
    said = made.remarks.allocation
    assert said is not None
    assert said.instances == 1
    assert not any(segment.copies for segment in made.data.chip_segments)


def test_a_full_machine_gets_no_copies() -> None:
    made, fitted = run(f"allocate,{TAIL}", chip__mesh=(1, 1))
    assert made.remarks.allocation is not None
    assert made.remarks.allocation.instances == 1
    assert "copy" in fitted


def test_shard_takes_the_columns_that_were_decided() -> None:
    module, ctx = dlrm()
    Pipeline.parse("quantize,group,allocate{objective=latency},shard").run(module, ctx)
    decided = cim.allocation_of(module)
    assert decided is not None
    for matrix in cim.matrices_of(module):
        if isinstance(matrix, cim.WeightsOp):
            columns = decided.columns_of(matrix.symbol)
            blocks = matrix.block_table(ctx.store)
            assert columns is not None
            assert int(blocks[:, cim.COLS].max()) == min(columns, matrix.cols.value.data)
    assert decided.columns_of("nothing") is None


def decided(options: str) -> tuple[AllocationRemarks, list[str]]:
    module, ctx = dlrm()
    Pipeline.parse(f"quantize,group,allocate{{{options}}}").run(module, ctx)
    found = ctx.remarks.allocation
    assert found is not None
    return found, ctx.notes


def test_objectives_and_loads_decide() -> None:
    many, few = decided("objective=throughput")[0], decided("objective=energy rate=10000")[0]
    # at a low rate copies only leak; where all is used all of the time they are off sooner
    assert few.instances <= 2 < many.instances
    assert few.energy_pj is not None
    for other in ("objective=throughput rate=10000", "objective=latency", "objective=edp rate=10000"):
        assert few.energy_pj <= (decided(other)[0].energy_pj or 0) * 1.0000001 or "rate" not in other
    slow, fast = (decided(f"objective=latency rate={rate}")[0] for rate in (10000, 30000000))
    assert slow.instances <= fast.instances
    assert slow.response_ns is not None
    assert fast.response_ns is not None
    assert slow.response_ns < fast.response_ns
    assert decided("objective=edp")[0].gap >= 0


def test_a_load_that_is_too_much_is_said() -> None:
    assert any("expected to serve" in n for n in decided("objective=latency rate=100000000000")[1])
    assert any("p99 of 0.5 us" in n for n in decided("p99_us=0.5")[1])
    found, notes = decided("objective=energy rate=1000 p99_us=50")
    assert found.instances <= 2
    assert not any("allocate" in n for n in notes)


def test_energy_is_that_of_the_cost_model_more_or_less() -> None:
    made, _ = run(f"allocate{{objective=energy rate=1000000}},{TAIL}")
    said = made.remarks.allocation
    assert said is not None
    assert said.energy_pj is not None
    cost = made.run(dlrm_requests(100, 1), "exact").cost
    share = cost.static.per_request_pj(1e6, used=True)
    assert share is not None
    assert said.energy_pj == pytest.approx(cost.energy_pj + share, rel=0.1)
    module, ctx = dlrm()
    assert ctx.target is not None
    Pipeline.parse("quantize,group").run(module, ctx)
    power = power_of(layers_of(module, ctx.target), request_work(module, ctx, ctx.target), ctx.target)
    assert power.dynamic_pj == pytest.approx(cost.energy_pj, rel=0.25)


@pytest.mark.parametrize(
    "options",
    [
        "objective=speed",
        "load=0",
        "most=-1",
        "widths=thin",
        "tables=few",
        "rate=0",
        "rate=-1",
        "p99_us=0",
        "load=2 rate=5",
        "rate=10000000000000",
    ],
)
def test_bad_options_are_refused(options: str) -> None:
    with pytest.raises(PassError) as caught:
        run(f"allocate{{{options}}},{TAIL}")
    assert caught.value.code == "allocate.option"


@pytest.mark.parametrize("wrong", [{"load": 1.5}, {"load": "3"}, {"rate": "5"}, {"p99_us": [5]}])
def test_what_is_no_number_is_refused(wrong: dict[str, Any]) -> None:
    module, ctx = dlrm()
    line = Pipeline((Allocate(**wrong),))
    with pytest.raises(PassError) as caught:
        line.run(module, ctx)
    assert caught.value.code == "allocate.option"


def test_a_policy_decides_on_the_instances_alone() -> None:
    made = {
        options: run(f"allocate{{{options}}},{TAIL}")[0]
        for options in (
            "policy=pimcomp",
            "policy=pimcomp windows=64 margin=0.0",
            "policy=pimcomp windows=3 replicator=uniform",
            "policy=pimsyn_sa windows=5",
            "policy=pimcomp windows=8 replicator=genetic population=10 seed=2 widths=wide tables=once",
        )
    }
    said = [program.remarks.allocation for program in made.values()]
    counts = [0 if each is None else each.instances for each in said]
    assert counts[0] == 1  # a fully connected layer has one window
    assert counts[1] > 8
    assert (counts[2], counts[3]) == (3, 5)
    assert 1 <= counts[4] <= 8
    assert said[4] is not None
    assert said[4].produced_by.startswith("pimcomp, ")
    requests = dlrm_requests(40, 1)
    plain, _ = run(TAIL)
    one = plain.run(requests, "adc").outputs
    for program in made.values():
        other = program.run(requests, "adc").outputs
        assert all(value.tobytes() == other[name].tobytes() for name, value in one.items())
    assert any("pimcomp copies layers so often" in note for note in made["policy=pimcomp"].notes)


def test_parts_of_the_decision_can_be_taken_away() -> None:
    module, ctx = dlrm()
    assert ctx.target is not None
    Pipeline.parse("quantize,group,allocate{widths=wide tables=once},shard").run(module, ctx)
    decided = cim.allocation_of(module)
    assert decided is not None
    assert decided.places.value.data == 1
    for layer in decided.columns.data:
        bits = next(m for m in cim.matrices_of(module) if m.symbol == layer).bits.value.data
        assert decided.columns_of(layer) == ctx.target.array.cols // ctx.target.slices(bits)


def test_copies_of_a_policy_are_those_of_array_groups() -> None:
    module, ctx = dlrm()
    target = ctx.target
    assert target is not None
    Pipeline.parse("quantize,group").run(module, ctx)
    layers = layers_of(module, target)
    problem = Allocate()._problem(module, ctx, target)
    assert problem is not None
    found = copies_of_policy(layers, problem, target, "pimcomp", 0, windows=4, margin=0.0)
    assert found == dict.fromkeys((layer.name for layer in layers), 4)
    least = replace(problem, arrays=problem.table_arrays)
    assert set(copies_of_policy(layers, least, target, "pimcomp", 0, windows=4).values()) == {1}
    # what has no tile left is no instance
    assert problem.most_instances(10**6) * sum(e.arrays[0] for e in problem.layers) <= target.n_arrays
    assert least.most_instances(5) == 1


def test_it_decides_once_and_before_shard() -> None:
    for line in (f"allocate,allocate,{TAIL}", "shard,allocate,copy,place,schedule,lower"):
        with pytest.raises(PassError) as caught:
            run(line)
        assert caught.value.code == "pass.decided-already"


def test_fewer_are_tried_where_a_memory_is_too_small() -> None:
    some = Shortage("arrays", 2, 1, "arrays")
    fewer = Allocate(most=5).adjusted(some)
    assert fewer == Allocate(most=2)
    assert Allocate(most=64).adjusted(Shortage(cim.INSTANCE_MEMORY, 2, 1, "bytes")) == Allocate(most=1)
    assert Allocate(most=1).adjusted(some) == Allocate(most=0)
    assert Allocate(most=0).adjusted(some) is None


def test_nothing_is_decided_at_last() -> None:
    plain, _ = run(TAIL)
    made, fitted = run(f"allocate{{most=0}},{TAIL}")
    assert "most=0" in fitted
    assert made.remarks.allocation is None
    assert made.data.segments == plain.data.segments


def test_work_of_a_request() -> None:
    module, ctx = dlrm()
    assert ctx.target is not None
    Pipeline.parse("quantize").run(module, ctx)
    work = request_work(module, ctx, ctx.target)
    assert work.vector_ns > 0
    assert work.bits_out == 32
    assert len(work.lookups) == 3
    assert work.answer_bits(1) == 0  # at hand
    assert 0 < work.answer_bits(2) < work.answer_bits(64)
    for table in (m for m in cim.matrices_of(module) if isinstance(m, cim.TableOp)):
        assert len(block_reads(table, ctx, ctx.target)) == -(-table.rows.value.data // 512)


def test_answers_of_a_lookup() -> None:
    pooled, single = LookupWork(4.0, 3.0, False, 100.0), LookupWork(4.0, 3.0, True, 100.0)
    assert single.answer_bits(4) == pytest.approx(0.75 * 4 * 100)
    assert pooled.answer_bits(4) == pytest.approx(0.75 * 4 * (1 - 0.75**3) * 100)


def test_it_says_when_the_arrays_are_too_few_for_any_copy() -> None:
    module, ctx = dlrm()
    assert ctx.target is not None
    ctx.target = with_overrides(ctx.target, {"chip.mesh": (1, 1), "tile.arrays": 1})
    Pipeline.parse("quantize,group,allocate").run(module, ctx)
    assert cim.allocation_of(module) is None
    assert any("nothing is copied" in note for note in ctx.notes)
