"""Comparisons: resumable, complete, honest about what could not be done."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cimc import api
from cimc.errors import CimcError, PassError
from cimc.study import case_process, columns, plots
from cimc.study import cases as plan
from cimc.study.cases import Case, Strategy, Workload, cases, workload_beside
from cimc.study.named_pipelines import growing, seeded, strategy
from cimc.study.results import Row, Store
from cimc.study.runner import run
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.system import System
from tests.cli.tiny_files import Tiny, call, write_tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp("study")
    made = write_tiny(folder)
    made.requests.rename(folder / "tiny.requests.npz")
    made.calib.rename(folder / "tiny.calib.npz")
    return made


def case_of(tiny: Tiny, name: str, seed: int = 0, **options: int) -> Case:
    return Case(workload_beside(tiny.model), "tsinghua28", strategy(name), seed, **options)


def nothing(done: int, total: int, what: str) -> None:
    """Progress that nobody watches."""


# -- plans --------------------------------------------------------------------------------------------


def test_requests_are_found_beside_the_model(tiny: Tiny, tmp_path: Path) -> None:
    found = workload_beside(tiny.model)
    assert (found.name, Path(found.requests).name) == ("tiny", "tiny.requests.npz")
    assert found.calib is not None
    folder = tmp_path / "kaggle"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(tiny.model.read_bytes())
    with pytest.raises(CimcError) as refused:
        workload_beside(folder / "model.onnx")
    assert refused.value.code == "study.no-requests"
    np.savez(folder / "requests.npz", a=np.zeros(1))
    other = workload_beside(folder / "model.onnx", "generated:0")
    assert (other.name, other.calib, other.weights) == ("kaggle", None, "generated:0")


def test_a_plan_is_all_combinations_of_distinct_things(tiny: Tiny) -> None:
    here = workload_beside(tiny.model)
    ways = [strategy("greedy"), strategy("round_robin")]
    plan = cases([here], ["tsinghua28", "isaac32"], ways, [0, 1])
    assert len({case.key for case in plan}) == len(plan) == 8
    with pytest.raises(CimcError, match="go by the name 'greedy'"):
        cases([here], ["tsinghua28"], [ways[0], Strategy("greedy", "x")], [0])
    with pytest.raises(CimcError, match="two seeds"):
        cases([here], ["tsinghua28"], ways, [1, 1])


def test_keys_follow_contents_not_names(tiny: Tiny, tmp_path: Path) -> None:
    copy = tmp_path / "other.onnx"
    copy.write_bytes(tiny.model.read_bytes())
    here = workload_beside(tiny.model)
    there = Workload("tiny", str(copy), here.requests, here.calib)
    base = Case(here, "tsinghua28", strategy("greedy"))
    assert Case(there, "tsinghua28", strategy("greedy")).key == base.key
    assert Case(here, "tsinghua28", strategy("greedy"), seed=1).key != base.key
    assert Case(here, "tsinghua28", strategy("greedy"), limit=3).key != base.key
    assert Case.from_json(json.loads(json.dumps(base.to_json()))) == base


def test_strategies_are_names_or_pipelines() -> None:
    assert 'place{strategy="round_robin" seed=0' in strategy("round_robin").pipeline
    assert 'place{strategy="round_robin" seed=7' in seeded(strategy("round_robin").pipeline, 7)
    own = strategy(
        "w4=canonicalize,recognise,demote,outline-host,quantize{weights=4},shard,choose-adc-steps,place,schedule,lower"
    )
    assert own.name == "w4"
    assert "weights=4" in own.pipeline
    with pytest.raises(PassError):
        strategy("nobody")
    with pytest.raises(PassError):
        strategy("mine=canonicalize,nonsense")
    with pytest.raises(CimcError) as refused:
        strategy("=canonicalize")
    assert refused.value.code == "study.strategy"


# -- the store ----------------------------------------------------------------------------------------


def test_a_store_keeps_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    store = Store(path)
    store.add("a", {"x": 1})
    store.add("b", {"x": [1.5, None]})
    assert Store(path).rows == {"a": {"x": 1}, "b": {"x": [1.5, None]}}
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    assert Store(path).rows == {"a": {"x": 1}}
    assert path.read_bytes() == whole.splitlines(keepends=True)[0]
    path.write_bytes(b"PK\x03\x04 a file of another kind\n")
    with pytest.raises(CimcError) as refused:
        Store(path)
    assert refused.value.code == "study.unreadable"
    endless = tmp_path / "endless.jsonl"
    endless.symlink_to("/dev/full")  # reads as zeros for ever
    with pytest.raises(CimcError) as refused:
        Store(endless)
    assert refused.value.code == "io.cannot-read"


# -- running ------------------------------------------------------------------------------------------


def test_a_case_has_every_figure(tiny: Tiny) -> None:
    row = case_process.measure(case_of(tiny, "greedy", limit=50))
    known = {column.key for column in columns.COLUMNS}
    assert set(row) == known - {"error"}
    assert row["requests"] == 50
    assert row["chips"] == 1
    assert 0 < row["utilisation"] <= 1
    assert row["load"] >= row["load_bound"] > 0
    assert row["energy_pj"] == pytest.approx(sum(row["energy_parts_pj"].values()))
    assert row["latency_p50_ns"] <= row["latency_p95_ns"] <= row["latency_p99_ns"]
    assert row["throughput_rps"] > 0
    assert row["throughput_rps_low"] is None
    assert row["no_steady_state"].startswith("the run is too short: 0 requests are left")
    assert 0 < row["bottleneck_busy"] <= 1
    assert len(row["tile_busy"]) == row["mesh"][0] * row["mesh"][1]
    again = case_process.measure(case_of(tiny, "greedy", limit=50))
    measured = {"compile_seconds", "compile_cpu_seconds", "peak_bytes"}
    assert {k: v for k, v in row.items() if k not in measured} == {
        k: v for k, v in again.items() if k not in measured
    }


def test_remarks_say_how_many_are_compared_and_which_runs_are_short() -> None:
    def row(strategy: str, **more: Any) -> Row:
        return {"model": "m", "target": "t", "strategy": strategy, **more}

    short = row("b", no_steady_state="the run is too short")
    many, named = columns.remarks([row("a", no_steady_state=None), short, row("c", error="x")])
    assert many.startswith("2 variants are compared")
    assert named == "m / t / b: no interval: the run is too short"
    assert columns.remarks([row("a")]) == []


def test_strategies_with_other_numbers_of_instances_are_told_apart() -> None:
    rows = [{"model": "m", "target": "t", "strategy": s, "instances": n} for s, n in (("a", 1), ("b", 8))]
    *_, told = columns.remarks(rows)
    assert told.startswith("m / t: not the same number of instances (1: a; 8: b)")
    assert not any("instances" in text for text in columns.remarks([rows[0], {**rows[1], "instances": 1}]))


def test_chips_are_added_until_the_model_fits(tiny: Tiny) -> None:
    small = "tsinghua28{chip.mesh=2x1 chip.ports=0x0 tile.arrays=2}"
    case = Case(workload_beside(tiny.model), small, strategy("greedy"), limit=10)
    assert case_process.measure(case)["chips"] > 1
    row = case_process.measure(
        Case(workload_beside(tiny.model), small, strategy("greedy"), chips=1, limit=10)
    )
    assert row["error"].startswith("mapping.infeasible: ")
    assert row["strategy"] == "greedy"


def test_the_chips_stand_in_the_pipeline_and_the_model_is_read_once(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def load(path: Path, *rest: Any) -> Any:
        read.append(path)
        return real(path, *rest)

    real = api.load_model
    monkeypatch.setattr(api, "load_model", load)
    small = "tsinghua28{chip.mesh=2x1 chip.ports=0x0 tile.arrays=2}"
    row = case_process.run_case(Case(workload_beside(tiny.model), small, strategy("greedy"), limit=10))
    assert row["chips"] > 1
    assert f",system{{chips={row['chips']} grow=true}},plan-offload," in row["pipeline"]
    assert read == [tiny.model]


def test_a_pipeline_that_says_how_many_chips_is_left_alone() -> None:
    given = "system{chips=2},canonicalize"
    assert growing(given) == str(Pipeline.parse(given))
    assert growing("place") == str(Pipeline((System(grow=True), *Pipeline.parse("place").passes)))


def test_a_study_goes_on_where_it_stopped(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def pretend(case: Case) -> Row:
        if len(done) == 2:
            raise RuntimeError("killed")
        done.append(case.label)
        return {"strategy": case.strategy.name, "seed": case.seed}

    monkeypatch.setattr("cimc.study.runner.measure", pretend)
    plan = [case_of(tiny, name, seed) for name in ("greedy", "round_robin") for seed in (0, 1)]
    store = Store(tmp_path / "results.jsonl")
    with pytest.raises(RuntimeError):
        run(plan, store, nothing)
    assert len(store.rows) == 2
    monkeypatch.setattr(
        "cimc.study.runner.measure", lambda case: {"strategy": case.strategy.name, "seed": case.seed}
    )
    seen: list[tuple[int, int]] = []
    rows = run(plan, Store(store.path), lambda d, n, what: seen.append((d, n)), jobs=2)
    assert [(r["strategy"], r["seed"]) for r in rows] == [(c.strategy.name, c.seed) for c in plan]
    assert seen[0][0] == 2
    assert seen[-1] == (4, 4)


# -- the command --------------------------------------------------------------------------------------


def test_the_command(tiny: Tiny, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    arguments = (
        *(
            "bench",
            tiny.model,
            "--out",
            tmp_path / "out",
            "--strategy",
            "round_robin",
            "--strategy",
            "greedy",
        ),
        *("--baseline", "round_robin", "--limit", 40, "--plots"),
    )
    first = call(*arguments)
    assert first.code == 0, first.err
    assert "tiny on tsinghua28" in first.out
    assert "1.00x" in first.out
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert len(lines) == 2
    again = call(*arguments, "--json")
    assert (tmp_path / "out" / "results.jsonl").read_text().splitlines() == lines  # nothing ran again
    assert [row["strategy"] for row in again.json["rows"]] == ["round_robin", "greedy"]
    assert {Path(f).name for f in again.json["figures"]} == {"pareto.svg", "load.svg", "gap.svg"}
    with (tmp_path / "out" / "results.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [f["strategy"] for f in found] == ["round_robin", "greedy"]
    assert float(found[0]["energy_pj"]) == again.json["rows"][0]["energy_pj"]


def test_parquet_holds_the_same(tiny: Tiny, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    rows: list[Row] = [
        {"model": "m", "target": "t", "strategy": "a", "seed": 0, "energy_pj": 2.5, "mesh": [2, 1]},
        {"model": "m", "target": "t", "strategy": "b", "seed": 0, "error": 'x: it\'s "odd"'},
    ]
    columns.write_parquet(rows, tmp_path / "rows.parquet")
    found = duckdb.sql(
        f"SELECT strategy, energy_pj, mesh, error FROM '{tmp_path / 'rows.parquet'}' ORDER BY strategy"
    ).fetchall()
    assert found == [("a", 2.5, "[2, 1]", None), ("b", None, None, 'x: it\'s "odd"')]


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (("--strategy", "nobody"), 2, "mapping.unknown-strategy"),
        (("--baseline", "greedy", "--strategy", "round_robin"), 2, "none of the strategies"),
        (("--target", "nowhere"), 2, "target.unknown"),
        (
            ("--chips", "1", "--target", "tsinghua28{chip.mesh=1x1 chip.ports=0x0 tile.arrays=1}"),
            2,
            "infeasible",
        ),
    ],
)
def test_what_cannot_be_done(
    tiny: Tiny, tmp_path: Path, options: tuple[str, ...], code: int, text: str
) -> None:
    found = call("bench", tiny.model, "--out", tmp_path / "out", "--limit", 5, *options)
    assert found.code == code
    assert text in found.err


def test_the_front_is_what_no_other_beats() -> None:
    points = [(1.0, 5.0), (2.0, 4.0), (3.0, 6.0), (2.0, 7.0), (4.0, 9.0), (3.5, 9.5)]
    assert plots._front(points) == [(2.0, 4.0), (3.0, 6.0), (4.0, 9.0)]


def test_keys_follow_external_data_and_targets(tiny: Tiny, tmp_path: Path) -> None:
    import onnx

    made = tmp_path / "outside.onnx"
    onnx.save_model(
        onnx.load(tiny.model), made, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    here = workload_beside(tiny.model)
    target = tmp_path / "own.yaml"
    preset = Path(str(columns.__file__)).parents[1] / "target" / "presets" / "tsinghua28.yaml"
    target.write_text(preset.read_text())

    def key(target: str = "tsinghua28") -> str:
        plan.model_digest.cache_clear()
        return Case(Workload("x", str(made), here.requests), target, strategy("greedy")).key

    first, changed = key(), key(f"{target}{{array.adc_bits=6}}")
    data = bytearray((tmp_path / "weights.bin").read_bytes())
    data[0] ^= 1
    (tmp_path / "weights.bin").write_bytes(data)
    assert key() != first
    data[0] ^= 1
    (tmp_path / "weights.bin").write_bytes(data)
    assert key() == first
    target.write_text(target.read_text().replace("title: ", "title: Another "))
    assert key(f"{target}{{array.adc_bits=6}}") != changed


def test_a_killed_case_is_tried_again(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = case_of(tiny, "greedy", limit=5)
    real = subprocess.Popen

    def doomed(*args: Any, **options: Any) -> subprocess.Popen[str]:
        child = real(*args, **options)
        child.kill()
        return child

    monkeypatch.setattr(subprocess, "Popen", doomed)
    store = Store(tmp_path / "results.jsonl")
    (row,) = run([case], store, nothing)
    assert row["error"].startswith("study.killed")
    assert store.rows == {}
    monkeypatch.setattr(subprocess, "Popen", real)
    (row,) = run([case], store, nothing)
    assert "error" not in row
    assert list(store.rows) == [case.key]


def test_a_bug_in_one_case_leaves_the_others_done(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pretend(case: Case) -> Row:
        if case.seed == 0:
            raise RuntimeError("a bug")
        return {"seed": case.seed}

    monkeypatch.setattr("cimc.study.runner.measure", pretend)
    store = Store(tmp_path / "results.jsonl")
    with pytest.raises(RuntimeError, match="a bug"):
        run([case_of(tiny, "greedy", seed) for seed in (0, 1, 2)], store, nothing)
    assert [row["seed"] for row in store.rows.values()] == [1, 2]


def test_a_child_ends_with_its_parent() -> None:
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import cimc.study.case_process as m, time; m._end_with_parent(); time.sleep(60)",
        ],
        stdin=subprocess.PIPE,
    )
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(timeout=50) == 1


def test_interrupting_ends_the_children(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []
    real = subprocess.Popen

    def recorded(command: list[str], **options: Any) -> subprocess.Popen[str]:
        started.append(real([sys.executable, "-c", "import time; time.sleep(60)"], **options))
        return started[-1]

    def interrupted(*_: object, **__: object) -> None:
        while len(started) < 2:
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", recorded)
    monkeypatch.setattr("cimc.study.runner.wait", interrupted)
    plan = [case_of(tiny, "greedy", seed) for seed in (0, 1)]
    with pytest.raises(KeyboardInterrupt):
        run(plan, Store(tmp_path / "results.jsonl"), nothing, jobs=2)
    assert [child.returncode for child in started] == [-9, -9]
