"""Forms of operators that ONNX's own tests leave out: older opsets, shapes that invite a wrong broadcast.

Extents are often equal on purpose: where everything is 4, a mistake in axes does not show in the shapes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from bench.conformance.cases import Case
from bench.conformance.run import BATCH, FORMS, PARAMETERS, judge
from cimc.host.runtime import run_onnx

Array = NDArray[Any]
RNG = np.random.default_rng(0)


def f(*dims: int) -> Array:
    return RNG.standard_normal(dims).astype(np.float32)


def i(*values: int) -> Array:
    return np.array(values, np.int64)


def positive(*dims: int) -> Array:
    return np.abs(f(*dims)) + np.float32(0.1)


def case(op: str, opset: int, inputs: list[Array | None], outputs: int = 1, **attrs: Any) -> Case:
    """One node; expected is what onnxruntime gives."""
    names = [f"i{k}" if a is not None else "" for k, a in enumerate(inputs)]
    given = {n: a for n, a in zip(names, inputs, strict=True) if a is not None}
    results = [f"o{k}" for k in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(op, names, results, **attrs)],
        "g",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in given.items()
        ],
        [onnx.ValueInfoProto(name=n) for n in results],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    inferred = onnx.shape_inference.infer_shapes(model).graph.output
    model.graph.ClearField("output")
    model.graph.output.extend(inferred)
    return Case(f"{op}-{opset}", op, model, ((given, run_onnx(model, given)),), 1e-4, 1e-5)


def normalised(opset: int, shape: tuple[int, ...], params: tuple[int, ...], **attrs: Any) -> Case:
    arrays = [f(*shape), f(*params), f(*params), f(*params), positive(*params)]
    return case("BatchNormalization", opset, [*arrays], **attrs)


CASES = {
    "batch normalisation, rank 2": lambda: normalised(7, (4, 3), (3,)),
    "batch normalisation, rank 4": lambda: normalised(15, (3, 3, 2, 2), (3,), epsilon=1e-2),
    "batch normalisation, per element": lambda: normalised(7, (4, 3, 3), (3, 3), spatial=0),
    "gemm, no bias": lambda: case("Gemm", 11, [f(4, 3), f(3, 5)], alpha=0.5),
    "gemm, bias per unit": lambda: case("Gemm", 7, [f(4, 3), f(5, 3), f(1, 5)], transB=1, beta=0.25),
    "gemm, bias per request": lambda: case("Gemm", 13, [f(4, 4), f(4, 4), f(4, 1)]),
    "gemm, bias per element": lambda: case("Gemm", 13, [f(4, 4), f(4, 4), f(4, 4)]),
    "gemm, activations transposed": lambda: case("Gemm", 13, [f(4, 4), f(4, 4)], transA=1),
    "matmul, vector": lambda: case("MatMul", 13, [f(4, 3), f(3)]),
    "matmul, rank 3 by rank 2": lambda: case("MatMul", 9, [f(4, 4, 3), f(3, 5)]),
    "matmul, rank 2 by rank 3": lambda: case("MatMul", 13, [f(4, 4), f(4, 4, 4)]),
    "matmul, rank 3 by rank 3": lambda: case("MatMul", 13, [f(4, 4, 4), f(4, 4, 4)]),
    "matmul, rank 4 by rank 4": lambda: case("MatMul", 13, [f(2, 2, 4, 3), f(2, 1, 3, 5)]),
    "sum, axes as attribute": lambda: case("ReduceSum", 11, [f(2, 3, 4)], axes=[-1], keepdims=0),
    "sum, axes as input": lambda: case("ReduceSum", 13, [f(2, 3, 4), i(2, 1)], keepdims=1),
    "sum, no axes": lambda: case("ReduceSum", 13, [f(3, 3), i()], noop_with_empty_axes=1),
    "sum, all axes": lambda: case("ReduceSum", 13, [f(3, 3), i()]),
    "max, axes apart": lambda: case("ReduceMax", 18, [f(2, 3, 2, 3), i(1, 3)], keepdims=0),
    "l2, over the batch": lambda: case("ReduceL2", 13, [f(3, 3)], axes=[0], keepdims=0),
    "mean, default axes": lambda: case("ReduceMean", 11, [f(2, 3)]),
    "softmax, flattening": lambda: case("Softmax", 11, [f(3, 3, 4)], axis=1),
    "softmax, default axis": lambda: case("Softmax", 9, [f(3, 3, 4)]),
    "softmax, one axis": lambda: case("Softmax", 13, [f(3, 3, 4)], axis=1),
    "squeeze, axes as attribute": lambda: case("Squeeze", 11, [f(3, 1, 4)], axes=[1]),
    "squeeze, every axis of extent 1": lambda: case("Squeeze", 13, [f(3, 1, 1)]),
    "unsqueeze, before the batch": lambda: case("Unsqueeze", 11, [f(3, 4)], axes=[0]),
    "unsqueeze, axes as input": lambda: case("Unsqueeze", 13, [f(3, 4), i(-1, 1)]),
    "slice, attributes": lambda: case("Slice", 9, [f(4, 4, 5)], starts=[-3], ends=[-1], axes=[1]),
    "slice, backwards": lambda: case("Slice", 13, [f(4, 4, 5), i(-1), i(-1000), i(1), i(-2)]),
    "slice, of the batch": lambda: case("Slice", 13, [f(4, 4), i(0), i(2), i(0)]),
    "pad, attributes": lambda: case("Pad", 2, [f(4, 4)], pads=[0, 1, 0, 2], value=1.5),
    "pad, removing": lambda: case("Pad", 11, [f(4, 4), i(0, -1, 0, 1)]),
    "pad, the batch": lambda: case("Pad", 11, [f(4, 4), i(1, 0, 1, 0)]),
    "clip, attributes": lambda: case("Clip", 6, [f(3, 4)], min=-0.5, max=0.5),
    "clip, bounds crossed": lambda: case("Clip", 13, [f(3, 4), np.float32(0.5), np.float32(-0.5)]),
    "split, attribute": lambda: case("Split", 11, [f(4, 6)], 3, axis=1, split=[1, 2, 3]),
    "split, unequal": lambda: case("Split", 18, [f(4, 7)], 3, axis=1, num_outputs=3),
    "split, of the batch": lambda: case("Split", 13, [f(4, 6), i(1, 3)], 2, axis=0),
    "gather, negative": lambda: case("Gather", 13, [f(3, 3, 3), i(0, 2, -1)], axis=1),
    "gather, requests": lambda: case("Gather", 13, [f(3, 3), i(2, 0, 1)], axis=0),
    "reshape, keeping the batch": lambda: case("Reshape", 13, [f(3, 2, 3), i(0, -1)]),
    "reshape, mixing requests": lambda: case("Reshape", 13, [f(3, 3, 2), i(-1, 3)]),
    "transpose, default": lambda: case("Transpose", 13, [f(3, 3, 3)]),
    "add, a vector over the last axis": lambda: case("Add", 13, [f(3, 3), f(3)]),
    "add, one number per request": lambda: case("Add", 13, [f(3, 3), f(3, 1)]),
    "sub, from a constant": lambda: case("Sub", 14, [f(1, 4), f(3, 4)]),
    "div, ranks differ": lambda: case("Div", 13, [f(3, 3, 3), positive(3, 3)]),
    "prelu, slope per channel": lambda: case("PRelu", 9, [f(2, 3, 4, 4), f(3, 1, 1)]),
    "leaky relu, steep": lambda: case("LeakyRelu", 16, [f(3, 4)], alpha=1.5),
    "power, integer exponent": lambda: case("Pow", 13, [f(3, 4), i(3)]),
    "einsum, swapped": lambda: case("Einsum", 12, [f(4, 4), f(4, 4)], equation="ij,jk->ki"),
    "dropout, ratio as attribute": lambda: case("Dropout", 10, [f(3, 4)], ratio=0.3),
}


@pytest.mark.parametrize("name", CASES)
def test_variant(name: str) -> None:
    row = judge(CASES[name](), (PARAMETERS, BATCH))
    assert row.excluded is None
    for (form, path), verdict in row.verdicts.items():
        assert verdict.outcome.value == "passed", (form, path, verdict)


def test_every_form_is_tried() -> None:
    row = judge(CASES["gemm, bias per unit"]())
    assert {form for form, _ in row.verdicts} == set(FORMS)
    assert row.passed
    assert row.units == {"arrays", "vector"}
