"""What Python and notebooks print of the objects that a user gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.isa.program import HostSegment
from cimc.metrics.intervals import Estimate
from cimc.sim.devices.model.load_device import load_device
from cimc.study.accuracy_measures import Point, Study
from cimc.support.shown import Entries
from cimc.workload.traces import TableTrace, Trace

HOSTILE = "<script>alert(1)</script>\n\x1b[31m" + "n" * 400
RNG = np.random.default_rng(0)


class Reader(HTMLParser):
    """Collects tags and text; every tag must be closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        assert {name for name, _ in attrs} <= {"style"}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[cimc.Program, dict[str, np.ndarray]]:
    """A program of a model whose names are hostile, and its requests."""
    graph = onnx.parser.parse_graph(
        "m (int64[B] i, float[B,8] x) => (float[B,4] y, int64[B] z) { e = Gather(t, i) a = Add(e, x) "
        "y = MatMul(a, w) z = ArgMax<axis=1, keepdims=0>(y) }"
    )
    for name, shape in (("t", (30, 8)), ("w", (8, 4))):
        array = RNG.normal(0, 1, shape).astype(np.float32)
        graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    names = {n: f"{n}{HOSTILE}" for n in ("t", "w", "y", "z", "x")}
    for node in graph.node:
        node.name = f"{node.op_type}{HOSTILE}"
        for part in (node.input, node.output):
            part[:] = [names.get(n, n) for n in part]
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = names.get(value.name, value.name)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    path = tmp_path_factory.mktemp("shown") / "<b>m.onnx"
    onnx.save(model, path)
    arrays = {"i": RNG.integers(0, 30, 500), names["x"]: RNG.normal(0, 1, (500, 8)).astype(np.float32)}
    return cimc.compile(path, calib=arrays), arrays


def objects(program: cimc.Program, arrays: dict[str, np.ndarray]) -> Iterator[Any]:
    result, simulation = program.run(arrays), program.simulate(arrays, timeline=3)
    cost = result.cost
    yield from (program, program.data, program.data.header, program.target, program.placement)
    yield from (program.remarks, *program.remarks)
    yield from (result, result.activity, result.events, cost, cost.energy, cost.area, cost.events)
    yield from (simulation, simulation.arrivals, *simulation.templates, simulation.played, simulation.spans)
    yield from (*result.activity.lookups.values(), load_device("wan2022"), cimc.load_target("isaac32"))
    table = TableTrace(HOSTILE, 9, 100, np.arange(9), np.arange(9))
    yield from (table, Trace({f"{HOSTILE}{n}": table for n in range(50)}))
    about = {"model": HOSTILE, "target": "t", "requests": 5, "positives": 2, "queries": 3, "items": 4}
    point = Point({f"key{n}": HOSTILE for n in range(30)}, {f"auc{n}": Estimate(0.5) for n in range(30)})
    yield from (point, Study(about, {}, (point,) * 100, {"key": (HOSTILE,) * 1000}))
    many = {f"{HOSTILE}{n}": np.zeros(1000) for n in range(50)}
    yield from (check_outputs(many, many, Bound()), Entries(many))


def test_objects_print_as_one_line(made: tuple[cimc.Program, dict[str, np.ndarray]]) -> None:
    for each in objects(*made):
        for text in (repr(each), str(each)):
            assert len(text) < 400, type(each)
            assert text.isprintable(), type(each)
            assert " object at 0x" not in text, type(each)


def test_tables_are_well_formed_and_hold_no_markup_of_the_model(
    made: tuple[cimc.Program, dict[str, np.ndarray]],
) -> None:
    for each in objects(*made):
        if not hasattr(type(each), "_repr_html_"):
            continue
        found = read(each._repr_html_())
        assert found.tags <= {"div", "h4", "table", "thead", "tbody", "tr", "th", "td"}
        assert "\x1b" not in found.text
    for each in made[0].run(made[1]), made[0]:
        assert "<script>" in read(each._repr_html_()).text  # as text


def test_tables_are_those_of_the_command_line(made: tuple[cimc.Program, dict[str, np.ndarray]]) -> None:
    program, arrays = made
    result = program.run(arrays)
    assert "Energy by component" in read(result._repr_html_()).text
    assert "Where it lives" in read(program._repr_html_()).text
    assert "Placement: matrices" in read(program.remarks._repr_html_()).text
    assert "Busiest units" in read(program.simulate(arrays)._repr_html_()).text
    assert "Every figure" in read(program.target._repr_html_()).text
    assert "Every figure" in read(load_device("wan2022")._repr_html_()).text


def test_printing_runs_nothing_and_changes_nothing(
    made: tuple[cimc.Program, dict[str, np.ndarray]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program, arrays = made
    program.save(tmp_path / "before.cimc")
    every = list(objects(program, arrays))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("printing an object executes something")

    for place in (
        "cimc.sim.executor.Simulator.run",
        "cimc.host.runtime.HostRunner.run",
        "cimc.api.estimate",
    ):
        monkeypatch.setattr(place, refuse)
    for each in every:
        repr(each)
        getattr(each, "_repr_html_", str)()
    monkeypatch.undo()
    program.save(tmp_path / "after.cimc")
    assert (tmp_path / "before.cimc").read_bytes() == (tmp_path / "after.cimc").read_bytes()


def test_placement_and_events_are_dicts(made: tuple[cimc.Program, dict[str, np.ndarray]]) -> None:
    program, arrays = made
    result = program.run(arrays)
    for found in (program.placement, result.placement, result.events):
        assert isinstance(found, dict)
        assert json.loads(json.dumps(found)) == found
    assert any(isinstance(s, HostSegment) for s in program.data.segments)
