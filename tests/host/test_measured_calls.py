"""Times of calls: warm-up cut, stretches apart, several streams; and in the worker, of nothing but runs."""

from __future__ import annotations

import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cimc.errors import CimcError
from cimc.host.runtime import HostRunner
from cimc.host.worker import timed


def test_calls_go_around_and_slow_ones_still_fill_every_stretch() -> None:
    seen: list[int] = []
    times = timed(lambda n: (seen.append(n), time.sleep(0.002)), 3, 1e-9, 4, 1)
    assert [len(stretch) for stretch in times[0]] == [1, 1, 1, 1]
    assert seen == [0, 1, 2, 0, 1]  # the first warmed up
    assert all(0.002 <= call < 0.1 for stretch in times[0] for call in stretch)


def test_time_is_kept_and_the_first_part_is_cut() -> None:
    begin = time.perf_counter()
    (stream,) = timed(lambda n: time.sleep(0.001), 5, 0.2, 4, 1)
    assert time.perf_counter() - begin < 2
    counted = sum(map(sum, stream))
    assert counted < 0.2 * 0.9


def test_streams_are_under_way_together() -> None:
    before = time.perf_counter()
    times = timed(lambda n: time.sleep(0.02), 4, 0.2, 2, 3)
    spent = time.perf_counter() - before
    assert len(times) == 3
    assert sum(call for stream in times for stretch in stream for call in stretch) > 1.2 * spent


def test_what_a_call_raises_comes_back() -> None:
    def call(n: int) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        timed(call, 1, 0.1, 2, 2)


def product() -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 8]) for n in ("x", "y")]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [8, 8], np.linspace(-1, 1, 64))
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("int8", [False, True])
def test_the_worker_times_runs(int8: bool, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "m.onnx"
    onnx.save(product(), path)
    x = np.random.default_rng(0).normal(0, 1, (4, 8)).astype(np.float32)
    times = HostRunner(2, deterministic=False, int8=int8).measure(path, [{"x": x}, {"x": x[:2]}], 0.05, 3, 2)
    assert [len(stream) for stream in times] == [3, 3]
    assert all(0 < call < 1 for stream in times for stretch in stream for call in stretch)


def test_int8_is_another_arithmetic(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "m.onnx"
    onnx.save(product(), path)
    x = np.random.default_rng(0).normal(0, 1, (4, 8)).astype(np.float32)
    right, other = (HostRunner(int8=int8).run(path, {"x": x})["y"] for int8 in (False, True))
    assert 0 < np.abs(right - other).max() < 0.1 * np.abs(right).max()


def test_a_model_that_does_not_run_says_so() -> None:
    with pytest.raises(CimcError) as error:
        HostRunner().measure(product(), [{"x": np.ones((1, 3), np.float32)}], 0.05, 3)
    assert error.value.code == "host.onnxruntime"
