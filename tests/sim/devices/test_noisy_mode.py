"""Noisy mode through the executor: whole programs, any split and placement, residence, conditions, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cimc.api import Program as Loaded
from cimc.errors import DeviceError
from cimc.isa.program import ChipSegment, Program
from cimc.sim.devices.model.load_device import load_device
from cimc.sim.devices.noisy_dense import Conditions
from cimc.sim.executor import Simulator
from cimc.sim.kernels import availability
from cimc.transforms.pipeline import Pipeline
from tests.build import dlrm, dlrm_requests
from tests.sim.devices.devices_setup import changed

WAN = {"device": load_device("wan2022"), "age": 86400.0, "seed": 3}


def built(
    pipeline: str = "quantize,shard,choose-adc-steps,place,schedule,lower", target: str = "tsinghua28"
) -> Simulator:
    made, ctx = dlrm(target=target)
    Pipeline.parse(pipeline).run(made, ctx)
    assert ctx.target is not None
    return Simulator(ctx.program, ctx.target)


def run(simulator: Simulator, requests: Any, **conditions: Any) -> Any:
    return simulator.run(requests, "noisy", **conditions)[0]["y0"]


@pytest.mark.parametrize("target", ["tsinghua28", "isaac32", "neurram130", "hermes14"])
def test_ideal_cells_give_the_results_of_adc(target: str) -> None:
    simulator, requests = built(target=target), dlrm_requests(40, 9)
    expected = simulator.run(requests, "adc")[0]["y0"]
    assert run(simulator, requests, device=load_device("ideal")).tobytes() == expected.tobytes()
    assert run(simulator, requests, **WAN).tobytes() != expected.tobytes()


@pytest.mark.parametrize("target", ["tsinghua28", "isaac32"])
def test_blocks_of_requests_change_nothing(target: str) -> None:
    simulator, requests = built(target=target), dlrm_requests(37, 9)
    whole = run(simulator, requests, **WAN)
    one = sum(  # bytes of a request's scratchpads
        size
        for number, segment in enumerate(simulator.program.segments)
        if isinstance(segment, ChipSegment)
        for size in simulator.prepared.streams(number).sizes.values()
    )
    for held in (1, 5, 36):
        assert run(simulator, requests, **WAN, memory=held * one).tobytes() == whole.tobytes()


def test_seed_age_and_device_decide() -> None:
    simulator, requests = built(), dlrm_requests(20, 9)
    base = run(simulator, requests, **WAN)
    for other in ({"seed": 4}, {"age": 1.0}, {"device": load_device("falcone2025")}):
        assert run(simulator, requests, **{**WAN, **other}).tobytes() != base.tobytes()
    assert run(simulator, requests, **WAN).tobytes() == base.tobytes()
    assert run(built(), requests, **WAN).tobytes() == base.tobytes()


@pytest.mark.parametrize("strategy", ["round_robin", "first_fit"])
def test_placement_changes_nothing(strategy: str) -> None:
    requests = dlrm_requests(30, 9)
    base = run(built(), requests, **WAN)
    moved = built(f"quantize,shard,choose-adc-steps,place{{strategy={strategy}}},schedule,lower")
    assert run(moved, requests, **WAN).tobytes() == base.tobytes()


def test_without_numba_the_bits_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for target in ("tsinghua28", "isaac32"):
        simulator, requests = built(target=target), dlrm_requests(20, 9)
        base = run(simulator, requests, **WAN)
        monkeypatch.setenv(availability.VARIABLE, "numpy")
        assert run(built(target=target), requests, **WAN).tobytes() == base.tobytes()
        monkeypatch.delenv(availability.VARIABLE)


def test_other_matrices_do_not_matter() -> None:
    """A table and a layer by themselves, under their names, give what they give inside a program."""
    from cimc.sim.devices.noisy_dense import NoisyDense
    from cimc.sim.devices.noisy_lookups import NoisyTable

    simulator = built()
    conditions, array = Conditions(WAN["device"], 86400.0, 3), simulator.target.array
    noise = simulator.prepared.noise(conditions)
    data = simulator.program.data
    for matrix in simulator.program.matrices:
        if matrix.kind == "table":
            inside = noise.table(matrix)
            alone = NoisyTable(
                matrix.name, inside.table, array, matrix.bits, inside.lsb, inside.group, conditions
            )
            ids = np.arange(matrix.rows)
            assert (alone.rows(ids, ids, ids) == inside.rows(ids, ids, ids)).all()
            continue
        blocks, ranges = data[f"{matrix.name}.blocks"], data[f"{matrix.name}.ranges"]
        layer = NoisyDense(
            matrix.name, data[f"{matrix.name}.data"], blocks, ranges, array, matrix.bits, matrix.input_bits,
            matrix.input_signed, conditions,
        )  # fmt: skip
        x = np.random.default_rng(0).integers(0, 64, (4, matrix.rows))
        x = x.astype(np.int8 if matrix.input_signed else np.uint8)
        within = noise.dense(matrix).noisy(x, 0, len(blocks), 11)
        assert (layer.noisy(x, 0, len(blocks), 11) == within).all()
        assert (layer.noisy(x, 0, len(blocks), 12) != within).any()


def _with(simulator: Simulator, change: Any) -> Simulator:
    """The program with the arrays of its tables changed by ``change(name, arrays, blocks)``."""
    program = simulator.program
    arrays = dict(program.data)
    for matrix in program.matrices:
        if matrix.kind == "table":
            change(matrix, arrays, arrays[f"{matrix.name}.blocks"].copy())
    return Simulator(
        Program(
            program.header, program.segments, program.matrices, program.constants, arrays, program.remarks
        ),
        simulator.target,
    )


def test_rows_in_dram_are_read_without_noise() -> None:
    def to_dram(matrix: Any, arrays: Any, blocks: Any) -> None:
        blocks[:, 4:] = (-3, -1, 0)
        arrays[f"{matrix.name}.blocks"] = blocks

    simulator = _with(built(), to_dram)
    exact = _with(built(), to_dram)
    device = changed(load_device("wan2022"), read__of_high=0.0)
    noise = simulator.prepared.noise(Conditions(device))
    for matrix in simulator.program.matrices:
        if matrix.kind == "table":
            from cimc.interpreter.bags import Bags

            ids = np.arange(matrix.rows)
            bags = Bags(ids, np.arange(matrix.rows + 1), None, (matrix.rows,))
            table = exact.program.data[f"{matrix.name}.data"]
            assert (noise.rows(matrix, bags, None, 0, 0)[0] == table).all()
            assert (noise.pooled(matrix, bags, 0, 0) == table).all()


def test_copies_are_other_cells_and_requests_take_turns() -> None:
    def with_a_copy(matrix: Any, arrays: Any, blocks: Any) -> None:
        high = simulator.target.n_tiles - 1
        copies = [(b, high - b, 0, 0) for b in range(len(blocks))]
        arrays[f"{matrix.name}.replicas"] = np.array(copies, np.int32)

    simulator = built()
    matrix = next(m for m in simulator.program.matrices if m.kind == "table")
    quiet = Conditions(changed(load_device("wan2022"), read__of_high=0.0), 86400.0)

    def only_first(each: Any, arrays: Any, blocks: Any) -> None:
        if each.name == matrix.name:
            with_a_copy(each, arrays, blocks)

    copied = _with(simulator, only_first)
    noise = copied.prepared.noise(quiet)
    from cimc.interpreter.bags import Bags

    same = Bags(np.zeros(6, np.int64), np.arange(7), None, (6,))
    for rows in (
        noise.rows(matrix, same, None, 0, 0)[0],
        noise.pooled(matrix, same, 0, 0),
    ):
        assert (rows[0] == rows[2]).all()
        assert (rows[1] == rows[3]).all()
        assert (rows[0] != rows[1]).any()
    # request 1 of the run begins with the copy, whatever block it is in
    later = noise.rows(matrix, same, None, 1, 0)[0]
    assert (later[0] == rows[1]).all()


@pytest.mark.parametrize(
    ("mode", "conditions", "code"),
    [
        ("noisy", {}, "device.missing"),
        ("noisy", {**WAN, "age": -1.0}, "device.age"),
        ("noisy", {**WAN, "seed": -1}, "device.seed"),
        ("noisy", {**WAN, "seed": 1 << 64}, "device.seed"),
        ("adc", {"seed": 0}, "device.needs-noisy"),
        ("exact", {"age": 1.0}, "device.needs-noisy"),
        ("adc", {"device": load_device("ideal")}, "device.needs-noisy"),
    ],
)
def test_conditions_that_do_not_fit(mode: Any, conditions: Any, code: str) -> None:
    with pytest.raises(DeviceError) as error:
        built().run(dlrm_requests(2, 1), mode, **conditions)
    assert error.value.code == code


def test_the_interface_says_what_it_assumes() -> None:
    simulator = built()
    program = Loaded(simulator.program, simulator.target)
    requests = dlrm_requests(5, 1)
    found = program.run(requests, "noisy", device="wan2022", age=3600, seed=2)
    assert any("was not measured on tsinghua28" in note for note in found.notes)
    assert program.run(requests, "adc").notes == ()
    assert run(simulator, requests, **{**WAN, "age": 3600, "seed": 2}).tobytes() == (
        found.outputs["y0"].tobytes()
    )
