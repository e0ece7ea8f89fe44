"""The program verifier: one broken rule per test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cimc.errors import ProgramError
from cimc.isa.instructions import Instr, Ref, instr
from cimc.isa.program import ChipSegment, Header, Matrix, Port, Program
from cimc.isa.verify import verify_program
from cimc.target.load_target import load_target

TARGET = load_target("tsinghua28")
LIMIT = TARGET.tile.scratchpad_bytes


def program(streams: dict[int, list[Instr]], outputs: int = 0) -> Program:
    """A program with one 6x4 dense matrix on tile 3, one table, two input ports and a constant."""
    inputs = (("x", "float32", (-1, 6)), ("ids", "int64", (-1, 3)))
    header = Header("m", "d", TARGET.name, TARGET.digest, "{}", "", 0, inputs)
    dense = np.array([[0, 6, 0, 4, 3, 0, 0]], np.int32)
    table = np.array([[0, 9, 0, 4, 5, 0, 0]], np.int32)
    data = {
        "w.data": np.ones((6, 4), np.int8),
        "w.blocks": dense,
        "w.ranges": np.ones((1, 2, 2), np.int32),
        "t.data": np.ones((9, 4), np.int8),
        "t.blocks": table,
        "t.ranges": np.ones(1, np.int32),
    }
    ports = (
        Port("x", "dense", "f32", "float32", (6,)),
        Port("ids", "bag", "i32", "int64", (), "fixed"),
    )
    out = tuple(Port(f"y{i}", "dense", "f32", "float32", (4,)) for i in range(outputs))
    segment = ChipSegment(ports, out, {t: tuple(s) for t, s in streams.items()})
    matrices = (
        Matrix("w", "dense", 6, 4, 8, 2, 512, input_bits=8),
        Matrix("t", "table", 9, 4, 8, 2, 512, 18),
    )
    return Program(header, (segment,), matrices, np.zeros(64, np.uint8), data)


LOAD = instr("load", dst=Ref(0), port=0, n=6)
QUANT = instr("quant", dst=Ref(24), src=Ref(0), n=6, scale=1.0, bits=8, sign="unsigned")
MVM = instr("mvm", dst=Ref(32), src=Ref(24), matrix=0, first=0, count=1)
SEND = instr("send", tile=4, tag=1, src=Ref(0), bytes=24, bits=8)


def received(size: int, bits: int) -> Instr:
    return instr("recv", tile=3, tag=1, dst=Ref(0), bytes=size, bits=bits, sign="unsigned")


RECV = received(24, 8)


def bag(idbits: int) -> Instr:
    return instr("bag", dst=Ref(0), port=1, matrix=1, mode="sum", scale=1.0, idbits=idbits)


def elementwise(fn: str, kind: str) -> Instr:
    steps = {"arow": 0, "acol": 1, "brow": 0, "bcol": 1}
    return instr("binary", dst=Ref(24), a=Ref(0), b=Ref(0), fn=fn, type=kind, rows=1, cols=6, **steps)


def over_nothing(fn: str) -> Instr:
    return instr("reduce", dst=Ref(24), src=Ref(0), fn=fn, outer=1, n=0, inner=1)


def test_a_good_program_passes() -> None:
    store = instr("store", port=0, src=Ref(32), n=4)
    verify_program(program({3: [LOAD, QUANT, MVM, store]}, outputs=1), TARGET)
    verify_program(program({3: [LOAD, SEND], 4: [RECV]}), TARGET)
    for width in (4, 32):
        verify_program(program({5: [bag(width)]}), TARGET)
    sums = [elementwise("pow", "f32"), elementwise("add", "i32"), over_nothing("sum")]
    verify_program(program({3: [LOAD, *sums]}), TARGET)


@pytest.mark.parametrize(
    ("streams", "why"),
    [
        ({999: [LOAD]}, "tiles"),
        ({3: [instr("loop", count=2), LOAD]}, "not closed"),
        ({3: [instr("end")]}, "no loop is open"),
        ({3: [instr("loop", count=0), instr("end")]}, "at least once"),
        ({3: [instr("loop", count=2), instr("loop", count=2)]}, "do not nest"),
        ({3: [instr("load", dst=Ref(LIMIT - 4), port=0, n=6)]}, "beyond the scratchpad"),
        ({3: [instr("load", dst=Ref(2), port=0, n=6)]}, "aligned"),
        ({3: [instr("load", dst=Ref(0), port=7, n=6)]}, "no port 7"),
        ({3: [instr("load", dst=Ref(0), port=1, n=6)]}, "no dense port"),
        ({3: [instr("load", dst=Ref(0), port=0, n=5)]}, "6 elements"),
        ({3: [LOAD, QUANT, instr("mvm", dst=Ref(32), src=Ref(24), matrix=5, first=0, count=1)]}, "no matrix"),
        ({3: [LOAD, QUANT, instr("mvm", dst=Ref(32), src=Ref(24), matrix=1, first=0, count=1)]}, "table"),
        ({3: [LOAD, QUANT, instr("mvm", dst=Ref(32), src=Ref(24), matrix=0, first=1, count=1)]}, "1 blocks"),
        ({4: [LOAD, QUANT, MVM]}, "not all of these blocks"),
        ({3: [QUANT]}, "reads address 0 before it is written"),
        ({3: [LOAD, instr("iadd", dst=Ref(0), a=Ref(0), b=Ref(56, 0, True), n=6)]}, "constant memory"),
        ({3: [LOAD, SEND]}, "never received"),
        ({4: [RECV]}, "never comes"),
        ({3: [LOAD, SEND], 4: [received(20, 8)]}, "has 24 bytes"),
        ({3: [LOAD, SEND], 4: [received(24, 4)]}, "8 bits of each"),
        ({3: [LOAD, SEND], 4: [received(24, 9)]}, "1 to 8 bits"),
        ({3: [instr("loadq", dst=Ref(0), port=0, n=6, scale=1.0, bits=0, sign="signed")]}, "1 to 8 bits"),
        (
            {3: [instr("loadq", dst=Ref(0), port=1, n=6, scale=1.0, bits=4, sign="signed")]},
            "1 is no dense port",
        ),
        ({5: [instr("bag", dst=Ref(0), port=0, matrix=1, mode="sum", scale=1.0, idbits=4)]}, "no bag port"),
        ({5: [bag(3)]}, "ids of 9 rows take 4 to 32 bits, not 3"),
        ({5: [bag(33)]}, "not 33"),
        ({3: [LOAD, elementwise("pow", "i32")]}, "powers are of f32"),
        ({3: [LOAD, over_nothing("max")]}, "largest or smallest of nothing"),
        ({3: [LOAD, over_nothing("min")]}, "largest or smallest of nothing"),
    ],
)
def test_broken_programs_are_refused(streams: dict[int, list[Instr]], why: str) -> None:
    with pytest.raises(ProgramError, match=why) as error:
        verify_program(program(streams), TARGET)
    assert error.value.code == "isa.invalid"


@pytest.mark.parametrize(
    "changes", [{"longest": -1}, {"longest": 1 << 31}, {"longest": 3, "layout": "offsets"}]
)
def test_the_length_of_a_bag_is_one_that_it_can_have(changes: dict[str, object]) -> None:
    made = program({3: [LOAD]})
    (segment,) = made.chip_segments
    ports = (segment.inputs[0], replace(segment.inputs[1], longest=3))
    made.segments = (replace(segment, inputs=ports),)
    verify_program(made, TARGET)
    made.segments = (replace(segment, inputs=(ports[0], replace(ports[1], **changes))),)
    with pytest.raises(ProgramError, match="how many ids a bag has"):
        verify_program(made, TARGET)


@pytest.mark.parametrize(
    ("host_ports", "why"),
    [
        ({3: 1}, "tile 3: a chip has no host port 1"),
        ({3: -1}, "no host port -1"),
        ({4: 0}, "a host port of tile 4, which has no stream"),
    ],
)
def test_host_ports_are_those_of_the_target(host_ports: dict[int, int], why: str) -> None:
    made = program({3: [LOAD]})
    (segment,) = made.chip_segments
    made.segments = (replace(segment, host_ports={3: 0}),)
    verify_program(made, TARGET)
    made.segments = (replace(segment, host_ports=host_ports),)
    with pytest.raises(ProgramError, match=why) as error:
        verify_program(made, TARGET)
    assert error.value.code == "isa.invalid"


def test_streams_that_wait_for_each_other() -> None:
    back = instr("send", tile=3, tag=2, src=Ref(0), bytes=24, bits=8)
    get = instr("recv", tile=4, tag=2, dst=Ref(0), bytes=24, bits=8, sign="unsigned")
    with pytest.raises(ProgramError, match="never comes"):
        verify_program(program({3: [get, SEND], 4: [RECV, back]}), TARGET)


def test_loop_strides_are_followed_to_the_end() -> None:
    inside = instr("load", dst=Ref(0, 32), port=0, n=6)
    loop = instr("loop", count=LIMIT // 32)
    verify_program(program({3: [loop, inside, instr("end")]}), TARGET)
    loop = instr("loop", count=LIMIT // 32 + 1)
    with pytest.raises(ProgramError, match="beyond the scratchpad"):
        verify_program(program({3: [loop, inside, instr("end")]}), TARGET)


def test_every_output_is_stored() -> None:
    with pytest.raises(ProgramError, match="output port 0 is never stored"):
        verify_program(program({3: [LOAD]}, outputs=1), TARGET)


def test_other_targets_are_refused() -> None:
    with pytest.raises(ProgramError) as error:
        verify_program(program({3: [LOAD]}), load_target("isaac32"))
    assert error.value.code == "program.target"


@pytest.mark.parametrize(
    ("rows", "step", "good"), [(18, 1, True), (19, 1, False), (2, 2, False), (1, 2, True)]
)
def test_rows_that_are_added_up_must_read_exactly(rows: int, step: int, good: bool) -> None:
    """18 rows of digits up to 7 are 126, the last code 127; the simulator adds integers."""
    found = program({3: [LOAD]})
    dense, table = found.matrices
    found = replace(found, matrices=(dense, replace(table, pool_rows=rows)))
    found.data["t.ranges"] = np.full(1, step, np.int32)
    if good:
        verify_program(found, TARGET)
        return
    with pytest.raises(ProgramError, match=f"matrix t adds up {rows} rows at a time") as error:
        verify_program(found, TARGET)
    assert error.value.code == "isa.invalid"


def test_missing_matrix_data_is_refused() -> None:
    broken = program({3: [LOAD]})
    broken = replace(broken, data={k: v for k, v in broken.data.items() if k != "w.ranges"})
    with pytest.raises(ProgramError, match="has no ranges"):
        verify_program(broken, TARGET)
