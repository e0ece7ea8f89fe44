"""Operators that stand for several: on the chip, with the numbers of onnxruntime; near misses stay whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.transforms.recognise.fusing import Arrays, Fused, floats, fuse

MS, ML = "com.microsoft", "ai.onnx.ml"


def graph(
    nodes: list[onnx.NodeProto], inputs: dict[str, Any], weights: Arrays, outputs: list[str], opset: int = 21
) -> onnx.ModelProto:
    """A model; dimension 0 of inputs is the batch."""
    kinds = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}
    given = [
        helper.make_tensor_value_info(n, kinds[a.dtype], ["batch", *a.shape[1:]]) for n, a in inputs.items()
    ]
    results = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs]
    made = [numpy_helper.from_array(np.asarray(a), n) for n, a in weights.items()]
    proto = helper.make_graph(nodes, "g", given, results, made)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MS, 1), helper.make_opsetid(ML, 3)]
    return helper.make_model(proto, opset_imports=opsets, ir_version=10)


def node(kind: str, inputs: list[str], outputs: list[str], domain: str = "", **attrs: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, outputs, name=f"{kind}_{outputs[0]}", domain=domain, **attrs)


def run(nodes: list[onnx.NodeProto], inputs: Arrays, weights: Arrays, opset: int = 21) -> Fused:
    """Fused behind a layer on input ``x``, so that there is something to go to the chip for."""
    wide = inputs["x"].shape[-1]
    first = node("MatMul", ["x", "anchor"], ["h"])
    weights = {"anchor": floats(wide, wide, seed=9) / np.float32(wide), **weights}
    found = fuse(graph([first, *nodes], inputs, weights, ["y"], opset))
    found.check(inputs, 1e-4)
    return found


X = {"x": floats(3, 5, 8)}
GAMMA, BETA, BIAS = floats(8, seed=1), floats(8, seed=2), floats(8, seed=3)
SIMPLE: dict[str, tuple[list[onnx.NodeProto], Arrays]] = {
    "Gelu": ([node("Gelu", ["h"], ["y"], MS)], {}),
    "BiasGelu": ([node("BiasGelu", ["h", "b"], ["y"], MS)], {"b": BIAS}),
    "FastGelu": ([node("FastGelu", ["h", "b"], ["y"], MS)], {"b": BIAS}),
    "QuickGelu": ([node("QuickGelu", ["h"], ["y"], MS, alpha=1.5)], {}),
    "SkipLayerNormalization": (
        [node("SkipLayerNormalization", ["h", "x", "g", "be", "b"], ["y"], MS, epsilon=1e-3)],
        {"g": GAMMA, "be": BETA, "b": BIAS},
    ),
    "SkipLayerNormalization, its sum": (
        [
            node("SkipLayerNormalization", ["h", "x", "g"], ["n", "", "", "s"], MS),
            node("Add", ["n", "s"], ["y"]),
        ],
        {"g": GAMMA},
    ),
    "SkipSimplifiedLayerNormalization": (
        [node("SkipSimplifiedLayerNormalization", ["h", "x", "g"], ["y"], MS)],
        {"g": GAMMA},
    ),
    "FusedMatMul": ([node("FusedMatMul", ["h", "w"], ["y"], MS, transB=1, alpha=0.5)], {"w": floats(6, 8)}),
    "FusedMatMul of activations": (
        [node("FusedMatMul", ["h", "x"], ["y"], MS, transA=1, alpha=0.25)],
        {},
    ),
    "Einsum of three": (
        [node("Einsum", ["h", "w", "v"], ["y"], equation="blk,kn,nm->blm")],
        {"w": floats(8, 6), "v": floats(6, 4)},
    ),
    "MultiHeadAttention": (
        [node("MultiHeadAttention", ["h", "x", "x", "b"], ["y"], MS, num_heads=2)],
        {"b": floats(24)},
    ),
    "Attention of onnxruntime": (
        [node("Attention", ["h", "w", "b"], ["y"], MS, num_heads=2, unidirectional=1)],
        {"w": floats(8, 24), "b": floats(24)},
    ),
    "Scaler of a number": ([node("Scaler", ["h"], ["y"], ML, offset=[0.5], scale=[2.0])], {}),
}


@pytest.mark.parametrize("name", SIMPLE)
@pytest.mark.parametrize("opset", [17, 21])
def test_compound_operators_are_on_the_chip(name: str, opset: int) -> None:
    nodes, weights = SIMPLE[name]
    found = run(nodes, X, weights, opset)
    assert found.ctx.remarks.recognition.host == ()
    assert found.counts()["host"] == 0


def test_products_with_weights_inside_are_layers() -> None:
    for name, count in (("Attention of onnxruntime", 4), ("FusedMatMul", 2), ("Einsum of three", 3)):
        nodes, weights = SIMPLE[name]
        assert run(nodes, X, weights).counts()["linear"] == count, name


def test_fused_gemm_is_a_layer_with_its_activation() -> None:
    x = {"x": floats(3, 8)}
    fused = run(
        [node("FusedGemm", ["h", "w", "b"], ["y"], MS, transB=1, activation="Relu")],
        x,
        {"w": floats(4, 8), "b": floats(4)},
    )
    assert fused.counts()["linear"] == 2
    assert fused.ctx.remarks.recognition.host == ()


QKV = {"x": floats(3, 5, 8), "k": floats(3, 6, 8, seed=4), "v": floats(3, 6, 8, seed=5)}


@pytest.mark.parametrize("opset", [23, 24])
@pytest.mark.parametrize(
    ("extra", "attrs", "weights"),
    [
        ([], {}, {}),
        ([], {"is_causal": 1}, {}),
        ([], {"scale": 0.3}, {}),
        (["m"], {}, {"m": floats(5, 6)}),
        (["m"], {}, {"m": np.tril(np.ones((5, 6), np.bool_))}),
        (["m"], {"is_causal": 1}, {"m": floats(1, 2, 5, 6)}),
        (["m"], {"is_causal": 1}, {"m": np.triu(np.ones((5, 6), np.bool_), 1)}),  # the last may look at one
    ],
)
def test_attention_of_onnx(opset: int, extra: list[str], attrs: dict[str, Any], weights: Arrays) -> None:
    nodes = [node("Attention", ["h", "k", "v", *extra], ["y"], q_num_heads=2, kv_num_heads=2, **attrs)]
    found = run(nodes, QKV, weights, opset)
    assert found.ctx.remarks.recognition.host == ()
    assert found.counts()["matmul"] == 2


@pytest.mark.parametrize(
    ("attrs", "reason"),
    [
        ({"softcap": 2.0}, "its scores are capped (softcap)"),
    ],
)
def test_attention_that_is_not_taken_apart_stays_whole(attrs: dict[str, Any], reason: str) -> None:
    given = {"q_num_heads": 2, "kv_num_heads": 2, **attrs}
    found = run([node("Attention", ["h", "k", "v"], ["y"], **given)], QKV, {}, 23)
    assert found.reasons() == {"Attention": reason}


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize(("heads", "kept", "wide"), [(4, 2, 2), (4, 1, 3), (2, 2, 5)])
def test_heads_of_keys_may_serve_several_of_queries(
    heads: int, kept: int, wide: int, flat: bool, causal: int
) -> None:
    depth = 8 // heads
    inputs = {
        "x": floats(3, 5, 8),
        "k": floats(3, 6, kept * depth, seed=4),
        "v": floats(3, 6, kept * wide, seed=5),
    }
    names, nodes, weights, attrs = ["h", "k", "v"], [], {}, {"q_num_heads": heads, "kv_num_heads": kept}
    if not flat:
        extents = {"h": (5, heads, depth), "k": (6, kept, depth), "v": (6, kept, wide)}
        for name, dims in extents.items():
            weights[f"{name}_dims"] = np.array([0, *dims])
            nodes.append(node("Reshape", [name, f"{name}_dims"], [f"{name}_r"]))
            nodes.append(node("Transpose", [f"{name}_r"], [f"{name}_t"], perm=[0, 2, 1, 3]))
        names, attrs = [f"{n}_t" for n in names], {}
    nodes.append(node("Attention", names, ["y"], is_causal=causal, **attrs))
    found = run(nodes, inputs, weights, 23)
    assert found.ctx.remarks.recognition.host == ()


def packed(values: Arrays | Any, bits: int) -> Any:
    """Rows of numbers as bytes, the lowest bits first, by arithmetic of Python's integers."""
    rows = []
    for row in values.tolist():
        total = sum(int(v) << (bits * n) for n, v in enumerate(row))
        rows.append(list(total.to_bytes(-(-len(row) * bits // 8), "little")))
    return np.array(rows, np.uint8)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("zeros", ["none", "packed", "float"])
@pytest.mark.parametrize(("inner", "units", "block"), [(32, 6, 16), (40, 3, 16), (48, 5, 32)])
def test_packed_weights_are_a_layer(bits: int, zeros: str, inner: int, units: int, block: int) -> None:
    if bits == 8 and zeros == "float":
        pytest.skip("onnxruntime refuses these")
    rng, blocks = np.random.default_rng(bits), -(-inner // block)
    codes = rng.integers(0, 1 << bits, (units, blocks * block))
    weights: Arrays = {
        "w": packed(codes, bits).reshape(units, blocks, -1),
        "s": (rng.random((units, blocks)) * 0.1).astype(np.float32),
    }
    names = ["h", "w", "s"]
    if zeros != "none":
        points = rng.integers(0, 1 << bits, (units, blocks))
        weights["z"] = packed(points, bits) if zeros == "packed" else points.astype(np.float32)
        names.append("z")
    attrs = {"K": inner, "N": units, "bits": bits, "block_size": block}
    found = run([node("MatMulNBits", names, ["y"], MS, **attrs)], {"x": floats(3, inner)}, weights)
    assert found.counts() == {"linear": 2}


def test_packed_weights_of_another_size_stay_whole() -> None:
    """onnxruntime refuses such a model when it runs, not the compiler."""
    weights = {"w": np.zeros((6, 2, 8), np.uint8), "s": np.ones(11, np.float32), "a": floats(32, 32)}
    nodes = [
        node("MatMul", ["x", "a"], ["h"]),
        node("MatMulNBits", ["h", "w", "s"], ["y"], MS, K=32, N=6, bits=4, block_size=16),
    ]
    found = fuse(graph(nodes, {"x": floats(3, 32)}, weights, ["y"]))
    assert found.reasons() == {"com.microsoft.MatMulNBits": "its weights do not have the size that it states"}


@pytest.mark.parametrize(
    ("activation", "params"), [("Relu", []), ("LeakyRelu", [0.25]), ("HardSigmoid", [0.2, 0.4]), ("Tanh", [])]
)
@pytest.mark.parametrize("total", [False, True])
def test_fused_convolutions_are_layers(activation: str, params: list[float], total: bool) -> None:
    x = {"x": floats(3, 2, 8)} | ({"z": floats(3, 4, 6, seed=3)} if total else {})
    given = {"activation": activation} | ({"activation_params": params} if params else {})
    if total and activation != "Relu":
        pytest.skip("onnxruntime adds only in front of Relu")
    names = ["h", "w", "b", "z"] if total else ["h", "w", "b"]
    nodes = [node("FusedConv", names, ["y"], MS, kernel_shape=[3], **given)]
    found = run(nodes, x, {"w": floats(4, 2, 3), "b": floats(4)})
    assert found.counts()["linear"] == 2
    assert found.ctx.remarks.recognition.host == ()


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_rows_divided_by_their_norm(norm: str) -> None:
    x = floats(4, 8)
    x[1] = 0
    assert run([node("Normalizer", ["h"], ["y"], ML, norm=norm)], {"x": x}, {}).counts()["host"] == 0


@pytest.mark.parametrize("targets", [1, 3])
def test_a_linear_model_is_a_layer(targets: int) -> None:
    given = {"coefficients": floats(8 * targets).tolist(), "intercepts": floats(targets).tolist()}
    nodes = [node("LinearRegressor", ["h"], ["y"], ML, targets=targets, **given)]
    assert run(nodes, {"x": floats(3, 8)}, {}).counts()["linear"] == 2


def test_features_are_scaled_each_by_its_own() -> None:
    given = {"offset": floats(8).tolist(), "scale": floats(8, seed=1).tolist()}
    assert run([node("Scaler", ["h"], ["y"], ML, **given)], {"x": floats(3, 8)}, {}).counts()["host"] == 0


def test_features_of_integers_are_scaled_on_the_host_and_nothing_else_is() -> None:
    found = run(
        [
            node("Scaler", ["i"], ["s"], ML, offset=[1.0, 2.0], scale=[0.5, 0.25]),
            node("Concat", ["h", "s"], ["y"], axis=1),
        ],
        {"x": floats(3, 8), "i": np.array([[1, 2], [3, 4], [7, 9]])},
        {},
    )
    assert found.reasons() == {"ai.onnx.ml.Scaler": "its input is not float32"}


@pytest.mark.skipif(
    "left_window_size" not in onnx.defs.get_schema("Attention").attributes, reason="this onnx knows no window"
)
def test_attributes_of_later_versions_are_not_ignored() -> None:
    given = {"q_num_heads": 2, "kv_num_heads": 2, "left_window_size": 2}
    nodes = [node("MatMul", ["x", "anchor"], ["h"]), node("Attention", ["h", "k", "v"], ["y"], **given)]
    fused = fuse(graph(nodes, QKV, {"anchor": floats(8, 8)}, ["y"], 25))
    assert fused.reasons() == {"Attention": "attribute 'left_window_size' of Attention is not known here"}


def test_what_follows_a_whole_operator_is_on_the_chip() -> None:
    """The symbolic analysis has no rule for it; ONNX's inference knows that it keeps the batch."""
    given = {"q_num_heads": 2, "kv_num_heads": 2, "softcap": 2.0}
    nodes = [node("Attention", ["h", "h", "h"], ["a"], **given), node("MatMul", ["a", "w"], ["y"])]
    found = run(nodes, X, {"w": floats(8, 3)}, 23)
    assert set(found.reasons()) == {"Attention"}
    assert found.counts() == {"linear": 2, "host": 1}


@pytest.mark.parametrize("positions", [True, False])
@pytest.mark.parametrize("flat", [True, False])
def test_rotary_embedding(positions: bool, flat: bool) -> None:
    angle = np.outer(np.arange(10), 1 / 100 ** (np.arange(2) / 2)).astype(np.float32)
    inputs: Arrays = {"x": floats(3, 5, 8)}
    weights: Arrays = {"shape": np.array([0, 5, 2, 4])}
    nodes = []
    value = "h"
    if not flat:
        nodes += [
            node("Reshape", ["h", "shape"], ["r"]),
            node("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3]),
        ]
        value = "t"
    if positions:
        inputs["p"] = np.tile(np.arange(5), (3, 1))
        weights |= {"cos": np.cos(angle), "sin": np.sin(angle)}
        given = [value, "cos", "sin", "p"]
    else:
        inputs |= {"cos": np.tile(np.cos(angle[:5]), (3, 1, 1)), "sin": np.tile(np.sin(angle[:5]), (3, 1, 1))}
        given = [value, "cos", "sin"]
    nodes.append(node("RotaryEmbedding", given, ["y"], **({"num_heads": 2} if flat else {})))
    found = run(nodes, inputs, weights, 23)
    assert found.ctx.remarks.recognition.host == ()


def test_a_compound_operator_on_the_host_is_named_as_in_the_model() -> None:
    nodes = [node("CumSum", ["h", "axis"], ["c"]), node("Gelu", ["c"], ["y"], MS)]
    found = fuse(graph([node("Relu", ["x"], ["h"]), *nodes], X, {"axis": np.array(1)}, ["y"]))
    found.check(X)
    assert {h.op for h in found.ctx.remarks.recognition.host} == {"Relu", "CumSum", "com.microsoft.Gelu"}
