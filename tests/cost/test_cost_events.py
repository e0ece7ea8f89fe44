"""Event counts of single instructions, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.cost import EVENTS, CostError, Events, count_events
from cimc.errors import ProgramError
from cimc.isa.instructions import INSTRUCTIONS, Index, Ref, instr
from cimc.target import load_target
from cimc.target.overrides import with_overrides
from tests.cost.cost_programs import TSINGHUA, dense, layer, load, mvm, program, quant, relu, store


def one_mvm(rows: int, cols: int, slices: int = 1, input_bits: int = 4, target=TSINGHUA, bits: int = 4):
    matrix = layer("w", rows, cols, bits=bits, slices=slices, input_bits=input_bits)
    return program({0: [mvm(0, 1024)]}, [(matrix, [(0, rows, 0, cols, 0, 0, 0)])], target=target)


def test_every_event_is_present_and_no_other():
    events = count_events(program({0: []}), TSINGHUA)
    assert set(events) == set(EVENTS)
    assert not any(events.values())
    with pytest.raises(KeyError, match="no such events"):
        Events({"array.stops": 1})


def test_a_full_mvm():
    events = count_events(one_mvm(512, 512), TSINGHUA)
    assert events["array.steps"] == events["array.steps.mvm"] == 8
    assert events["array.rows_driven"] == 8 * 512
    assert events["adc.conversions"] == events["adc.conversions_used"] == events["shift_add.ops"] == 512
    assert events["bus.in_bits"] == 512 * 4  # at the width of the inputs; a byte each in the scratchpad
    assert events["bus.bits"] == 512 * 4 + 512 * 32
    assert events["scratchpad.read_bits"] == 512 * 8
    assert events["scratchpad.write_bits"] == 512 * 32
    assert events["accumulate.adds"] == 0
    assert events["array.steps.lookup"] == 0


def test_idle_channels_convert_unless_gated():
    """10 columns of 2 slices are 20 cell columns of 64 channels; 8-bit inputs are 2 phases."""
    made = one_mvm(100, 10, slices=2, input_bits=8, bits=8)
    events = count_events(made, with_overrides(TSINGHUA, {"array.gate_unused_adc": False}))
    assert events["array.steps"] == 2
    assert events["adc.conversions"] == 2 * 64
    assert events["adc.conversions_used"] == 2 * 20
    gated = count_events(made, TSINGHUA)
    assert gated["adc.conversions"] == 2 * 20
    assert gated["array.rows_driven"] == events["array.rows_driven"] == 2 * 100


def test_row_blocks_are_added_once():
    matrix = layer("w", 600, 30)
    blocks = [(0, 512, 0, 30, 0, 0, 0), (512, 88, 0, 30, 0, 1, 0)]
    events = count_events(program({0: [mvm(0, 1024, count=2)]}, [(matrix, blocks)]), TSINGHUA)
    assert events["accumulate.adds"] == 30
    assert events["mvm.blocks"] == 2
    assert events["array.rows_driven"] == 600


def test_offset_cells_need_a_correction():
    """isaac32: column sums exceed the truth by an offset times the sum of the inputs."""
    target = load_target("isaac32")
    made = one_mvm(128, 32, slices=4, input_bits=8, target=target, bits=8)
    events = count_events(made, target)
    assert events["accumulate.adds"] == 128 + 32
    assert events["adc.conversions"] == 8 * 128


def test_a_partial_array_group_reads_its_own_rows():
    matrix = layer("w", 1024, 16)
    blocks = [(0, 512, 0, 16, 0, 0, 0), (512, 512, 0, 16, 1, 0, 0)]
    events = count_events(program({0: [mvm(0, 2048)]}, [(matrix, blocks)]), TSINGHUA)
    assert events["scratchpad.read_bits"] == 512 * 8


def test_transfers():
    """Tile 9 of an 8x8 mesh is 2 hops from the port at tile 0; tile 11 is 2 from tile 9."""
    send = instr("send", tile=11, tag=1, src=Ref(0), bytes=16, bits=8)
    recv = instr("recv", tile=9, tag=1, dst=Ref(0), bytes=16, bits=8, sign="unsigned")
    made = program({9: [load(4), send], 11: [recv, store(4)]}, inputs=[dense(4)], outputs=[dense(4)])
    events = count_events(made, TSINGHUA)
    bits = 4 * 32 + 32
    assert events["host_link.bits"] == 2 * bits
    assert events["router.hop_bits"] == bits * (2 + 2 + 4)
    assert events["messages"] == 3
    assert events["scratchpad.write_bits"] == 2 * 128
    assert events["scratchpad.read_bits"] == 2 * 128


def test_traffic_between_chips_crosses_the_host_link():
    target = load_target("neurram130")  # 4x3 tiles a chip
    send = instr("send", tile=13, tag=0, src=Ref(0), bytes=4, bits=8)
    recv = instr("recv", tile=1, tag=0, dst=Ref(0), bytes=4, bits=8, sign="unsigned")
    events = count_events(program({1: [send], 13: [recv]}, target=target), target)
    assert events["host_link.bits"] == 64
    assert events["router.hop_bits"] == 64 * 2


@pytest.mark.parametrize(
    ("item", "operations"),
    [
        (relu(10, 0, 64), 10),
        (instr("dequant", dst=Ref(64), src=Ref(0), factors=Ref(0, 0, True), bias=Ref(0, 0, True), n=5), 15),
        (instr("iadd", dst=Ref(64), a=Ref(0), b=Ref(32), n=7), 7),
        (instr("reduce", dst=Ref(64), src=Ref(0), fn="sum", outer=2, n=5, inner=3), 30),
        (instr("reduce", dst=Ref(64), src=Ref(0), fn="mean", outer=2, n=5, inner=3), 36),
        (instr("reduce", dst=Ref(64), src=Ref(0), fn="l2", outer=1, n=8, inner=1), 17),
        (instr("matmul", dst=Ref(64), a=Ref(0), b=Ref(32), m=2, k=3, n=4), 48),
        (instr("dots", dst=Ref(64), src=Ref(0), pairs=Ref(0, 0, True), n=6, features=4, dim=8), 96),
        (instr("gather", dst=Ref(64), src=Ref(0), index=Ref(0, 0, True), n=3, inner=4), 12),
        (instr("fill", dst=Ref(64), value=0.0, n=9), 9),
        (instr("cast", dst=Ref(64), src=Ref(0), n=9, to="i32"), 9),
        (
            instr(
                "copy", dst=Ref(64), src=Ref(0), n0=2, n1=3, n2=4, d0=12, d1=4, d2=1, s0=1, s1=2, s2=6
            ),
            24,
        ),
        (
            instr(
                "binary", dst=Ref(64), a=Ref(0), b=Ref(32), fn="prelu", type="f32", rows=2, cols=3,
                arow=3, acol=1, brow=0, bcol=1,
            ),
            12,
        ),
    ],
)  # fmt: skip
def test_lane_operations(item, operations):
    events = count_events(program({0: [item]}), TSINGHUA)
    assert events["vector.ops"] == events[f"vector.ops.{item.name}"] == operations


def test_quantisation_is_counted_apart():
    events = count_events(program({0: [quant(10, 0, 64)]}), TSINGHUA)
    assert events["requantise.ops"] == 10
    assert events["vector.ops"] == 0
    assert events["scratchpad.read_bits"] == 320
    assert events["scratchpad.write_bits"] == 80


def test_constant_memory_is_no_scratchpad():
    item = instr("iadd", dst=Ref(64), a=Ref(0), b=Ref(0, 0, True), n=4)
    events = count_events(program({0: [item]}), TSINGHUA)
    assert events["constants.read_bits"] == events["scratchpad.read_bits"] == 128


def test_loops_multiply():
    body = [relu(4, 0, 64), relu(4, 64, 128)]
    made = program({0: [instr("loop", count=5), *body, instr("end"), relu(4, 0, 64)]})
    events = count_events(made, TSINGHUA)
    assert events["vector.ops.unary"] == 5 * 8 + 4
    assert events["instructions"] == 11


def test_a_loop_over_matrices_counts_each():
    matrices = [(layer(f"w{n}", 8, n), [(0, 8, 0, n, 0, 0, 0)]) for n in (3, 5)]
    item = instr("mvm", dst=Ref(64), src=Ref(0), matrix=Index(0, 1), first=0, count=1)
    made = program({0: [instr("loop", count=2), item, instr("end")]}, matrices)
    assert count_events(made, TSINGHUA)["adc.conversions_used"] == 8


def test_two_segments_add_up():
    made = program({0: [relu(4, 0, 64)]})
    made.segments = made.segments * 2
    assert count_events(made, TSINGHUA)["vector.ops"] == 8


def test_constants_may_change_but_the_structure_may_not():
    made = one_mvm(8, 8)
    cheap = with_overrides(TSINGHUA, {"array.row_pj": 1.0})
    assert count_events(made, cheap) == count_events(made, TSINGHUA)
    with pytest.raises(ProgramError, match=r"differs from .* in array\.dac_bits") as caught:
        count_events(made, with_overrides(TSINGHUA, {"array.dac_bits": 2}))
    assert caught.value.code == "program.target"


def test_a_block_must_lie_on_an_array():
    made = one_mvm(8, 8)
    for field, value in ((4, -1), (4, 64), (5, -1), (5, 8)):
        blocks = np.array([[0, 8, 0, 8, 0, 0, 0]], np.int32)
        blocks[0, field] = value
        made.data["w.blocks"] = blocks
        with pytest.raises(CostError) as caught:
            count_events(made, TSINGHUA)
        assert caught.value.code == "cost.not-placed"


def test_every_vector_instruction_has_an_event():
    names = {f"vector.ops.{n}" for n, s in INSTRUCTIONS.items() if s.unit == "vector" and n != "quant"}
    assert names <= set(EVENTS)
