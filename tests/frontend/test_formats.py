"""Number formats of whole models: integers keep their scales, and what onnxruntime cannot run is widened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.compare.reference import reference_outputs
from cimc.isa.program import HostSegment
from tests.transforms.onnx.composites.test_operators import MS, node
from tests.transforms.recognise.fusing import Arrays, floats

RNG = np.random.default_rng(0)
W = RNG.integers(-100, 100, (16, 12)).astype(np.int8)
S = (RNG.random(12) * 0.01 + 0.001).astype(np.float32)
X: Arrays = {"x": floats(24, 16)}
B16 = TensorProto.BFLOAT16


def compiled(
    nodes: list[onnx.NodeProto], weights: dict[str, Any], folder: Path, kind: int = TensorProto.FLOAT
) -> tuple[cimc.Program, list[dict[str, str]]]:
    """A program that agrees with the reference, and what is on the host."""
    made = [w if isinstance(w, TensorProto) else numpy_helper.from_array(w, n) for n, w in weights.items()]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, ["batch", 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 12])],
        made,
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MS, 1)]
    path = folder / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    host: list[dict[str, str]] = []

    def after(done: Any, module: Any, ctx: Any, seconds: float) -> None:
        if done.name == "outline-host":
            host.extend(ctx.remarks.recognition.host)

    program = cimc.compile(path, calib=X, after=after)
    outputs = program.run(X, mode="exact").outputs
    check = check_outputs(reference_outputs(path, X)[0], outputs, Bound())
    assert check.passed, [o.failures for o in check.outputs]
    return program, host


def weight_of(program: cimc.Program) -> np.ndarray:
    (matrix,) = program.data.matrices
    return program.data.data[f"{matrix.name}.data"]


DYNAMIC = {
    "DynamicQuantizeMatMul": [node("DynamicQuantizeMatMul", ["x", "w", "s", "", "b"], ["y"], MS)],
    "MatMulIntegerToFloat": [
        node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"]),
        node("MatMulIntegerToFloat", ["q", "w", "qs", "s", "qz", "", "b"], ["y"], MS),
    ],
    "a transposed weight": [
        node("DequantizeLinear", ["wt", "s"], ["f"], axis=0),
        node("Transpose", ["f"], ["t"], perm=[1, 0]),
        node("MatMul", ["x", "t"], ["m"]),
        node("Add", ["m", "b"], ["y"]),
    ],
}


@pytest.mark.parametrize("name", DYNAMIC)
def test_integer_weights_are_kept(name: str, tmp_path: Path) -> None:
    weights = {"w": W, "wt": W.T.copy(), "s": S, "b": floats(12)}
    used = {i for n in DYNAMIC[name] for i in n.input}
    program, host = compiled(DYNAMIC[name], {k: v for k, v in weights.items() if k in used}, tmp_path)
    assert host == []
    np.testing.assert_array_equal(weight_of(program), W)


@pytest.mark.parametrize("turned", [False, True])
def test_scales_per_block_are_quantised_again_with_a_note(turned: bool, tmp_path: Path) -> None:
    scales = (RNG.random((4, 12)) * 0.01 + 0.001).astype(np.float32)
    nodes = [node("DequantizeLinear", ["w", "s"], ["f"], axis=int(turned), block_size=4)]
    nodes += [node("Transpose", ["f"], ["t"], perm=[1, 0])] if turned else []
    nodes.append(node("MatMul", ["x", "t" if turned else "f"], ["y"]))
    weights = {"w": W.T.copy() if turned else W, "s": scales.T.copy() if turned else scales}
    program, host = compiled(nodes, weights, tmp_path)
    assert host == []
    assert any("scales per block" in note for note in program.notes)


def test_an_unknown_scale_stays_on_the_host(tmp_path: Path) -> None:
    nodes = [
        node("ReduceMax", ["x"], ["s"], keepdims=0),
        node("DynamicQuantizeMatMul", ["x", "w", "s"], ["y"], MS),
    ]
    _, host = compiled(nodes, {"w": W}, tmp_path)
    assert "com.microsoft.DynamicQuantizeMatMul" in {h.op for h in host}


def bfloat(name: str, *dims: int) -> TensorProto:
    return helper.make_tensor(name, B16, dims, (floats(*dims, seed=3) / 4).ravel().tolist())


def test_a_model_in_bfloat16_runs_in_float32_and_says_so(tmp_path: Path) -> None:
    nodes = [
        node("Cast", ["x"], ["xb"], to=B16),
        node("MatMul", ["xb", "w"], ["h"]),
        node("Add", ["h", "c"], ["a"]),
        node("Relu", ["a"], ["r"]),
        node("Cast", ["r"], ["y"], to=TensorProto.FLOAT),
    ]
    constant = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", B16, [12], [0.5] * 12))
    program, host = compiled([constant, *nodes], {"w": bfloat("w", 16, 12)}, tmp_path)
    assert host == []
    assert not [s for s in program.data.segments if isinstance(s, HostSegment)]
    assert sum("bfloat16" in note for note in program.notes) == 1


def test_bfloat16_weights_alone_need_no_note(tmp_path: Path) -> None:
    nodes = [node("Cast", ["w"], ["f"], to=TensorProto.FLOAT), node("MatMul", ["x", "f"], ["y"])]
    program, host = compiled(nodes, {"w": bfloat("w", 16, 12)}, tmp_path)
    assert host == []
    assert not any("bfloat16" in note for note in program.notes)
