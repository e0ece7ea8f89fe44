"""onnxruntime behind one function: arrays in, arrays out, failures as errors of ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cimc.errors import CimcError
from cimc.host.runtime import HostRunner, run_onnx


def scaled(factor: float) -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n"]) for n in ("x", "y", "z")]
    nodes = [helper.make_node("Mul", ["x", "w"], ["y"]), helper.make_node("Neg", ["x"], ["z"])]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [], [factor])
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


X = np.array([1, 2, 3], np.float32)


def test_all_outputs_in_order_or_the_chosen_ones() -> None:
    assert list(run_onnx(scaled(2), {"x": X})) == ["y", "z"]
    chosen = run_onnx(scaled(2), {"x": X}, ["z"])
    assert list(chosen) == ["z"]
    np.testing.assert_array_equal(chosen["z"], -X)


def test_a_file_is_run_with_its_external_data(tmp_path: Path) -> None:
    model = scaled(0)
    weight = model.graph.initializer[0]
    weight.ClearField("float_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="w.bin")
    (tmp_path / "w.bin").write_bytes(np.float32(5).tobytes())
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    np.testing.assert_array_equal(run_onnx(tmp_path / "m.onnx", {"x": X})["y"], 5 * X)


def test_sessions_are_kept_per_content(tmp_path: Path) -> None:
    runner = HostRunner()
    for factor in (2, 3, 2):
        np.testing.assert_array_equal(runner.run(scaled(factor), {"x": X})["y"], factor * X)
    path = tmp_path / "m.onnx"
    for factor in (2.0, 40.0):
        path.write_bytes(scaled(factor).SerializeToString() + b"\x1a\x00" * int(factor))
        np.testing.assert_array_equal(runner.run(path, {"x": X})["y"], np.float32(factor) * X)


@pytest.mark.parametrize("optimise", [True, False])
def test_the_same_input_gives_the_same_bytes(optimise: bool) -> None:
    x = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    first, second = (HostRunner(optimise=optimise).run(scaled(0.3), {"x": x})["y"] for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (b"no model", {}),
        (Path("/nowhere/m.onnx"), {}),
        (scaled(1), {}),
        (scaled(1), {"x": X.astype(np.float64)}),
        (scaled(1), {"x": X.reshape(1, 3)}),
        (scaled(1), {"x": X, "nobody": X}),
    ],
)
def test_failures_become_errors_of_ours(
    model: onnx.ModelProto | bytes | Path, inputs: dict[str, np.ndarray], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CimcError) as caught:
        run_onnx(model, inputs)
    assert caught.value.code == "host.onnxruntime"
    assert capfd.readouterr().err == ""
