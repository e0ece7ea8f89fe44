"""A chip with several host ports: same results, other ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from cimc.api import Program, compile
from cimc.cost.machine_units import Unit
from cimc.isa.artifact import load_program, save_program
from cimc.isa.listing import arrays_of, format_program, parse_program
from cimc.target import load_target
from cimc.timing import Arrivals
from models.tiny import requests_for, tiny_dlrm

PORTS = ("1", "2", "4", "7x7", "3x4+0x0")
VALUES = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Program], VALUES]:
    model, _ = tiny_dlrm(seed=0, tables=3)
    path = tmp_path_factory.mktemp("ports") / "tiny.onnx"
    onnx.save(model, path)
    calib = requests_for(model, batch=32, seed=6)
    found = {ports: compile(path, f"tsinghua28{{chip.ports={ports}}}", calib=calib) for ports in PORTS}
    return found, requests_for(model, batch=64, seed=5)


@pytest.mark.parametrize("mode", ["exact", "adc"])
def test_results_do_not_know_the_ports(compiled: tuple[dict[str, Program], VALUES], mode: str) -> None:
    programs, requests = compiled
    first, *others = (program.run(requests, mode=mode).outputs for program in programs.values())
    for other in others:
        assert other.keys() == first.keys()
        for name, values in first.items():
            np.testing.assert_array_equal(other[name], values)


def test_the_program_says_the_nearest_port(compiled: tuple[dict[str, Program], VALUES]) -> None:
    named = 0
    for ports, program in compiled[0].items():
        target = load_target(f"tsinghua28{{chip.ports={ports}}}")
        for segment in program.data.chip_segments:
            for tile in segment.streams:
                assert segment.host_ports.get(tile, 0) == target.nearest_port(tile)
            named += len(segment.host_ports)
    assert named


def test_files_and_texts_keep_the_ports(compiled: tuple[dict[str, Program], VALUES], tmp_path: Path) -> None:
    for program in compiled[0].values():
        save_program(program.data, tmp_path / "p.cimc")
        (loaded,) = load_program(tmp_path / "p.cimc").chip_segments
        (read,) = parse_program(format_program(program.data), arrays_of(program.data)).chip_segments
        assert loaded.host_ports == read.host_ports == program.data.chip_segments[0].host_ports


def test_time_and_queues_take_the_way_of_the_port(compiled: tuple[dict[str, Program], VALUES]) -> None:
    programs, requests = compiled
    for ports in ("1", "7x7"):
        program = programs[ports]
        gate = program.target.port_tile(0, 0)
        found = program.simulate(requests, Arrivals(in_flight=4))
        expected = program.run(requests, mode="exact").cost.timeline
        ways = {load.unit for load in found.loads if load.unit.kind == "link"}
        assert {u.place for u in ways} | {u.number for u in ways} >= {gate}
        assert {span.unit for span in expected if span.unit.kind == "host link"} == {Unit("host link", 0)}
