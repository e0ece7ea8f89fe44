"""Grouping, residence, copies and reduction tiles: decisions that move rows and never change a result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cimc.cost import estimate
from cimc.errors import InfeasibleError, PassError
from cimc.interpreter.bags import Bags
from cimc.ir import cim
from cimc.ir.context import Access, CompilerContext
from cimc.ir.residence import Residence, dram_chip, residence_of
from cimc.ir.text import parse_ir, print_ir
from cimc.isa.artifact import to_bytes
from cimc.isa.directory import RowDirectory, places_of
from cimc.isa.program import Matrix, Program
from cimc.isa.verify import verify_program
from cimc.remarks import CountsByMemory, ReadsByMemory
from cimc.sim.executor import Simulator
from cimc.target.overrides import with_overrides
from cimc.transforms.partition.assign_memory import ENDURANCE_WRITES, SECONDS_PER_YEAR
from cimc.transforms.passes import FRONTEND
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.place.shard_list import expected_touched, expected_uses
from cimc.transforms.presets.bundles import pipeline_for, pipeline_of_bundle
from cimc.transforms.presets.policies import bundle, bundles
from tests.build import dlrm, dlrm_requests

END = "place,schedule,lower"


def compiled(
    pipeline: str, overrides: dict[str, Any] | None = None, target: str = "tsinghua28"
) -> tuple[Simulator, CompilerContext]:
    made, ctx = dlrm(target=target)
    if overrides:
        assert ctx.target is not None
        ctx.target = with_overrides(ctx.target, overrides)
    Pipeline.parse(f"quantize,{pipeline}").run(made, ctx)
    assert ctx.target is not None
    return Simulator(ctx.program, ctx.target), ctx


def places(program: Program, name: str) -> np.ndarray:
    return places_of(program, next(m for m in program.matrices if m.name == name))


SMALL: dict[str, Any] = {
    "chip.mesh": (2, 2),
    "tile.arrays": 2,
    "array.rows": 64,
    "array.physical_rows": 64,
    "array.cols": 64,
}
"""Eight arrays: room for the layers and for some of the tables."""

PIPELINES = (
    f"group,shard,choose-adc-steps,{END}",
    f"group{{policy=co_occurrence}},shard,choose-adc-steps,assign-memory,replicate,{END}",
    f"shard,choose-adc-steps,assign-memory{{policy=dram}},{END}",
    f"group,shard,choose-adc-steps,assign-memory{{policy=hot_sram sram=600}},replicate{{budget=1.0}},{END}",
    f"shard,choose-adc-steps,replicate{{budget=0.5 policy=log_frequency}},{END}",
    "shard,choose-adc-steps,"
    "replicate{budget=0.5 policy=proportional},place{strategy=round_robin},schedule,lower",
    "group,shard,choose-adc-steps,"
    "assign-memory{sram=0.001},place{array_slack=8},schedule{reduction_tiles=spread},lower",
)


@pytest.mark.parametrize("target", ["tsinghua28", "isaac32"])
@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("mode", ["exact", "adc"])
def test_decisions_change_no_result(pipeline: str, target: str, mode: Any) -> None:
    requests = dlrm_requests(40, 9)
    expected, _ = compiled(f"shard,choose-adc-steps,{END}", target=target)[0].run(requests, mode)
    simulator, ctx = compiled(pipeline, target=target)
    found, activity = simulator.run(requests, mode)
    assert expected["y0"].tobytes() == found["y0"].tobytes()
    estimate(ctx.program, simulator.target, activity)


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_slots_copies_and_residences_give_the_same_results(data: st.DataObject) -> None:
    """Whatever a strategy may choose: rows anywhere, copies anywhere, results identical to the bit."""
    requests = dlrm_requests(17, 3)
    simulator, _ = _BASE
    program, target = simulator.program, simulator.target
    expected = {m: simulator.run(requests, m)[0]["y0"].tobytes() for m in ("exact", "adc")}
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    arrays = dict(program.data)
    array = 0
    for matrix in program.matrices:
        if matrix.kind != "table":
            continue
        blocks = arrays[f"{matrix.name}.blocks"].copy()
        if rng.random() < 0.7:
            arrays[f"{matrix.name}.slots"] = rng.permutation(matrix.rows).astype(np.int32)
        copies = []
        for b in range(len(blocks)):
            kind = rng.integers(0, 3)
            count = 1 + int(rng.integers(0, 4))
            spots = []
            for _ in range(count):
                if kind == Residence.RRAM:  # arrays from the last tile down, one block each
                    tile, slot = divmod(array, target.tile.arrays)
                    spots.append((target.n_tiles - 1 - tile, slot, 0))
                    array += 1
                elif kind == Residence.SRAM:
                    spots.append((int(rng.integers(0, target.n_tiles)), -2, 0))
                else:
                    spots.append((-3, -1, 0))
            blocks[b, cim.TILE :] = spots[0]
            copies += [(b, *spot) for spot in spots[1:]]
        arrays[f"{matrix.name}.blocks"] = blocks
        if copies:
            arrays[f"{matrix.name}.replicas"] = np.array(copies, np.int32)
    moved = Program(
        program.header, program.segments, program.matrices, program.constants, arrays, program.remarks
    )
    verify_program(moved, target)
    other = Simulator(moved, target)
    for mode in ("exact", "adc"):
        found, activity = other.run(requests, mode)
        assert found["y0"].tobytes() == expected[mode]
    reads = sum(int(seen.block_rows.sum()) for seen in activity.lookups.values())
    plain = simulator.run(requests, "exact")[1]
    assert reads == sum(int(seen.block_rows.sum()) for seen in plain.lookups.values())
    events = estimate(moved, target, activity).events
    kinds = [events[f"lookup.rows.{kind}"] for kind in ("cells", "sram", "dram")]
    assert sum(kinds) * 17 == pytest.approx(reads)


_BASE = compiled(f"shard,choose-adc-steps,{END}")


def test_copies_share_the_requests() -> None:
    """Sixty requests over the copies of a block: every copy is read as often, within one request."""
    simulator, ctx = compiled(f"shard,choose-adc-steps,replicate{{budget=1.0 policy=log_frequency}},{END}")
    copied = [m for m in ctx.program.matrices if f"{m.name}.replicas" in ctx.program.data]
    assert copied
    _, activity = simulator.run(dlrm_requests(60, 5), "exact")
    for matrix in copied:
        directory = RowDirectory(ctx.program, matrix)
        for seen in activity.lookups.values():
            if len(seen.block_rows) != len(directory.entries):
                continue
            for block in np.flatnonzero(directory.copies > 0).tolist():
                reads = seen.block_activations[directory.primary == block]
                if reads.sum() >= 60:  # every request reads it
                    assert reads.min() > 0


def test_copies_lie_on_different_tiles() -> None:
    for strategy in ("round_robin", "first_fit", "greedy", "ortools"):
        simulator, ctx = compiled(
            f"shard,choose-adc-steps,"
            f"replicate{{budget=0.3 policy=log_frequency}},place{{strategy={strategy}}},schedule,lower"
        )
        assert ctx.remarks.placement.copies_sharing_a_tile == 0
        total = 0
        for matrix in ctx.program.matrices:
            directory = RowDirectory(ctx.program, matrix)
            for block in np.flatnonzero(directory.copies > 0).tolist():
                tiles = directory.entries[directory.primary == block, cim.TILE]
                assert len(set(tiles.tolist())) == len(tiles)
                total += len(tiles) - 1
        assert total == ctx.remarks.replication.copies > 0
        assert simulator.target.n_arrays >= ctx.remarks.placement.table_arrays


def test_more_copies_than_tiles_share_some() -> None:
    simulator, ctx = compiled(
        f"shard,choose-adc-steps,replicate{{budget=1.0 policy=log_frequency}},{END}",
        {"chip.mesh": (3, 1), "tile.arrays": 20},
    )
    assert ctx.remarks.replication.copies > 0
    assert simulator.target.n_tiles == 3


def test_hot_rows_go_to_sram() -> None:
    made, ctx = dlrm()
    Pipeline.parse("quantize").run(made, ctx)
    hot = np.array([3, 99, 400, 650, 699])  # of both blocks, until they are grouped
    ctx.access["t1"] = Access(hot, np.full(5, 32), 32)
    Pipeline.parse(f"group,shard,choose-adc-steps,assign-memory{{policy=hot_sram sram=6000}},{END}").run(
        made, ctx
    )
    tables = {t.name: t for t in ctx.remarks.placement.residency}
    assert sum(t.bytes.rram + t.bytes.sram + t.bytes.dram for t in tables.values()) == 7420
    held = sum(t.bytes.sram for t in tables.values())
    assert 0 < held <= 6000
    assert tables["t1"].rows == CountsByMemory(188, 512, 0)
    assert tables["t1"].reads == ReadsByMemory(0, 5, 0)
    assert sorted(ctx.program.data["t1.slots"][hot].tolist()) == [0, 1, 2, 3, 4]


def test_rows_that_were_not_seen_are_read_too() -> None:
    """Good-Turing: of 20 reads 4 met a row that was seen once, so a fifth goes to rows never seen."""
    made, ctx = dlrm()
    Pipeline.parse("quantize,shard").run(made, ctx)
    matrix = next(o for o in made.body.block.ops if isinstance(o, cim.MatrixOp) and o.rows.value.data == 700)
    ctx.access["t1"] = Access(np.array([0, 1, 2, 3, 600]), np.array([1, 1, 1, 1, 16]), 10)
    uses = expected_uses(matrix, ctx)
    assert uses.sum() == pytest.approx(2.0)
    unseen = 0.2 * 2 * np.array([508, 187]) / 695
    np.testing.assert_allclose(uses, 0.8 * np.array([0.4, 1.6]) + unseen)
    # a long trace says what it says
    ctx.access["t1"] = Access(np.array([0, 600]), np.array([100, 300]), 100)
    np.testing.assert_allclose(expected_uses(matrix, ctx), [1.0, 3.0])
    # and of a table of which nothing is known every row counts alike
    del ctx.access["t1"]
    np.testing.assert_allclose(expected_uses(matrix, ctx), [0.5, 0.5])


def test_what_the_arrays_cannot_hold_goes_to_dram() -> None:
    with pytest.raises(InfeasibleError, match="arrays") as caught:
        compiled(f"shard,choose-adc-steps,{END}", SMALL)
    assert "assign-memory{policy=auto}" in str(caught.value.hint)
    simulator, ctx = compiled(f"shard,choose-adc-steps,assign-memory{{sram=0.0}},{END}", SMALL)
    where = {t.name: t.rows for t in ctx.remarks.placement.residency}
    assert sum(rows.dram for rows in where.values()) > 0
    assert ctx.remarks.residence.reads_per_request.dram >= 0
    requests = dlrm_requests(20, 1)
    _, activity = simulator.run(requests, "exact")
    cost = estimate(ctx.program, simulator.target, activity)
    assert cost.events["dram.read_bits"] > 0
    assert next(i for i in cost.energy.items if i.name == "DRAM").pj > 0


def test_nothing_is_in_dram_unless_a_policy_says_so() -> None:
    with pytest.raises(InfeasibleError):
        compiled(f"shard,choose-adc-steps,assign-memory{{policy=rram}},{END}", SMALL)
    with pytest.raises(InfeasibleError, match="bytes of DRAM") as caught:
        compiled(f"shard,choose-adc-steps,assign-memory{{policy=dram}},{END}", {"chip.dram_bytes": 1000})
    assert caught.value.shortage.bound == 1000


def test_rows_rewritten_too_often_stay_out_of_cells() -> None:
    """Ten minutes over five years are 262,980 writes; 1e4 are endured."""
    writes = 5 * SECONDS_PER_YEAR / 600
    assert writes > ENDURANCE_WRITES
    for policy in ("rram", "hot_sram"):
        with pytest.raises(PassError) as caught:
            compiled(
                f"shard,choose-adc-steps,assign-memory{{policy={policy} update_seconds=600 sram=0.0}},{END}"
            )
        assert caught.value.code == "assign-memory.endurance"
    _, ctx = compiled(
        f'shard,choose-adc-steps,assign-memory{{update_seconds=600 sram=0.0 updated="t1"}},{END}'
    )
    where = {t.name: t.rows for t in ctx.remarks.placement.residency}
    assert where["t1"] == CountsByMemory(0, 0, 700)
    assert where["t0"].rram == 37
    assert ctx.remarks.residence.rewritten_too_often == ("t1",)
    assert ctx.remarks.residence.writes == pytest.approx(writes)
    # once a week is 261 writes
    _, ctx = compiled(f"shard,choose-adc-steps,assign-memory{{update_seconds=604800 sram=0.0}},{END}")
    assert sum(t.rows.dram for t in ctx.remarks.placement.residency) == 0
    # a device that lasts longer may hold them
    _, ctx = compiled(
        f"shard,choose-adc-steps,assign-memory{{update_seconds=600 sram=0.0 endurance=1000000}},{END}"
    )
    assert sum(t.rows.dram for t in ctx.remarks.placement.residency) == 0


def test_dram_of_several_chips_shares_the_load() -> None:
    _, ctx = compiled(
        f"shard,choose-adc-steps,assign-memory{{policy=dram}},{END}",
        {"system.chips": 2, "chip.dram_bytes": 7000},
    )
    chips = np.concatenate([dram_chip(places(ctx.program, f"t{n}")[:, cim.TILE]) for n in range(3)])
    assert set(chips.tolist()) == {0, 1}


def test_a_table_without_accesses_keeps_its_order() -> None:
    made, ctx = dlrm()
    Pipeline.parse("quantize").run(made, ctx)
    del ctx.access["t1"]
    Pipeline.parse(f"group,shard,choose-adc-steps,{END}").run(made, ctx)
    assert "t1.slots" not in ctx.program.data
    assert any("no accesses are known of t1" in note for note in ctx.notes)
    entry = next(t for t in ctx.remarks.placement.residency if t.name == "t1")
    assert (entry.known, entry.grouping) == (False, "in_order")


def test_grouping_by_frequency_touches_fewer_arrays() -> None:
    made, ctx = dlrm()
    Pipeline.parse("quantize").run(made, ctx)
    # rows 0, 512 and 600 are read by every request
    ids = np.array([0, 512, 600])
    ctx.access["t1"] = Access(ids, np.array([32, 32, 32]), 32)
    before, after = made.clone(), made
    Pipeline.parse(f"shard,choose-adc-steps,{END}").run(before, ctx)
    touched = next(t for t in ctx.remarks.placement.residency if t.name == "t1").blocks_touched
    assert touched > 1.5
    Pipeline.parse(f"group,shard,choose-adc-steps,{END}").run(after, ctx)
    found = next(t for t in ctx.remarks.placement.residency if t.name == "t1")
    assert found.blocks_touched == 1.0
    assert sorted(ctx.program.data["t1.slots"][ids].tolist()) == [0, 1, 2]


def test_decisions_survive_the_text_form() -> None:
    made, ctx = dlrm()
    Pipeline.parse(
        "quantize,group,shard,choose-adc-steps,assign-memory{sram=0.001},"
        "replicate{budget=0.5 policy=log_frequency}"
    ).run(made, ctx)
    again = parse_ir(print_ir(made), ctx)
    assert print_ir(again) == print_ir(made)
    programs = []
    for each in (made, again):
        Pipeline.parse(END).run(each, ctx := ctx.clone())
        programs.append(to_bytes(ctx.program))
    assert programs[0] == programs[1]


def test_decisions_are_deterministic() -> None:
    first, second = (to_bytes(compiled(PIPELINES[3])[1].program) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("pipeline", "code"),
    [
        ("shard,assign-memory{policy=flash}", "assign-memory.option"),
        ("shard,assign-memory{sram=-1}", "assign-memory.option"),
        ('shard,assign-memory{updated="t9"}', "assign-memory.option"),
        ("shard,replicate{budget=2.0}", "replicate.option"),
        ("shard,replicate{policy=often}", "mapping.unknown-strategy"),
        ("group{policy=colour}", "mapping.unknown-strategy"),
        ("assign-memory", "pass.needs-shard"),
        ("replicate", "pass.needs-shard"),
        ("shard,place,assign-memory", "pass.decided-already"),
        ("shard,place,replicate", "pass.decided-already"),
        ("shard,replicate{budget=0.5 policy=log_frequency},assign-memory", "pass.decided-already"),
        ("shard,place,group", "pass.decided-already"),
        ("shard,place,schedule{reduction_tiles=away}", "schedule.option"),
    ],
)
def test_misuse_is_refused(pipeline: str, code: str) -> None:
    with pytest.raises(PassError) as caught:
        compiled(pipeline)
    assert caught.value.code == code


def test_a_target_without_the_memories_says_so() -> None:
    without = {"tile.table_sram_bytes": 0, "tile.table_sram_ns": None, "tile.table_sram_mm2": None}
    made, ctx = dlrm()
    assert ctx.target is not None
    ctx.target = ctx.target.model_copy(
        update={
            "tile": ctx.target.tile.model_copy(
                update={name.split(".")[1]: value for name, value in without.items()}
            )
        }
    )
    with pytest.raises(PassError, match="no table SRAM"):
        Pipeline.parse("quantize,shard,assign-memory{policy=hot_sram}").run(made, ctx)
    made, ctx2 = dlrm()
    ctx2.target = ctx.target
    Pipeline.parse(f"quantize,shard,choose-adc-steps,assign-memory,{END}").run(made, ctx2)
    assert all(t.rows.sram == 0 for t in ctx2.remarks.placement.residency)


def test_reduction_tiles_spread_where_a_router_is_the_bottleneck() -> None:
    """Slow links make the port of the tile that takes all bags the busiest unit by far."""
    requests = dlrm_requests(40, 9)
    slow = {"tile.link_gbps": 1.0}
    costs = []
    for reduction_tiles in ("consumer", "spread"):
        simulator, ctx = compiled(
            f"shard,choose-adc-steps,"
            f"place{{array_slack=8}},schedule{{reduction_tiles={reduction_tiles}}},lower",
            slow,
        )
        out, activity = simulator.run(requests, "exact")
        costs.append((estimate(ctx.program, simulator.target, activity), out["y0"].tobytes()))
    assert ctx.remarks.schedule.reduction_tiles.moved > 0
    assert ctx.remarks.schedule.reduction_tiles.ns_after < ctx.remarks.schedule.reduction_tiles.ns_before
    (before, result), (after, same) = costs
    assert result == same
    assert after.throughput_rps > before.throughput_rps


def test_reduction_tiles_stay_where_arrays_are_the_bottleneck() -> None:
    _, ctx = compiled(
        "shard,choose-adc-steps,place,schedule{reduction_tiles=spread},lower", {"array.step_ns": 1e6}
    )
    assert ctx.remarks.schedule.reduction_tiles.moved == 0


def test_expected_blocks_touched() -> None:
    assert expected_touched(np.array([1.0, 0.0])) == 1.0
    assert expected_touched(np.array([0.25, 0.75])) == pytest.approx(1.0)  # one read
    assert expected_touched(np.array([1.0, 1.0])) == pytest.approx(1.5)  # two reads of two blocks
    assert expected_touched(np.zeros(3)) == 0.0
    assert expected_touched(np.array([0.1, 0.1])) == pytest.approx(0.2)  # a rare bag


def test_residence_in_the_program_is_what_was_asked_for() -> None:
    _, ctx = compiled(f"shard,choose-adc-steps,assign-memory{{policy=dram}},{END}")
    for name in ("t0", "t1", "t2"):
        assert (residence_of(places(ctx.program, name)) == Residence.DRAM).all()


def as_read(simulator: Simulator, matrix: Matrix) -> NDArray[Any]:
    """All rows of a table as mode ``adc`` reads them."""
    ids = np.arange(matrix.rows)
    bags = Bags(ids, np.arange(matrix.rows + 1), None, (matrix.rows,))
    table, read, _ = simulator.prepared.reader(matrix).read(bags, converted=True)
    return table[read.ids]


def test_only_rows_in_cells_pass_a_converter() -> None:
    """A converter whose finest step is 2 alters digits; rows in SRAM and DRAM read as written."""
    coarse = {"array.adc_min_lsb": 2}
    requests = dlrm_requests(20, 2)
    in_cells, _ = compiled(f"shard,choose-adc-steps,{END}", coarse)
    in_dram, _ = compiled(f"shard,choose-adc-steps,assign-memory{{policy=dram}},{END}", coarse)
    for matrix in in_cells.program.matrices:
        if matrix.kind == "table":
            written = in_cells.program.data[f"{matrix.name}.data"]
            assert (as_read(in_cells, matrix) != written).any()
            assert (as_read(in_dram, matrix) == written).all()
    results = [s.run(requests, m)[0]["y0"] for s in (in_cells, in_dram) for m in ("exact", "adc")]
    assert (results[0] == results[2]).all()
    assert (results[1] != results[3]).any()
    # block by block, through slots
    made, ctx = dlrm()
    assert ctx.target is not None
    ctx.target = with_overrides(ctx.target, coarse)
    Pipeline.parse("quantize").run(made, ctx)
    ctx.access["t1"] = Access(np.arange(600, 700), np.full(100, 9), 32)
    Pipeline.parse(f"group,shard,choose-adc-steps,assign-memory{{policy=hot_sram sram=6000}},{END}").run(
        made, ctx
    )
    mixed = Simulator(ctx.program, ctx.target)
    matrix = next(m for m in ctx.program.matrices if m.name == "t1")
    found, written = as_read(mixed, matrix), ctx.program.data["t1.data"]
    sram = RowDirectory(ctx.program, matrix).block(np.arange(700)) == 0
    assert sram[600:].all()
    assert (found[sram] == written[sram]).all()
    assert (found[~sram] == as_read(in_cells, matrix)[~sram]).all()
    assert (found[~sram] != written[~sram]).any()


def test_pipelines_of_decisions() -> None:
    text = pipeline_for(
        group={"policy": "co_occurrence"},
        assign_memory={"policy": "hot_sram", "sram": 65536},
        replicate={},
        place={"strategy": "ortools", "chips": "near", "array_slack": 2.5},
        schedule={"reduction_tiles": "spread"},
    )
    names = [p.name for p in Pipeline.parse(text).passes]
    assert names == [
        *FRONTEND.split(","), "quantize", "group", "shard", "choose-adc-steps", "assign-memory", "replicate",
        "place",
        "schedule", "lower",
    ]  # fmt: skip
    for part in (
        'policy="co_occurrence"',
        "sram=65536",
        'chips="near"',
        "array_slack=2.5",
        'reduction_tiles="spread"',
    ):
        assert part in text
    assert "assign-memory" not in pipeline_for()
    with pytest.raises(PassError) as caught:
        pipeline_for(place={"colour": "red"})
    assert caught.value.code == "mapping.unknown-option"  # those of the strategy are options of the pass


@pytest.mark.parametrize("name", bundles())
def test_bundles_compile_and_change_no_result(name: str) -> None:
    line = pipeline_of_bundle(name, chips="near", reduction_tiles="spread")
    chosen = bundle(name)
    assert ("group{" in line) == (chosen.grouping != "in_order")
    assert ("replicate{" in line) == (chosen.replication != "none")
    assert ("assign-memory{" in line) == (chosen.residency != "rram")
    requests = dlrm_requests(20, 6)
    expected, _ = compiled(f"shard,choose-adc-steps,{END}")[0].run(requests, "exact")
    made, ctx = dlrm()
    Pipeline(Pipeline.parse(line).passes[2:]).run(made, ctx)
    assert ctx.target is not None
    found, _ = Simulator(ctx.program, ctx.target).run(requests, "exact")
    assert found["y0"].tobytes() == expected["y0"].tobytes()


def test_a_placement_strategy_is_a_bundle_without_extras() -> None:
    names = [p.name for p in Pipeline.parse(pipeline_of_bundle("greedy")).passes]
    assert not {"group", "assign-memory", "replicate"} & set(names)
    with pytest.raises(PassError) as caught:
        pipeline_of_bundle("nobody")
    assert caught.value.code == "mapping.unknown-strategy"
