"""onnxruntime in its own process: what it exchanges, what ends it, and what comes after."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx.parser
import pytest

import cimc
from cimc.errors import CimcError
from cimc.host import isolation
from cimc.host.isolation import host_limits
from cimc.host.runtime import run_onnx
from cimc.host.worker import message, pack, unpack
from cimc.support.limits import Limits

HEADER = '<ir_version: 8, opset_import: ["" : 17]> g '
ENDLESS = (
    "(float[B,8] x) => (float[B,8] y) { t = Constant<value = bool {1}>() y = Loop(,t,x)<body = b "
    "(int64 i, bool c, float[B,8] v) => (bool c2, float[B,8] v2) { c2 = Identity(c) v2 = Neg(v) }> }"
)
X = {"x": np.ones((2, 8), np.float32)}


def parsed(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(HEADER + text)


def refused(model: onnx.ModelProto, **limits: Any) -> CimcError:
    with host_limits(replace(Limits(), **limits)), pytest.raises(CimcError) as caught:
        run_onnx(model, X)
    return caught.value


def still_works() -> bool:
    return bool((run_onnx(parsed("(float[B,8] x) => (float[B,8] y) { y = Neg(x) }"), X)["y"] == -1).all())


def test_an_endless_loop_is_an_error() -> None:
    error = refused(parsed(ENDLESS), host_seconds=0.5)
    assert error.code == "host.time-limit"
    assert error.hint is not None
    assert still_works()


def test_an_endless_loop_in_a_host_segment_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(parsed(ENDLESS), path)
    with host_limits(Limits(host_seconds=0.5)), pytest.raises(CimcError) as caught:
        cimc.compile(path, calib=X).run(X, "exact")
    assert caught.value.code == "host.time-limit"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux alone")
@pytest.mark.parametrize(
    "graph",
    [
        "n = Constant<value = int64[2] {4000, 2000}>() z = Tile(x,n) y = ReduceMax<keepdims=0>(z)",
        "n = Constant<value = int64[1] {1000000000}>() z = ConstantOfShape(n) y = ReduceMax<keepdims=0>(z)",
    ],
)
def test_memory_is_limited(graph: str) -> None:
    model = parsed(f"(float[B,8] x) => (float y) {{ {graph} }}")
    assert refused(model, host_bytes=1 << 28).code == "host.memory-limit"
    assert still_works()


def test_a_worker_that_dies_idle_is_replaced() -> None:
    assert still_works()
    worker = isolation._pool.worker
    assert worker is not None
    worker.process.kill()
    worker.process.wait()
    assert still_works()
    assert isolation._pool.worker is not worker


def test_a_worker_that_dies_at_work_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = isolation.Worker()
    os.kill(worker.process.pid, signal.SIGSTOP)
    os.kill(worker.process.pid, signal.SIGKILL)  # it takes the request, and is gone before it answers
    monkeypatch.setattr(isolation.Worker, "alive", property(lambda self: True))
    monkeypatch.setattr(isolation._pool, "worker", worker)
    monkeypatch.setattr(isolation._pool, "owner", os.getpid())
    error = refused(parsed("(float[B,8] x) => (float[B,8] y) { y = Neg(x) }"))
    assert error.code == "host.crashed"
    assert "signal 9" in error.message


def test_the_worker_ends_with_its_parent() -> None:
    code = """
        from cimc.host import isolation
        import os
        isolation.warm_up()
        print(isolation._pool.worker.process.pid, flush=True)
        os._exit(0)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    pid = int(done.stdout)
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return  # only its parent's parent has not heard of it yet
        signal.sigtimedwait([], 0.1)
    pytest.fail("the worker outlives its parent")


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype=np.int8).reshape(2, 3),
        np.zeros((0, 4), np.float32),
        np.float64(3.5) * np.ones(()),
        np.array([True, False]),
        np.arange(3).astype(np.float16),
        np.arange(3).astype(ml_dtypes.bfloat16),
        np.arange(12, dtype=np.int64).reshape(3, 4).T,
        np.array([["a", "ü"], ["", "x" * 999]], dtype=object),
        None,
        [np.zeros(2, np.float32), [np.ones(1, np.int64)]],
        {"a": np.zeros(1, np.float32), "b": None},
    ],
)
def test_values_survive_the_journey(value: Any) -> None:
    buffers: list[memoryview] = []
    described = pack(value, buffers)
    message({"values": [described]}, buffers)
    data = np.frombuffer(b"\0" + b"".join(buffers), np.uint8)
    found, at = unpack(described, data, 1)
    assert at == len(data)
    _same(found, value)


def _same(found: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        assert found.dtype == value.dtype
        assert found.shape == value.shape
        np.testing.assert_array_equal(found, value)
    elif isinstance(value, list):
        for one, other in zip(found, value, strict=True):
            _same(one, other)
    elif isinstance(value, dict):
        assert found.keys() == value.keys()
        for key in value:
            _same(found[key], value[key])
    else:
        assert found == value


def test_sequences_come_back_as_lists() -> None:
    model = parsed("(float[B,8] x) => (seq(float[B,4]) y) { y = SplitToSequence<axis=1>(x,n) }")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([4, 4]), "n"))
    assert [part.shape for part in run_onnx(model, X)["y"]] == [(2, 4), (2, 4)]
