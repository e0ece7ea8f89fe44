"""``cimc baseline``, and the commands that set a program beside what it measured."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

from cimc.cli.commands.baseline import command
from cimc.study.baseline.records import Baseline
from models.tiny import tiny_dlrm
from tests.cli.tiny_files import REQUESTS, Tiny, call

SCOPES = ["arrays", "chip, dynamic", "whole system"]


@pytest.fixture(scope="module")
def cpu(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cpu") / "cpu.json"
    done = call(
        "baseline", tiny.model, "--inputs", tiny.requests, "--seconds", 0.2, "--batch", 16, "--save", path
    )
    assert done.code == 0, done.err
    assert "CPU at hand" in done.out
    return path


def test_the_file_is_what_is_printed(tiny: Tiny, tmp_path: Path) -> None:
    path = tmp_path / "cpu.json"
    path.write_text("old")
    args = ("--seconds", 0.1, "--batch", 1, "--batch", 2048, "--watts-per-core", 6, "--save", path, "--json")
    done = call("baseline", tiny.model, "--inputs", tiny.requests, *args)
    assert done.code == 0, done.err
    assert json.loads(path.read_text()) == done.json
    found = Baseline.load(path)
    assert {row.batch for row in found.rows} == {1, REQUESTS}
    assert found.requests == REQUESTS
    assert {row.watts / row.threads / row.streams for row in found.rows} == {6.0}
    keys = set(re.findall(r"`(\w+)`", _documented("baseline")))
    assert keys == set(done.json)


def _documented(command: str) -> str:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    found = re.search(rf"Keys of `{command}`: ([^.(]*)", page)
    assert found is not None
    return found[1]


def _quotients(scopes: list[dict[str, Any]], rows: dict[str, Any]) -> None:
    assert [scope["name"] for scope in scopes] == SCOPES
    assert scopes[0]["watts"] < scopes[1]["watts"] < scopes[2]["watts"]
    for scope in scopes:
        assert scope["requests_per_joule"] == pytest.approx(scope["requests_per_s"] / scope["watts"])
        assert set(scope["ratios"]) == {"best", "onnxruntime", "fused"}
        for name, ratio in scope["ratios"].items():
            for key in ("requests_per_s", "requests_per_joule"):
                assert ratio[key] == pytest.approx(scope[key] / rows[name][key][key])


def test_run_prints_ratios(tiny: Tiny, program: Path, cpu: Path) -> None:
    args = ("run", program, "--inputs", tiny.requests, "--mode", "exact", "--baseline", cpu)
    found = call(*args, "--json").json
    _quotients(found["baseline"]["scopes"], found["baseline"]["rows"])
    assert found["baseline"]["scopes"][0]["requests_per_s"] == found["cost"]["throughput_rps"]
    assert not any("other requests" in note for note in found["baseline"]["notes"])
    first = call(*args).out
    assert all(scope in first for scope in SCOPES)
    text = call(*args, "--details").out
    assert "Ratios to the CPU, scope by scope" in text
    assert "not: " in text  # what a scope leaves out on this target
    assert all(scope in text for scope in SCOPES)
    fewer = call(*args, "--limit", 10, "--json").json
    assert any("other requests" in note for note in fewer["baseline"]["notes"])


def test_simulate_prints_ratios_and_the_throughput_at_a_bound(tiny: Tiny, program: Path, cpu: Path) -> None:
    args = ("simulate", program, "--inputs", tiny.requests, "--in-flight", 8, "--baseline", cpu)
    found = call(*args, "--p99-us", 1e6, "--json").json
    load = found["baseline"]["load"]
    _quotients(load["scopes"], load["rows"])
    assert load["scopes"][0]["requests_per_s"] == found["simulation"]["throughput_rps"]
    assert found["at_p99"]["p99_ns"] <= 1e9
    most = found["analytic"]["throughput_rps"]
    assert 0.99 * most < found["at_p99"]["throughput_rps"] < most  # so long a bound holds at any load
    assert found["baseline"]["at_p99"]["scopes"][0]["requests_per_s"] == found["at_p99"]["throughput_rps"]
    alone = call("simulate", program, "--inputs", tiny.requests, "--p99-us", 1e-6).out
    assert "not even one request at a time keeps it" in alone
    tight = found["simulation"]["unloaded_ns"]["max"] * 1.02 / 1e3
    bounded = call("simulate", program, "--inputs", tiny.requests, "--p99-us", tight, "--json").json["at_p99"]
    assert bounded["p99_ns"] <= tight * 1e3
    assert 0 < bounded["throughput_rps"] < found["at_p99"]["throughput_rps"]


def test_bench_prints_ratios(tiny: Tiny, cpu: Path, tmp_path: Path) -> None:
    shutil.copy(tiny.model, tmp_path / "tiny.onnx")
    shutil.copy(tiny.requests, tmp_path / "tiny.requests.npz")
    args = ("bench", tmp_path / "tiny.onnx", "--out", tmp_path / "out", "--limit", 20)
    done = call(*args, "--baseline", "default", "--baseline", cpu, "--json")
    assert done.code == 0, done.err
    (case,) = done.json["baseline"]
    _quotients(case["scopes"], case["rows"])
    assert case["scopes"][0]["requests_per_s"] == done.json["rows"][0]["throughput_rps"]
    text = call(*args, "--baseline", cpu).out
    assert "tiny against" in text
    assert "baseline" not in call(*args, "--baseline", "default", "--json").json


def test_a_baseline_that_cannot_be_used_is_refused(
    tiny: Tiny, program: Path, cpu: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    data = json.loads(cpu.read_text())
    runs = [
        ("run", program, "--inputs", tiny.requests, "--baseline", other),
        ("simulate", program, "--inputs", tiny.requests, "--baseline", other),
    ]
    shutil.copy(tiny.model, tmp_path / "tiny.onnx")
    shutil.copy(tiny.requests, tmp_path / "tiny.requests.npz")
    runs.append(("bench", tmp_path / "tiny.onnx", "--out", tmp_path / "out", "--baseline", other))
    for text, code in (
        (json.dumps({**data, "model_digest": "0" * 64}), "baseline.other-model"),
        (json.dumps({**data, "version": 99}), "baseline.version"),
        ("{", "baseline.invalid"),
        ("[]", "baseline.invalid"),
    ):
        other.write_text(text)
        for args in runs:
            done = call(*args, "--json")
            assert (done.code, done.json["error"]["code"]) == (2, code), args[0]
    assert not (tmp_path / "out").exists()
    for args in runs:
        missing = call(*(tmp_path / "none.json" if a == other else a for a in args), "--json")
        assert (missing.code, missing.json["error"]["code"]) == (2, "io.cannot-read")


def test_bench_takes_one_strategy_and_known_ones(tiny: Tiny, tmp_path: Path) -> None:
    args = ("bench", tiny.model, "--out", tmp_path / "out", "--strategy", "default", "--strategy", "greedy")
    assert call(*args, "--baseline", "nobody").code == 2
    assert call(*args, "--baseline", "default", "--baseline", "greedy").code == 2


def test_models_that_do_not_fit_the_requests(tiny: Tiny, tmp_path: Path) -> None:
    proto, _ = tiny_dlrm(0, 5)
    onnx.save(proto, tmp_path / "m.onnx")
    done = call("baseline", tmp_path / "m.onnx", "--inputs", tiny.requests, "--json")
    assert (done.code, done.json["error"]["code"]) == (2, "request.missing-input")
    assert call("baseline", tiny.model, "--inputs", tiny.requests, "--seconds", 0).code == 2
    saved = call("baseline", tiny.model, "--inputs", tiny.requests, "--save", tiny.model)
    assert "[io.same-file]" in saved.err


def test_every_option_of_its_own_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    section = page[page.index("## baseline") : page.index("Keys of `baseline`")]
    for option in ("--seconds", "--batch", "--engine", "--cores", "--watts-per-core", "--save"):
        assert f"`{option} " in section or f"`{option}`" in section
        assert option in {flag for param in command.params for flag in param.opts}
