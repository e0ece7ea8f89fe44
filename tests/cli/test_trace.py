"""``cimc trace`` from the command line, and a trace in compilation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cimc.api import Program, compile
from cimc.cli.commands.trace import _few
from cimc.errors import CimcError
from cimc.instrument.dump import load_arrays_into
from cimc.ir.text import new_context
from cimc.support.row_bags import RowBags
from cimc.workload.traces import TableTrace, Trace
from tests.cli.tiny_files import Tiny, call, write_tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return write_tiny(tmp_path_factory.mktemp("traces"))


@pytest.fixture(scope="module")
def program(tiny: Tiny) -> Path:
    path = tiny.folder / "tiny.cimc"
    assert call("compile", tiny.model, "-o", path, "--calib", tiny.calib).code == 0
    return path


def test_model_and_program_give_the_same_trace(tiny: Tiny, program: Path) -> None:
    first, second = tiny.folder / "m.npz", tiny.folder / "p.npz"
    figure = tiny.folder / "t.svg"
    extra = []
    try:
        import matplotlib  # noqa: F401

        extra = ["--plot", figure]
    except ImportError:
        pass
    done = call("trace", tiny.requests, "--model", tiny.model, "-o", first, "--json", *extra)
    assert done.code == 0, done.err
    assert call("trace", tiny.requests, "--model", program, "-o", second).code == 0
    assert first.read_bytes() == second.read_bytes()
    assert not extra or figure.stat().st_size > 1000
    report = json.loads(done.out)
    with np.load(tiny.requests) as arrays:
        ids = sum(
            a.size for n, a in arrays.items() if a.dtype.kind == "i" and "off" not in n and n != "labels"
        )
    assert report["lookups"] == ids
    assert sum(t["lookups"] for t in report["tables"]) == ids
    assert call("trace", "--frequencies", first).out.endswith(call("trace", "--frequencies", second).out)


def test_synthetic_requests_run_and_have_the_trace_that_was_printed(tiny: Tiny, program: Path) -> None:
    requests, trace, again = (tiny.folder / f"{n}.npz" for n in ("sr", "st", "sa"))
    made = call(
        "trace", "--model", program, "--synthetic", "*:zipf=1,pooling=2", "--requests", 50,
        "--requests-out", requests, "-o", trace,
    )  # fmt: skip
    if made.code:  # a table of the model takes one id per request
        made = call(
            "trace", "--model", program, "--synthetic", "*:zipf=1,pooling=1", "--requests", 50,
            "--requests-out", requests, "-o", trace,
        )  # fmt: skip
    assert made.code == 0, made.err
    assert call("trace", requests, "--model", program, "-o", again).code == 0
    assert trace.read_bytes() == again.read_bytes()
    done = call("run", program, "--inputs", requests, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["requests"] == 50


def test_ids_that_the_model_computes(tmp_path: Path) -> None:
    """One input holds the ids of two tables, a column each."""
    from onnx import TensorProto, helper, numpy_helper, save

    table = np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32)
    weights = [numpy_helper.from_array(table, "t0"), numpy_helper.from_array(table[:5], "t1")]
    nodes = []
    for n in (0, 1):
        weights.append(numpy_helper.from_array(np.array(n, np.int64), f"column{n}"))
        nodes.append(helper.make_node("Gather", ["ids", f"column{n}"], [f"ids{n}"], axis=1))
        nodes.append(helper.make_node("Gather", [f"t{n}", f"ids{n}"], [f"row{n}"]))
    nodes.append(helper.make_node("Concat", ["row0", "row1"], ["y"], axis=1))
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["B", 2])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", 8])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    model, requests, compiled = (tmp_path / name for name in ("m.onnx", "r.npz", "m.cimc"))
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), model)
    ids = np.array([[8, 0], [8, 1], [3, 4], [2, 4]])
    np.savez(requests, ids=ids)
    made = call("compile", model, "-o", compiled, "--calib", requests)
    assert made.code == 0, made.err
    found = []
    for source in (model, compiled):
        done = call("trace", requests, "--model", source, "-o", tmp_path / "t.npz")
        assert done.code == 0, done.err
        trace = Trace.load(tmp_path / "t.npz")
        found.append({n: (t.ids.tolist(), t.counts.tolist(), t.requests) for n, t in trace.tables.items()})
    assert found[0] == {"t0": ([2, 3, 8], [1, 1, 2], 4), "t1": ([0, 1, 4], [1, 1, 2], 4)}
    assert found[1] == found[0]
    if "computed by the model" in call("trace", requests, "--model", model).err:
        done = call("trace", "--model", model, "--synthetic", "*:zipf=1", "--requests", 5)
        assert "trace.computed-ids" in done.err


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--frequencies", "a.npz", "--synthetic", "t:rows=3"],
        ["--synthetic", "t:rows=3"],
        ["--synthetic", "t:rows=3", "--requests", "5", "--requests-out", "r.npz"],
        ["requests.npz"],
        ["--frequencies", "t=a.csv"],
    ],
)
def test_senseless_options(args: list[str]) -> None:
    done = call("trace", *args)
    assert done.code == 2
    assert "cli.usage" in done.err


def test_errors_name_the_table(tiny: Tiny, program: Path) -> None:
    done = call("trace", "--model", program, "--synthetic", "nosuch:zipf=1", "--requests", 5)
    assert "trace.no-spec" in done.err
    done = call("trace", "--model", program, "--synthetic", "*:rows=3", "--requests", 5)
    assert "trace.rows-differ" in done.err
    done = call("trace", "--synthetic", "t:zipf=1", "--requests", 5)
    assert "trace.bad-spec" in done.err


def test_a_trace_goes_before_calibration(tiny: Tiny, program: Path) -> None:
    with np.load(tiny.calib) as arrays:
        calib = dict(arrays)
    table = next(m for m in Program.load(program).data.matrices if m.kind == "table")
    seen = TableTrace(table.name, table.rows, 10, np.array([1, 2]), np.array([7, 3]))
    made = compile(tiny.model, calib=calib, trace=Trace({table.name: seen}))
    tables = [m.name for m in made.data.matrices if m.kind == "table"]
    assert len(tables) == 1 or any("says nothing about" in note for note in made.notes)
    with pytest.raises(CimcError) as caught:
        compile(tiny.model, calib=calib, trace=Trace({"nosuch": seen}))
    assert caught.value.code == "trace.unknown-table"
    beyond = TableTrace(table.name, 0, 10, np.array([table.rows]), np.array([7]))
    with pytest.raises(CimcError) as caught:
        compile(tiny.model, calib=calib, trace=Trace({table.name: beyond}))
    assert caught.value.code == "trace.rows-differ"


def test_a_trace_goes_through_the_command_line_and_a_dump(tiny: Tiny, program: Path) -> None:
    table = next(m for m in Program.load(program).data.matrices if m.kind == "table")
    bags = RowBags.of_pairs(np.array([[1, 2]]), np.array([3]))
    seen = TableTrace(table.name, table.rows, 10, np.array([1, 2]), np.array([7, 3]), bags)
    path, out, dump = (tiny.folder / name for name in ("given.npz", "traced.cimc", "ir"))
    Trace({table.name: seen}).save(path)
    args = ("compile", tiny.model, "-o", out, "--calib", tiny.calib, "--trace", path)
    assert call(*args, "--dump-ir", dump).code == 0
    ctx = new_context()
    load_arrays_into(ctx, dump / "data.safetensors", set())
    found = ctx.access[table.name]
    assert (found.ids.tolist(), found.counts.tolist(), found.requests) == ([1, 2], [7, 3], 10)
    assert found.bags is not None
    assert (found.bags.rows.tolist(), found.bags.lengths.tolist()) == ([1, 2], [2])
    assert found.bags.weights.tolist() == [3]


def test_the_option_of_version_0_1_for_pairs_is_noted() -> None:
    made = call("trace", "--synthetic", "t:rows=9,pooling=3", "--requests", 20, "--pairs-of", 0, "--json")
    assert made.code == 0
    assert "--bag-rows" in made.err
    assert json.loads(made.out)["tables"][0]["kept_bags"] == 0
    made = call("trace", "--synthetic", "t:rows=9,pooling=3", "--requests", 20, "--json")
    assert json.loads(made.out)["tables"][0]["kept_bags"] > 10


def test_messages_name_a_few_tables() -> None:
    assert _few(["a", "b", "a"]) == "a, b"
    assert _few(list("abcdef")) == "a, b, c and 3 more tables"
