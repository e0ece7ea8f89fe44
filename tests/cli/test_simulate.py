"""``cimc simulate``: its report, its timeline and its map."""

from __future__ import annotations

import importlib.util
import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.cli.tiny_files import REQUESTS, Tiny, call, write_tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return write_tiny(tmp_path_factory.mktemp("simulate"))


@pytest.fixture(scope="module")
def program(tiny: Tiny) -> Path:
    path = tiny.folder / "tiny.cimc"
    assert call("compile", tiny.model, "-o", path, "--calib", tiny.calib).code == 0
    return path


def test_report(tiny: Tiny, program: Path) -> None:
    figure = ["--plot", tiny.folder / "load.svg"] if importlib.util.find_spec("matplotlib") else []
    done = call("simulate", program, "--inputs", tiny.requests, "--in-flight", 6, "--json", *figure)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert set(found) == {
        "program", "simulation", "analytic", "energy_pj", "energy_at_load_pj", "static_power", "on_chip"
    }  # fmt: skip
    static = found["static_power"]["watts"] * 1e12 / found["simulation"]["throughput_rps"]
    assert found["energy_at_load_pj"] == pytest.approx(found["energy_pj"] + static)
    assert found["on_chip"] == found["simulation"]["on_chip"]
    assert (found["on_chip"]["macs"], found["on_chip"]["lookups"]) == (1.0, 1.0)
    simulation = found["simulation"]
    latency = simulation["latency_ns"]
    assert simulation["requests"] == REQUESTS
    assert latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"]
    assert simulation["unloaded_ns"]["max"] <= latency["max"]
    assert simulation["bottleneck"] == simulation["units"][0]["name"]
    # of the whole time, from the first arrival to the last completion
    rate = simulation["requests"] * 1e9 / simulation["makespan_ns"]
    share = rate / found["analytic"]["throughput_rps"]
    assert simulation["units"][0]["utilisation"] == pytest.approx(share, rel=0.05)
    assert 0 < share <= 1
    run = json.loads(call("run", program, "--inputs", tiny.requests, "--mode", "exact", "--json").out)
    assert found["energy_pj"] == run["cost"]["energy_pj"]
    assert found["analytic"]["throughput_rps"] == run["cost"]["throughput_rps"]
    text = call(
        "simulate", program, "--inputs", tiny.requests, "--rate", 1e6, "--arrivals", "poisson", "--details"
    ).out
    assert "Poisson, seed 0" in text
    assert "none, and figures are of the whole run: the run is too short" in text
    steady = simulation["steady_state"]
    assert set(steady) == {
        "reached", "missing", "warm_up", "cut_at_end", "requests", "batches", "throughput_rps", "latency_ns"
    }  # fmt: skip
    assert set(steady["latency_ns"]) == {"mean", "p50", "p95", "p99"}
    assert steady["throughput_rps"]["value"] == simulation["throughput_rps"]
    assert steady["reached"] == (REQUESTS - REQUESTS // 10 - 6 >= 200)
    assert "Busiest units" in text
    assert not figure or (tiny.folder / "load.svg").stat().st_size > 1000


def checked(event: dict[str, Any]) -> None:
    """One event of the Trace Event Format, of the two kinds that are written."""
    assert isinstance(event["pid"], int)
    assert isinstance(event["tid"], int)
    if event["ph"] == "M":
        assert set(event) == {"ph", "name", "pid", "tid", "args"}
        assert event["name"] in ("process_name", "thread_name")
        assert isinstance(event["args"]["name"], str)
    else:
        assert set(event) == {"ph", "name", "cat", "ts", "dur", "pid", "tid", "args"}
        assert event["ph"] == "X"
        assert isinstance(event["name"], str)
        assert event["ts"] >= 0
        assert event["dur"] >= 0


def test_timeline(tiny: Tiny, program: Path) -> None:
    path = tiny.folder / "t.json"
    done = call(
        "simulate", program, "--inputs", tiny.requests, "--in-flight", 4, "--timeline", path,
        "--timeline-requests", 5, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    whole = json.loads(path.read_text())
    assert set(whole) == {"traceEvents", "displayTimeUnit", "otherData"}
    assert whole["displayTimeUnit"] in ("ms", "ns")
    rows: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    named = set()
    for event in whole["traceEvents"]:
        checked(event)
        row = (event["pid"], event["tid"])
        if event["name"] == "thread_name":
            named.add(row)
        elif event["ph"] == "X":
            rows[row].append((event["ts"], event["ts"] + event["dur"]))
            assert event["args"]["request"] < 5
    assert set(rows) == named
    for (pid, _), spans in rows.items():
        spans.sort()
        for (_, end), (start, _) in pairwise(spans):
            assert start >= end - 1e-9 or pid == 0  # times are whole picoseconds
    requests = [e for e in whole["traceEvents"] if e["ph"] == "X" and e["pid"] == 0]
    assert [e["name"] for e in requests] == [f"request {n}" for n in range(5)]
    again = tiny.folder / "again.json"
    call(
        "simulate", program, "--inputs", tiny.requests, "--in-flight", 4, "--timeline", again,
        "--timeline-requests", 5,
    )  # fmt: skip
    assert again.read_bytes() == path.read_bytes()


def test_buffers_of_limited_size(tiny: Tiny, program: Path) -> None:
    args = ("simulate", program, "--inputs", tiny.requests, "--in-flight", 8)
    found = json.loads(call(*args, "--link-buffer", 1, "--json").out)["simulation"]
    assert found["link_buffer"] == 1
    assert any(unit["blocked_ns"] for unit in found["units"])
    assert "whole messages each: 1" in call(*args, "--link-buffer", 1, "--details").out
    free = json.loads(call(*args, "--json").out)["simulation"]
    assert free["link_buffer"] is None
    assert not any(unit["blocked_ns"] for unit in free["units"])
    assert {u["name"]: u["uses"] for u in free["units"]} == {u["name"]: u["uses"] for u in found["units"]}


def test_limit_and_senseless_options(tiny: Tiny, program: Path) -> None:
    done = call("simulate", program, "--inputs", tiny.requests, "--limit", 7, "--json")
    assert json.loads(done.out)["simulation"]["requests"] == 7
    for args in (["--rate", 5, "--in-flight", 2], ["--arrivals", "poisson"], ["--rate", 0]):
        done = call("simulate", program, "--inputs", tiny.requests, *args)
        assert done.code == 2
        assert "cli.usage" in done.err


def test_dispatch(tiny: Tiny, program: Path) -> None:
    args = ["simulate", program, "--inputs", tiny.requests, "--in-flight", 6]
    turn, least = (json.loads(call(*args, *more, "--json").out) for more in ([], ["--dispatch", "least"]))
    assert (turn["simulation"]["dispatch"], least["simulation"]["dispatch"]) == ("turn", "least")
    assert least["energy_pj"] == turn["energy_pj"]
    shown = call(*args, "--dispatch", "least", "--details").out
    assert "those with the fewest requests under way" in shown
    assert "to the instance with the fewest" in shown  # the first screen
    assert call(*args, "--dispatch", "random").code == 2
