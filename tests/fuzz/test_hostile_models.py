"""One hostile model per way to be hostile: what ``compile`` says, or that it is harmless."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import TensorProto, helper, numpy_helper

import cimc
from cimc.errors import CimcError
from cimc.host.runtime import run_onnx
from cimc.support.limits import Limits

RNG = np.random.default_rng(0)
X = {"x": RNG.standard_normal((4, 8)).astype(np.float32)}
LIMITS = Limits(host_seconds=2.0, host_bytes=1 << 29)
Damage = Callable[[onnx.ModelProto], Any]


def good() -> onnx.ModelProto:
    """``Relu(x @ w)``, through a Slice that takes all columns."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[B,8] x) => (float[B,4] y) '
        "{ h = MatMul(x,w) s = Slice(h,from,to,axis) y = Relu(s) }"
    )
    constants = {"w": RNG.standard_normal((8, 4)).astype(np.float32), "from": [0], "to": [4], "axis": [1]}
    for name, array in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return model


def weight(change: Callable[[np.ndarray], Any]) -> Damage:
    def damage(model: onnx.ModelProto) -> None:
        array = numpy_helper.to_array(model.graph.initializer[0]).copy()
        change(array)
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, "w"))

    return damage


def constant(index: int, array: Any) -> Damage:
    def damage(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[index]
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(array), tensor.name))

    return damage


def after_relu(*nodes: onnx.NodeProto, **constants: Any) -> Damage:
    """Nodes between ``r``, the result of the Relu, and ``y``."""

    def damage(model: onnx.ModelProto) -> None:
        model.graph.node[2].output[0] = "r"
        model.graph.node.extend(nodes)
        for name, array in constants.items():
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))

    return damage


def endless() -> Damage:
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Neg", ["v"], ["n"])],
        "body",
        [info("i", TensorProto.INT64, []), info("c", TensorProto.BOOL, []), info("v", 1, None)],
        [info("d", TensorProto.BOOL, []), info("n", 1, None)],
    )
    return after_relu(helper.make_node("Loop", ["", "go", "r"], ["y"], body=body), go=True)


def set_dim(model: onnx.ModelProto, axis: int, extent: int) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = extent


REFUSED: dict[str, tuple[Damage, str]] = {
    "NaN weight": (weight(lambda w: w.__setitem__((0, 0), np.nan)), "quantize.not-finite"),
    "infinite weight": (weight(lambda w: w.__setitem__((0, 0), np.inf)), "quantize.not-finite"),
    "weights that overflow": (weight(lambda w: w.fill(3e38)), "quantize.overflow"),
    "products that overflow": (weight(lambda w: w.fill(1e29)), "quantize.overflow"),
    "input of another extent": (lambda m: set_dim(m, 1, 5), "frontend.runtime-refuses"),
    "input of a huge extent": (lambda m: set_dim(m, 1, 2**62), "frontend.runtime-refuses"),
    "more requests than are given": (lambda m: set_dim(m, 0, 7), "request.bad-shape"),
    "no outputs": (lambda m: m.graph.ClearField("output"), "frontend.no-outputs"),
    "slice bounds that are scalars": (constant(2, 4), "frontend.invalid-model"),
    "slice axis out of range": (constant(3, [7]), "frontend.runtime-refuses"),
    "missing attribute": (after_relu(helper.make_node("Concat", ["r"], ["y"])), "frontend.invalid-model"),
    "attribute of another type": (
        after_relu(helper.make_node("Concat", ["r"], ["y"], axis="one")), "frontend.invalid-model"),
    "extreme axis": (
        after_relu(helper.make_node("Concat", ["r", "r"], ["y"], axis=2**62)), "host.onnxruntime"),
    "contradicting shapes": (constant(0, np.ones((5, 4), np.float32)), "frontend.runtime-refuses"),
    "contradicting types": (constant(0, np.ones((8, 4), np.float64)), "frontend.runtime-refuses"),
    "endless loop": (endless(), "host.time-limit"),
    "a huge fill": (
        after_relu(helper.make_node("ConstantOfShape", ["n"], ["z"]),
                   helper.make_node("ReduceMax", ["z"], ["o"], keepdims=0),
                   helper.make_node("Add", ["r", "o"], ["y"]), n=[2**30]), "host.memory-limit"),
    "a custom operator": (
        after_relu(helper.make_node("Own", ["r"], ["y"], domain="own")), "frontend.unknown-operator"),
    "an unknown operator set": (lambda m: m.opset_import.add(domain="own", version=3), "accepted"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_models(name: str, tmp_path: Path) -> None:
    damage, code = REFUSED[name]
    model = good()
    damage(model)
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    try:
        cimc.compile(path, calib=X, limits=LIMITS).run(X, "exact")
    except CimcError as error:
        found = error.code
    else:
        found = "accepted"
    assert found == code
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize(
    "name", ["", " ", "a\nb", "\x1b[31m", "@main", "%0", '"', "}", "../x", "#", "é\u202e", "x" * 1024]
)
def test_strange_names_are_only_names(name: str, tmp_path: Path) -> None:
    """Of values, nodes, weights and outputs; the text and the file of the program keep them."""
    model = good()
    for node in model.graph.node:
        node.name = f"{name}{node.op_type}"[:1024]
        for part in (node.input, node.output):
            part[:] = [f"{name}{v}" for v in part]
    for part in (model.graph.input, model.graph.output, model.graph.initializer):
        for item in part:
            item.name = f"{name}{item.name}"[:1024]
    if len(name) > 1000:
        with pytest.raises(CimcError):
            compile_and_run(model, name, tmp_path)
        return
    want = run_onnx(model, {f"{name}x": X["x"]})
    have = compile_and_run(model, name, tmp_path)
    assert want.keys() == have.keys()
    np.testing.assert_allclose(have[f"{name}y"], want[f"{name}y"], atol=0.1)


def compile_and_run(model: onnx.ModelProto, name: str, folder: Path) -> dict[str, np.ndarray]:
    onnx.save(model, folder / "m.onnx")
    inputs = {f"{name}x": X["x"]}
    cimc.compile(folder / "m.onnx", calib=inputs).save(folder / "m.cimc")
    return cimc.Program.load(folder / "m.cimc").run(inputs, "exact").outputs


def test_subnormal_weights_count_as_zero(tmp_path: Path) -> None:
    model = good()
    weight(lambda w: w[:, 0].fill(1e-44))(model)
    outputs = compile_and_run(model, "", tmp_path)["y"]
    assert (outputs[:, 0] == 0).all()
    assert np.isfinite(outputs).all()
    np.testing.assert_allclose(outputs, run_onnx(model, X)["y"], atol=0.1)


def test_a_weight_that_is_also_an_output(tmp_path: Path) -> None:
    model = good()
    model.graph.output.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [8, 4]))
    outputs = compile_and_run(model, "", tmp_path)
    np.testing.assert_array_equal(outputs["w"], numpy_helper.to_array(model.graph.initializer[0]))


@pytest.mark.parametrize("key", ["nobody", "Location", ""])
def test_unknown_keys_of_external_data(key: str, tmp_path: Path) -> None:
    model = good()
    tensor = model.graph.initializer[0]
    (tmp_path / "w.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    tensor.external_data.add(key="checksum", value="0" * 40)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    cimc.compile(tmp_path / "m.onnx", calib=X)
    tensor.external_data.add(key=key, value="1")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CimcError) as caught:
        cimc.compile(tmp_path / "m.onnx", calib=X)
    assert caught.value.code == "frontend.external-data-range"
