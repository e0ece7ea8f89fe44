"""Which inputs a program asks for: those that its outputs need, with the extents that they must have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import cimc
from cimc.compare.reference import part_outputs, reference_outputs
from cimc.errors import RequestError
from cimc.host.runtime import run_onnx

RNG = np.random.default_rng(1)
BATCH, DIM = 8, 4
CONSTANTS = {
    "W": RNG.normal(0, 1, (DIM, DIM)).astype(np.float32),
    "table": RNG.normal(0, 1, (20, DIM)).astype(np.float32),
    "row": RNG.normal(0, 1, (1, DIM)).astype(np.float32),
    "eight": RNG.normal(0, 1, (BATCH, DIM)).astype(np.float32),
    "zero": np.array(0),
    "zeros": np.array([0]),
    "dim": np.array([DIM]),
    "one": np.array([1]),
}
Dims = Sequence[str | int | None]


def _model(folder: Path, nodes: Sequence[onnx.NodeProto], inputs: dict[str, Dims], *outputs: str) -> Path:
    """Write a model; the input ``item`` and ``spare`` hold integers, all others floats."""
    used = {name for node in nodes for name in node.input}
    integers = {"item", "spare"}
    graph = helper.make_graph(
        nodes,
        "model",
        [
            helper.make_tensor_value_info(
                n, TensorProto.INT64 if n in integers else TensorProto.FLOAT, list(dims)
            )
            for n, dims in inputs.items()
        ],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
        [numpy_helper.from_array(array, name) for name, array in CONSTANTS.items() if name in used],
    )
    path = folder / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def _requests(names: Sequence[str]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    found = {
        "x": rng.normal(0, 1, (BATCH, DIM)).astype(np.float32),
        "user": rng.normal(0, 1, (BATCH, DIM)).astype(np.float32),
        "item": rng.integers(0, 20, BATCH),
        "spare": np.arange(BATCH),
    }
    return {name: found[name] for name in names}


def _towers(source: str, use: str) -> list[onnx.NodeProto]:
    """Two towers; that of the items reads the batch off ``source``, and does ``use`` with it."""
    node = helper.make_node
    end = (
        [node("Expand", ["row", "size"], ["wide"]), node("Add", ["rows", "wide"], ["item_vec"])]
        if use == "Expand"
        else [node("Reshape", ["rows", "size"], ["same"]), node("MatMul", ["same", "W"], ["item_vec"])]
    )
    return [
        node("MatMul", ["user", "W"], ["user_vec"]),
        node("Shape", [source], ["shape"]),
        node("Gather", ["shape", "zero"], ["batch"]),
        node("Unsqueeze", ["batch", "zeros"], ["batches"]),
        node("Concat", ["batches", "dim"], ["size"], axis=0),
        node("Gather", ["table", "item"], ["rows"]),
        *end,
        node("Mul", ["user_vec", "item_vec"], ["products"]),
        node("ReduceSum", ["products", "one"], ["score"], keepdims=0),
    ]


@pytest.mark.parametrize("names", [("B", "B"), ("users", "items"), (None, None)], ids=str)
@pytest.mark.parametrize("source", ["user", "user_vec"])
@pytest.mark.parametrize("use", ["Expand", "Reshape"])
def test_a_tower_takes_its_batch_from_its_own_inputs(
    use: str, source: str, names: tuple[str | None, str | None], tmp_path: Path
) -> None:
    inputs: dict[str, Dims] = {"user": [names[0], DIM], "item": [names[1]]}
    path = _model(tmp_path, _towers(source, use), inputs, "user_vec", "item_vec", "score")
    requests = _requests(["user", "item"])
    expected = run_onnx(onnx.load(path), requests)["item_vec"]
    items = {"item": requests["item"]}
    tower = cimc.compile(path, calib=items, outputs=["item_vec"])
    assert [name for name, _, _ in tower.data.header.inputs] == ["item"]
    assert any("'user'" in note for note in tower.notes)
    np.testing.assert_allclose(tower.run(items, mode="exact").outputs["item_vec"], expected, atol=0.1)
    np.testing.assert_allclose(part_outputs(path, items, ["item_vec"])["item_vec"], expected, rtol=1e-5)
    other = {"item": np.arange(3)}  # another number of items than there are users
    assert tower.run(other, mode="exact").outputs["item_vec"].shape == (3, DIM)


def test_an_extent_that_nothing_else_has_is_still_asked_for(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gather", ["table", "item"], ["rows"]),
        helper.make_node("Shape", ["user"], ["shape"]),
        helper.make_node("Cast", ["shape"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["floats"], ["size"], keepdims=1),
        helper.make_node("Mul", ["rows", "size"], ["y"]),
        helper.make_node("MatMul", ["user", "W"], ["z"]),
    ]
    path = _model(tmp_path, nodes, {"user": ["U", DIM], "item": ["I"]}, "y", "z")
    requests = _requests(["user", "item"])
    part = cimc.compile(path, calib=requests, outputs=["y"])
    assert [name for name, _, _ in part.data.header.inputs] == ["user", "item"]


@pytest.mark.parametrize("dead", [False, True], ids=["unused", "feeds what nobody reads"])
def test_inputs_that_no_output_needs_are_not_asked_for(dead: bool, tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "W"], ["y"])]
    if dead:
        nodes.append(helper.make_node("Neg", ["spare"], ["nobody"]))
    path = _model(tmp_path, nodes, {"x": ["B", DIM], "spare": ["B"]}, "y")
    requests = _requests(["x"])
    program = cimc.compile(path, calib=requests)
    assert [name for name, _, _ in program.data.header.inputs] == ["x"]
    assert any("spare" in note for note in program.notes)
    expected = run_onnx(onnx.load(path), _requests(["x", "spare"]))["y"]
    for given in (requests, _requests(["x", "spare"])):
        np.testing.assert_allclose(program.run(given, mode="exact").outputs["y"], expected, atol=0.1)
        np.testing.assert_allclose(reference_outputs(path, given)[0]["y"], expected, rtol=1e-5)
    assert cimc.compile(path).data.header.inputs == program.data.header.inputs
    with pytest.raises(RequestError, match="'x'"):
        reference_outputs(path, _requests(["spare"]))


def test_an_input_that_only_tells_the_batch_is_not_asked_for(tmp_path: Path) -> None:
    nodes = [n for n in _towers("user", "Expand") if "user_vec" not in (*n.input, *n.output)]
    path = _model(tmp_path, nodes[:-1], {"user": ["B", DIM], "item": ["B"]}, "item_vec")
    requests = _requests(["item"])
    program = cimc.compile(path, calib=requests)
    assert [name for name, _, _ in program.data.header.inputs] == ["item"]
    expected = run_onnx(onnx.load(path), _requests(["user", "item"]))["item_vec"]
    np.testing.assert_allclose(program.run(requests, mode="exact").outputs["item_vec"], expected, atol=0.1)
    apart = _model(tmp_path, nodes[:-1], {"user": ["U", DIM], "item": ["I"]}, "item_vec")
    names = [name for name, _, _ in cimc.compile(apart, calib=_requests(["user", "item"])).data.header.inputs]
    assert names == ["user", "item"]  # their numbers may differ


JOINED = {
    "before the layer": [
        helper.make_node("Concat", ["x", "eight"], ["both"], axis=1),
        helper.make_node("Slice", ["both", "zeros", "dim", "one"], ["first"]),
        helper.make_node("MatMul", ["first", "W"], ["y"]),
    ],
    "behind the layer": [
        helper.make_node("MatMul", ["x", "W"], ["product"]),
        helper.make_node("Concat", ["product", "eight"], ["y"], axis=1),
    ],
}


@pytest.mark.parametrize("nodes", JOINED.values(), ids=JOINED)
def test_a_constant_that_forces_the_batch(nodes: list[onnx.NodeProto], tmp_path: Path) -> None:
    path = _model(tmp_path, nodes, {"x": ["B", DIM]}, "y")
    requests = _requests(["x"])
    program = cimc.compile(path, calib=requests)
    expected = run_onnx(onnx.load(path), requests)["y"]
    np.testing.assert_allclose(program.run(requests, mode="exact").outputs["y"], expected, atol=0.1)
    assert program.data.header.inputs == (("x", "float32", (BATCH, DIM)),)
    with pytest.raises(RequestError) as error:
        program.run({"x": requests["x"][:5]})
    assert error.value.code == "request.bad-shape"
    assert cimc.compile(path).data.header.inputs == program.data.header.inputs
