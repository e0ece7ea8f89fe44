"""What a run moves and converts: counted by hand for one small model, and as the cost model counts it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.api import compile
from cimc.cost import count_events
from cimc.errors import RequestError
from cimc.isa.instructions import Instr, Ref, instr
from cimc.isa.link_widths import id_bits
from cimc.isa.program import Matrix, Port, Program
from cimc.isa.verify import verify_program
from cimc.sim.activity import Activity
from cimc.sim.executor import Simulator
from cimc.sim.run_state import Requests
from cimc.target import load_target
from cimc.target.spec import Target
from cimc.transforms.passes import DEFAULT_PIPELINE
from models.tiny import requests_for, tiny_dlrm
from tests.copied import copied
from tests.cost.cost_programs import Blocks, program

TARGET = load_target("tsinghua28{chip.ports=4 array.gate_unused_adc=false}")
FIELDS = {
    "host_bits": "host_link.bits",
    "hop_bits": "router.hop_bits",
    "messages": "messages",
    "conversions": "adc.conversions",
    "conversions_used": "adc.conversions_used",
}


def agree(made: Program, target: Target, activity: Activity) -> None:
    """The run moved what the cost model says that its mean request moves."""
    events = count_events(made, target, activity)
    for field, event in FIELDS.items():
        assert getattr(activity.traffic, field) == pytest.approx(events[event] * activity.requests), event


def table_program(
    rows: int,
    blocks: Blocks,
    items: dict[int, list[Instr]],
    inputs: list[Port],
    shapes: object,
    target: Target,
) -> Program:
    """A program with one 8-bit table of four columns, and a host port for each tile."""
    matrix = Matrix("t", "table", rows, 4, 8, 2, target.array.rows, 4)
    made = program(items, [(matrix, blocks)], inputs=inputs, target=target)
    rng = np.random.default_rng(rows)
    made.data["t.data"] = rng.integers(-100, 100, (rows, 4)).astype(np.int8)
    made.data["t.ranges"] = np.ones(1, np.int32)
    (segment,) = made.chip_segments
    ports = {tile: target.nearest_port(tile) for tile in items}
    made.segments = (replace(segment, host_ports=ports),)
    made.header = replace(made.header, inputs=shapes)
    verify_program(made, target)
    return made


def test_every_bit_of_a_small_model() -> None:
    """A table of 600 rows on tiles 5 and 60; bags of 0 to 3 ids on tile 6, three numbers beside them.

    The mesh is 8 x 8 with ports at its corners: tile 6 is one hop from port 1, tile 5 one from tile 6, and
    tile 60 nine (2 to the left, 7 down).
    """
    bag = instr("bag", dst=Ref(16), port=0, matrix=0, mode="sum", scale=1.0, idbits=10)
    load = instr("loadq", dst=Ref(0), port=1, n=3, scale=1.0, bits=5, sign="signed")
    made = table_program(
        600, [(0, 512, 0, 4, 5, 0, 0), (512, 88, 0, 4, 60, 0, 0)], {6: [bag, load]},
        [
            Port("ids", "bag", "i32", "int64", (), "offsets", "starts"),
            Port("x", "dense", "f32", "float32", (3,)),
        ],
        (("ids", "int64", (-1,)), ("starts", "int64", (-1,)), ("x", "float32", (-1, 3))), TARGET,
    )  # fmt: skip
    requests: Requests = {
        "ids": np.array([0, 511, 7, 599]), "starts": np.array([0, 3, 3]),  # bags: 0 511 7; none; 599
        "x": np.ones((3, 3), np.float32),
    }  # fmt: skip
    _, activity = Simulator(made, TARGET).run(requests, "exact")
    found = activity.traffic
    lengths, ids, numbers = (3 + 1) + (0 + 1) + (1 + 1), 4 * 10, 3 * 3 * 5
    into = 3 * 32 + lengths + ids + numbers
    near = (32 + 3 * 10) + (32 + 4 * 32)  # ids to tile 5, one vector back: one request does
    far = (32 + 1 * 10) + (32 + 4 * 32)
    assert found.host_bits == into
    assert found.hop_bits == 1 * into + 1 * near + 9 * far
    assert found.messages == 3 + 2 + 2
    assert found.conversions == 2 * 64  # rows 0, 7 and 511 at once, 599; a step of 64 converters each
    assert found.conversions_used == 2 * 4 * 2
    agree(made, TARGET, activity)


@settings(max_examples=25)
@given(
    rows=st.integers(1, 1100),
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    layout=st.sampled_from(["offsets", "fixed", "padded", "unknown"]),
    mode=st.sampled_from(["sum", "mean", "max"]),
    ports=st.integers(1, 9),
    gated=st.booleans(),
    home=st.integers(0, 63),
    seed=st.integers(0, 9),
)
def test_runs_and_estimates_agree(
    rows: int, lengths: list[int], layout: str, mode: str, ports: int, gated: bool, home: int, seed: int
) -> None:
    gate = "true" if gated else "false"
    target = load_target(f"tsinghua28{{chip.ports={ports} array.gate_unused_adc={gate}}}")
    rng, width = np.random.default_rng(seed), max(lengths)
    blocks = [
        (row0, min(512, rows - row0), col0, 2, int(rng.integers(64)), int(2 * (row0 // 512) + col0 // 2), 0)
        for row0 in range(0, rows, 512)
        for col0 in (0, 2)
    ]
    pad = 0 if layout == "padded" else None
    jagged = layout == "offsets"
    longest = width if layout in ("fixed", "padded") else None
    port = Port(
        "ids", "bag", "i32", "int64", (), "offsets" if jagged else "fixed", "starts" if jagged else "", "",
        pad, longest,
    )  # fmt: skip
    bag = instr("bag", dst=Ref(0), port=0, matrix=0, mode=mode, scale=1.0, idbits=id_bits(rows))
    shapes: list[tuple[str, str, tuple[int, ...]]] = [("ids", "int64", (-1,) if jagged else (-1, -1))]
    shapes += [("starts", "int64", (-1,))] if jagged else []
    made = table_program(rows, blocks, {home: [bag]}, [port], tuple(shapes), target)
    if jagged:
        starts = np.concatenate([[0], np.cumsum(lengths)])
        requests = {"ids": rng.integers(0, rows, starts[-1]), "starts": starts[:-1]}
    else:
        requests = {"ids": rng.integers(0, rows, (len(lengths), width))}
    _, activity = Simulator(made, target).run(requests, "exact")
    assert activity.requests == len(lengths)
    agree(made, target, activity)


def test_ids_that_no_row_has_are_refused_before_they_are_packed() -> None:
    bag = instr("bag", dst=Ref(0), port=0, matrix=0, mode="sum", scale=1.0, idbits=3)
    made = table_program(
        5, [(0, 5, 0, 4, 0, 0, 0)], {0: [bag]}, [Port("ids", "bag", "i32", "int64", (), "fixed", longest=1)],
        (("ids", "int64", (-1,)),), TARGET,
    )  # fmt: skip
    for wrong in (5, 7, 8, -1):  # 5 and 7 fit in three bits, and name no row
        with pytest.raises(RequestError) as caught:
            Simulator(made, TARGET).run({"ids": np.array([wrong])}, "exact")
        assert caught.value.code == "request.id-out-of-range"


@pytest.mark.parametrize("variant", ["", "{chip.ports=4}", "{array.gate_unused_adc=false}"])
def test_a_compiled_model_moves_what_its_estimate_says(variant: str, tmp_path: Path) -> None:
    model, _ = tiny_dlrm(seed=0, tables=3)
    onnx.save(model, tmp_path / "tiny.onnx")
    compiled = compile(
        tmp_path / "tiny.onnx", f"tsinghua28{variant}", calib=requests_for(model, batch=32, seed=6)
    )
    requests = requests_for(model, batch=50, seed=5)
    simulator = Simulator(compiled.data, compiled.target)
    whole = simulator.run(requests, "adc")[1]
    agree(compiled.data, compiled.target, whole)
    assert simulator.run(requests, "exact", memory=1 << 16)[1].traffic == whole.traffic  # in blocks


def test_instances_take_their_own_ways(tmp_path: Path) -> None:
    model, _ = tiny_dlrm(seed=0, tables=3)
    onnx.save(model, tmp_path / "tiny.onnx")
    target = load_target("tsinghua28{chip.ports=4 system.chips=2}")
    calib, once = requests_for(model, batch=32, seed=6), DEFAULT_PIPELINE.replace("allocate,", "")
    compiled = compile(tmp_path / "tiny.onnx", target, calib=calib, pipeline=once)
    made = copied(compiled.data, target, 3)  # instances are on the other chip
    ports = [replace(s, host_ports=s.nearest_ports(target)) for s in made.chip_segments]
    made = replace(made, segments=tuple(ports))
    requests = requests_for(model, batch=50, seed=5)
    outputs, activity = Simulator(made, target).run(requests, "exact")
    agree(made, target, activity)
    first, other = Simulator(compiled.data, target).run(requests, "exact")
    for name, values in first.items():
        np.testing.assert_array_equal(outputs[name], values)
    assert activity.traffic.hop_bits != other.traffic.hop_bits
