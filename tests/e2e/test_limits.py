"""What a run may be given, and what it may use, where onnxruntime does a part of the work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import cimc
from cimc.errors import CimcError, RequestError
from cimc.host.runtime import run_onnx
from cimc.support.limits import Limits
from tests.transforms.recognise.fusing import floats, model

TEXT = """(float[B,8] x, float[B,4] z) => (float[B,4] y, bool[B,4] n) {
    h = MatMul(x, w)  y = Relu(h)  n = IsNaN(z)
}"""


def compiled(
    folder: Path, text: str, requests: dict[str, np.ndarray], **weights: np.ndarray
) -> tuple[cimc.Program, Path]:
    path = folder / "m.onnx"
    onnx.save(model(f"agraph {text}", {"w": floats(8, 4), **weights}), path)
    return cimc.compile(path, calib=requests), path


def test_only_what_enters_the_chip_must_be_finite(tmp_path: Path) -> None:
    requests = {"x": floats(3, 8), "z": floats(3, 4)}
    requests["z"][1, 2], requests["z"][0, 0] = np.nan, np.inf
    program, path = compiled(tmp_path, TEXT, requests)
    outputs = program.run(requests, mode="exact").outputs
    np.testing.assert_array_equal(outputs["n"], run_onnx(path, requests)["n"])
    requests["x"][2, 3] = np.nan
    with pytest.raises(RequestError) as error:
        program.run(requests)
    assert error.value.code == "request.not-finite"
    assert "'x'" in error.value.message


def test_not_finite_calibration_of_a_layer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CimcError) as error:
        compiled(tmp_path, TEXT, {"x": np.full((2, 8), np.inf, np.float32), "z": floats(2, 4)})
    assert error.value.code == "request.not-finite"


def test_limits_of_a_run_hold_for_its_host_segments(tmp_path: Path) -> None:
    text = """(float[B,8] x, int64[B] k) => (float[B,4] y, int64[B] s) {
        h = MatMul(x, w)  y = Relu(h)  n = ReduceMax<keepdims=0>(k)
        s = Loop <body = turn (int64 i, bool c, int64[B] a) => (bool d, int64[B] b) {
            d = Identity(c)  b = Identity(a) }> (n, go, k)
    }"""
    requests = {"x": floats(2, 8), "k": np.ones(2, np.int64)}
    program, _ = compiled(tmp_path, text, requests, go=np.array(True))
    assert np.array_equal(program.run(requests).outputs["s"], requests["k"])
    requests["k"] = np.full(2, 1 << 50)
    with pytest.raises(CimcError) as error:
        program.run(requests, limits=Limits(host_seconds=0.5))
    assert error.value.code == "host.time-limit"
