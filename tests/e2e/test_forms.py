"""Small graphs with something unusual in each: all compile, run, and agree with onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.host.runtime import run_onnx
from cimc.isa.program import HostSegment

RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


W84, X = floats(8, 4), floats(3, 8)
# name: graph, constants, inputs, segments (c = chip, h = host)
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "sequence length varies": (
        "(float[B,L,8] x) => (float[B,L,4] y) { h = MatMul(x,w) y = Relu(h) }",
        {"w": W84}, {"x": floats(3, 5, 8)}, "h",
    ),
    "constant output": (
        "(float[B,8] x) => (float[B,4] y, float[2] c) { y = MatMul(x,w) c = Identity(k) }",
        {"w": W84, "k": floats(2)}, {"x": X}, "hc",
    ),
    "input is output": (
        "(float[B,8] x) => (float[B,8] y, float[B,4] z) { y = Identity(x) z = MatMul(x,w) }",
        {"w": W84}, {"x": X}, "c",
    ),
    "one output twice": (
        "(float[B,8] x) => (float[B,4] y, float[B,4] z) { y = MatMul(x,w) z = Identity(y) }",
        {"w": W84}, {"x": X}, "c",
    ),
    "reduction of the batch": (
        "(float[B,3] x) => (float[3] y) { y = ReduceSum<keepdims=0>(x,ax) }",
        {"ax": np.array([0])}, {"x": floats(2, 3)}, "h",
    ),
    "similarity inside the batch": (
        "(float[B,8] x) => (float[B,B] y) { h = MatMul(x,w) t = Transpose<perm=[1,0]>(h) y = MatMul(h,t) }",
        {"w": W84}, {"x": X}, "ch",
    ),
    "chip, host, chip": (
        "(float[B,8] x) => (float[B,2] y) { h = MatMul(x,w) s = CumSum(h,a) r = Relu(s) y = MatMul(r,v) }",
        {"w": W84, "v": floats(4, 2), "a": np.array(0)}, {"x": X}, "chc",
    ),
    "larger than a scratchpad": (
        "(float[B,300,64] x) => (float[B,300,64] y) { y = Relu(x) }", {}, {"x": floats(2, 300, 64)}, "h",
    ),
    "integer output": (
        "(float[B,8] x) => (int64[B] y) { h = MatMul(x,w) y = ArgMax<axis=1,keepdims=0>(h) }",
        {"w": np.eye(8, 4, dtype=np.float32)}, {"x": X}, "ch",
    ),
    "two batches": (
        "(float[U,8] u, float[N,8] i) => (float[N] y) "
        "{ a = MatMul(u,w) b = MatMul(i,w) m = Mul(a,b) y = ReduceSum<keepdims=0>(m,ax) }",
        {"w": W84, "ax": np.array([1])}, {"u": floats(1, 8), "i": floats(5, 8)}, "ch",
    ),
    "no batch": ("(float[8] x) => (float[4] y) { y = MatMul(x,w) }", {"w": W84}, {"x": floats(8)}, "h"),
    "batch of one": (
        "(float[1,8] x) => (float[1,4] y) { y = MatMul(x,w) }", {"w": W84}, {"x": floats(1, 8)}, "c",
    ),
    "unused input": (
        "(float[B,8] x, float[B,2] z) => (float[B,4] y) { y = MatMul(x,w) }",
        {"w": W84}, {"x": X, "z": floats(3, 2)}, "c",
    ),
    "rows become requests": (
        "(float[B,8] x) => (float[C,4] y) { r = Reshape(x,s) y = MatMul(r,w) }",
        {"w": floats(4, 4), "s": np.array([-1, 4])}, {"x": X}, "h",
    ),
    "ids are computed": (
        "(int64[B,3] i) => (float[B,3,4] y) { j = Add(i,o) y = Gather(w,j) }",
        {"w": floats(9, 4), "o": np.array([0, 3, 6])}, {"i": np.array([[0, 1, 2], [2, 0, 1]])}, "hc",
    ),
    "strings pass by": (
        "(string[B] s, float[B,8] x) => (float[B,4] y, string[B] t) { y = MatMul(x,w) t = Identity(s) }",
        {"w": W84}, {"s": np.array(["a", "b", "c"], dtype=object), "x": X}, "c",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_onnxruntime(case: str, tmp_path: Path) -> None:
    graph, constants, inputs, segments = CASES[case]
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {graph}')
    for name, array in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    reference = run_onnx(path, inputs)
    program = cimc.compile(path, calib=inputs)
    found = "".join("h" if isinstance(s, HostSegment) else "c" for s in program.data.segments)
    assert found == segments
    for mode in ("exact", "adc"):
        outputs = program.run(inputs, mode=mode).outputs
        for name, expected in reference.items():
            assert outputs[name].shape == expected.shape
            assert outputs[name].dtype == expected.dtype
        numeric = {k: v for k, v in reference.items() if v.dtype != object}
        check = check_outputs(numeric, outputs, Bound())
        assert check.passed, [o.failures for o in check.outputs]
        for name in set(reference) - set(numeric):
            np.testing.assert_array_equal(outputs[name], reference[name])
