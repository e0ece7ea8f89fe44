"""Figures say which share of the model they are of, when most of it stays on the host."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import cimc
from cimc.host.measured_work import Counted
from cimc.host.runtime import HostRunner
from tests.cli.tiny_files import call
from tests.transforms.recognise.fusing import floats, model

TEXT = """g (int64[B] user, float[B,N,8] items) => (float[B,4] u, float[B,N,4] y) {
    e = Gather(t, user)  u = MatMul(e, w)
    h = MatMul(items, v)  y = Relu(h)
}"""
"""A tower of users, and scores of as many candidates as a request has: these stay on the host."""
B, N = 6, 50


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The model and requests for it."""
    folder = tmp_path_factory.mktemp("share")
    weights = {"t": floats(20, 8), "w": floats(8, 4), "v": floats(8, 4)}
    onnx.save(model(TEXT, weights), folder / "m.onnx")
    np.savez(folder / "m.requests.npz", **requests(N))
    return folder / "m.onnx", folder / "m.requests.npz"


def requests(candidates: int) -> dict[str, np.ndarray]:
    return {"user": np.arange(B), "items": floats(B, candidates, 8)}


def test_the_share_is_that_of_the_whole_model(files: tuple[Path, Path]) -> None:
    program = cimc.compile(files[0], calib=requests(N))
    before = program.on_chip
    assert (before.macs.arrays, before.macs.host, before.macs.share) == (32, None, None)
    assert before.not_counted == ("MatMul:h (MatMul): it depends on N",)
    for candidates in (N, 10):  # counted at the shapes of these requests
        result = program.run(requests(candidates), mode="exact")
        found = result.on_chip
        assert (found.macs.arrays, found.macs.host) == (32, 32 * candidates)
        assert found.macs.share == 1 / (1 + candidates)
        assert (found.lookups.arrays, found.lookups.host, found.lookups.share) == (8, 0, 1)
        assert (found.requests, found.not_counted, found.whole) == (B, (), False)
        assert "'MatMul:h' (MatMul) works on the host: extent 1" in found.warning
        assert result.cost.on_chip == found
        assert program.simulate(requests(candidates)).on_chip == found


def test_commands_say_so(files: tuple[Path, Path], tmp_path: Path) -> None:
    path, inputs = files
    program = tmp_path / "m.cimc"
    assert call("inspect", path, "--json").json["on_chip"]["macs"] is None
    seen = call("inspect", path, "--details").out
    assert "not counted       MatMul:h (MatMul): it depends on N" in seen
    assert call("compile", path, "-o", program, "--calib", inputs, "--json").json["on_chip"]["macs"] is None
    found = call("run", program, "--inputs", inputs, "--json").json
    assert found["on_chip"] == found["cost"]["on_chip"]
    assert found["on_chip"]["macs"] == pytest.approx(1 / (1 + N))
    assert found["on_chip"]["lookups"] == 1
    assert found["on_chip"]["counts"]["macs"] == {"arrays": 32, "vector": 0, "host": 32 * N}
    assert found["on_chip"]["first_on_host"]["node"] == "MatMul:h"
    for command in ("run", "simulate"):
        first = call(command, program, "--inputs", inputs).out
        assert "time, energy and power are of the part on chip" in first
        assert "node 'MatMul:h' (MatMul) works on the host" in first
        text = call(command, program, "--inputs", inputs, "--details").out
        assert "ime of the part on chip" in text
        assert "2.0 %: 32.0 by arrays, 1.60 k on the host" in text
        assert "warning           node 'MatMul:h' (MatMul) works on the host" in text
    assert "Energy of the part on chip" in call("run", program, "--inputs", inputs, "--details").out


def test_a_study_has_the_share_of_every_case(files: tuple[Path, Path], tmp_path: Path) -> None:
    done = call("bench", files[0], "--out", tmp_path / "study", "--json")
    (row,) = done.json["rows"]
    assert row["macs_on_chip"] == pytest.approx(1 / (1 + N))
    assert row["lookups_on_chip"] == 1
    assert "warning: m / tsinghua28 / default: time and energy are of the part on chip" in done.err


def test_a_model_of_which_nothing_is_left_has_no_such_words(tmp_path: Path) -> None:
    text = "g (float[B,8] x) => (float[B,4] y) { y = MatMul(x, w) }"
    onnx.save(model(text, {"w": floats(8, 4)}), tmp_path / "m.onnx")
    np.savez(tmp_path / "x.npz", x=floats(5, 8))
    call("compile", tmp_path / "m.onnx", "-o", tmp_path / "m.cimc", "--calib", tmp_path / "x.npz")
    text = call("run", tmp_path / "m.cimc", "--inputs", tmp_path / "x.npz", "--details").out
    assert "part on chip" not in text
    assert "warning" not in text
    assert "100.0 %: 32.0 by arrays, 0 on the host" in text


def test_shapes_seen_before_are_not_counted_again(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = 0
    count = Counted.run

    def watched(self: Counted, inputs: dict[str, np.ndarray], runner: HostRunner) -> object:
        nonlocal times
        times += 1
        return count(self, inputs, runner)

    monkeypatch.setattr(Counted, "run", watched)
    program = cimc.compile(files[0], calib=requests(N))
    for candidates in (N, N, 10, N):
        program.run(requests(candidates), mode="exact")
    assert times == 2


def test_without_a_chip_segment_rows_of_the_outputs_are_requests(tmp_path: Path) -> None:
    text = "g (float[B,8] x) => (float[B,8] y) { y = Acosh(x) }"
    onnx.save(model(text), tmp_path / "m.onnx")
    x = {"x": 2 + floats(5, 8) ** 2}
    result = cimc.compile(tmp_path / "m.onnx", calib=x).run(x)
    assert (result.activity.requests, result.on_chip.requests) == (5, 5)
    assert result.on_chip.macs.share == result.on_chip.lookups.share == 1
