"""Published recommendation models, small, in the forms that exporters write them.

Each function builds the part behind (and with) the embeddings as TorchScript, torch.export or tf2onnx would:
layers on sequences as products of ``[batch * length, features]``, attention heads as batched products,
shapes computed at run time, constants on the left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Arrays = dict[str, NDArray[Any]]
B, F, L, D = 8, 4, 6, 8
ROWS = 20


@dataclass
class Model:
    """A graph under construction; operators and constants return the names of their values."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, NDArray[Any]] = field(default_factory=dict)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    requests: Arrays = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"v{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(
            helper.make_node(kind, inputs, names, name=f"{kind}_{len(self.nodes)}", **attributes)
        )
        return names[0] if outputs == 1 else names

    def const(self, array: Any) -> str:
        name = f"c{len(self.weights)}"
        self.weights[name] = np.asarray(array)
        return name

    def ints(self, *values: int) -> str:
        return self.const(np.array(values, np.int64))

    def scalar(self, value: float) -> str:
        return self.const(np.float32(value))

    def weight(self, *dims: int) -> str:
        bound = 1 / np.sqrt(max(dims[0], 1))
        return self.const(self.rng.normal(0, bound, dims).astype(np.float32))

    def ids(self, name: str, *dims: int, low: int = 0) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", *dims]))
        self.requests[name] = self.rng.integers(low, ROWS, (B, *dims))
        return name

    def floats(self, name: str, *dims: int) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *dims]))
        self.requests[name] = self.rng.normal(0, 1, (B, *dims)).astype(np.float32)
        return name

    def embedding(self, ids: str, dim: int = D) -> str:
        return self.op("Gather", self.const(self.rng.normal(0, 0.5, (ROWS, dim)).astype(np.float32)), ids)

    def features(self) -> str:
        """Embeddings of ``F`` features, ``[B, F, D]``."""
        rows = [self.op("Unsqueeze", self.embedding(self.ids(f"f{k}")), self.ints(1)) for k in range(F)]
        return str(self.op("Concat", *rows, axis=1))

    def dense(self, x: str, wide: int, out: int, activation: str | None = "Relu") -> str:
        value = self.op("Gemm", x, self.weight(out, wide), self.weight(out), transB=1)
        return str(self.op(activation, value) if activation else value)

    def layer(self, x: str, wide: int, out: int) -> str:
        """A layer on ``[B, ..., wide]``."""
        return str(self.op("Add", self.op("MatMul", x, self.weight(wide, out)), self.weight(out)))

    def rows_layer(self, x: str, wide: int, out: int, *dims: int) -> str:
        """A layer on ``[B, ..., wide]`` by way of ``[B * ..., wide]``, as torch.export and TensorFlow do."""
        flat = self.op("Reshape", x, self.ints(-1, wide))
        value = self.op("Gemm", flat, self.weight(out, wide), self.weight(out), transB=1)
        return str(self.op("Reshape", value, self.ints(-1, *dims, out)))

    def score(self, x: str, wide: int) -> None:
        self.outputs.append(self.op("Sigmoid", self.dense(x, wide, 1, None)))

    def proto(self, opset: int = 17) -> onnx.ModelProto:
        results = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in self.outputs]
        made = [numpy_helper.from_array(a, n) for n, a in self.weights.items()]
        graph = helper.make_graph(self.nodes, "zoo", self.inputs, results, made)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        for output in proto.graph.output:
            dims = [helper.make_tensor_value_info("", TensorProto.FLOAT, ["batch", 1])]
            output.type.CopyFrom(dims[0].type)
        onnx.checker.check_model(proto)
        return proto


def dcn_v1() -> Model:
    """Deep & Cross: ``x0 (x . w) + b + x`` with the weight as a vector."""
    m = Model()
    x0 = x = m.op("Flatten", m.features())
    for _ in range(2):
        crossed = m.op("Mul", x0, m.op("MatMul", x, m.weight(F * D, 1)))
        x = m.op("Add", m.op("Add", crossed, m.weight(F * D)), x)
    m.score(m.op("Concat", x, m.dense(x0, F * D, 16), axis=1), F * D + 16)
    return m


def dcn_v1_columns() -> Model:
    """The same on columns ``[B, n, 1]``, the product as tensordot over ``[B, n]``."""
    m = Model()
    n = F * D
    x0 = x = m.op("Unsqueeze", m.op("Flatten", m.features()), m.ints(2))
    for _ in range(2):
        rows = m.op("Reshape", m.op("Transpose", x, perm=[0, 2, 1]), m.ints(-1, n))
        product = m.op("Reshape", m.op("MatMul", rows, m.weight(n, 1)), m.ints(-1, 1, 1))
        x = m.op("Add", m.op("Add", m.op("MatMul", x0, product), m.weight(n, 1)), x)
    m.score(m.op("Squeeze", x, m.ints(2)), n)
    return m


def dcn_v2() -> Model:
    """``x0 * (W x + b) + x``, the matrix on the left of columns and on the right of rows."""
    m = Model()
    n = F * D
    x0 = x = m.op("Flatten", m.features())
    x = m.op("Add", m.op("Mul", x0, m.layer(x, n, n)), x)
    c0 = m.op("Unsqueeze", x0, m.ints(2))
    c = m.op("Unsqueeze", x, m.ints(2))
    left = m.op("Add", m.op("MatMul", m.weight(n, n), c), m.weight(n, 1))
    c = m.op("Add", m.op("Mul", c0, left), c)
    m.score(m.op("Squeeze", c, m.ints(2)), n)
    return m


def dcn_low_rank() -> Model:
    """``x0 * (U (V' x) + b) + x``."""
    m = Model()
    n = F * D
    x0 = x = m.op("Flatten", m.features())
    for _ in range(2):
        small = m.op("MatMul", x, m.weight(n, 4))
        x = m.op("Add", m.op("Mul", x0, m.layer(small, 4, n)), x)
    m.score(x, n)
    return m


def dcn_mix() -> Model:
    """Experts in low-rank spaces, gated by a softmax; parameters on the left of columns."""
    m = Model()
    n, r, experts = F * D, 4, 3
    x0 = x = m.op("Unsqueeze", m.op("Flatten", m.features()), m.ints(2))
    outs, gates = [], []
    for _ in range(experts):
        flat = m.op("Squeeze", x, m.ints(2))
        gates.append(m.op("MatMul", flat, m.weight(n, 1)))
        v = m.op("Tanh", m.op("MatMul", m.op("Transpose", m.weight(n, r), perm=[1, 0]), x))
        v = m.op("Tanh", m.op("MatMul", m.weight(r, r), v))
        u = m.op("Add", m.op("MatMul", m.weight(n, r), v), m.weight(n, 1))
        outs.append(m.op("Unsqueeze", m.op("Squeeze", m.op("Mul", x0, u), m.ints(2)), m.ints(2)))
    moe = m.op("Concat", *outs, axis=2)
    gate = m.op("Concat", *(m.op("Unsqueeze", g, m.ints(1)) for g in gates), axis=1)
    x = m.op("Add", m.op("MatMul", moe, m.op("Softmax", gate, axis=1)), x)
    m.score(m.op("Squeeze", x, m.ints(2)), n)
    return m


def deepfm() -> Model:
    """Factorisation machine ``0.5 ((sum v)^2 - sum v^2)`` beside a deep part, with batch normalisation."""
    m = Model()
    e = m.features()
    total = m.op("Pow", m.op("ReduceSum", e, m.ints(1), keepdims=1), m.scalar(2.0))
    squares = m.op("ReduceSum", m.op("Mul", e, e), m.ints(1), keepdims=1)
    cross = m.op("ReduceSum", m.op("Sub", total, squares), m.ints(2), keepdims=0)
    fm = m.op("Mul", cross, m.scalar(0.5))
    deep = m.op("Gemm", m.op("Flatten", e), m.weight(16, F * D), m.weight(16), transB=1)
    variance = m.const(m.rng.uniform(0.5, 2, 16).astype(np.float32))
    deep = m.op("BatchNormalization", deep, m.weight(16), m.weight(16), m.weight(16), variance)
    out = m.op("Add", fm, m.dense(m.op("Relu", deep), 16, 1, None))
    m.outputs.append(m.op("Sigmoid", out))
    return m


def nfm() -> Model:
    """Bi-interaction pooling into a deep part."""
    m = Model()
    e = m.features()
    total = m.op("ReduceSum", e, m.ints(1), keepdims=0)
    squares = m.op("ReduceSum", m.op("Pow", e, m.scalar(2.0)), m.ints(1), keepdims=0)
    bi = m.op("Mul", m.op("Sub", m.op("Mul", total, total), squares), m.scalar(0.5))
    m.score(m.dense(bi, D, 16), 16)
    return m


def pnn() -> Model:
    """Inner products of chosen pairs, and outer products through a kernel."""
    m = Model()
    e = m.features()
    pairs = [(i, j) for i in range(F) for j in range(i + 1, F)]
    p = m.op("Gather", e, m.ints(*(i for i, _ in pairs)), axis=1)
    q = m.op("Gather", e, m.ints(*(j for _, j in pairs)), axis=1)
    inner = m.op("ReduceSum", m.op("Mul", p, q), m.ints(2), keepdims=0)
    kernel = m.weight(D, len(pairs), D)
    wide = m.op("Mul", m.op("Unsqueeze", p, m.ints(1)), kernel)
    turned = m.op("Transpose", m.op("ReduceSum", wide, m.ints(-1), keepdims=0), perm=[0, 2, 1])
    outer = m.op("ReduceSum", m.op("Mul", turned, q), m.ints(-1), keepdims=0)
    flat = m.op("Flatten", e)
    m.score(m.op("Concat", flat, inner, outer, axis=1), F * D + 2 * len(pairs))
    return m


def xdeepfm(einsum: bool = True) -> Model:
    """Compressed interaction network: outer products per dimension, then a convolution of kernel 1."""
    m = Model()
    e = m.features()
    hidden, have, pooled = e, F, []
    for units in (6, 5):
        if einsum:
            z = m.op("Einsum", hidden, e, equation="bhd,bmd->bhmd")
        else:
            z = m.op("Mul", m.op("Unsqueeze", hidden, m.ints(2)), m.op("Unsqueeze", e, m.ints(1)))
        z = m.op("Reshape", z, m.ints(-1, have * F, D))
        hidden = m.op("Relu", m.op("Conv", z, m.weight(units, have * F, 1), m.weight(units)))
        have = units
        pooled.append(m.op("ReduceSum", hidden, m.ints(2), keepdims=0))
    m.score(m.op("Concat", *pooled, axis=1), 11)
    return m


def afm() -> Model:
    """Attention over pairwise products."""
    m = Model()
    e = m.features()
    pairs = [(i, j) for i in range(F) for j in range(i + 1, F)]
    p = m.op("Gather", e, m.ints(*(i for i, _ in pairs)), axis=1)
    q = m.op("Gather", e, m.ints(*(j for _, j in pairs)), axis=1)
    bi = m.op("Mul", p, q)
    hidden = m.op("Relu", m.layer(bi, D, 4))
    weights = m.op("Softmax", m.op("MatMul", hidden, m.weight(4, 1)), axis=1)
    pooled = m.op("ReduceSum", m.op("Mul", weights, bi), m.ints(1), keepdims=0)
    m.outputs.append(m.op("Sigmoid", m.op("MatMul", pooled, m.weight(D, 1))))
    return m


def _dice(m: Model, x: str, channels: int) -> str:
    """``p x + (1 - p) alpha x`` with ``p = sigmoid(norm(x))``, ``x [rows, channels]``."""
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    mean, var = m.weight(channels), m.const(m.rng.uniform(0.5, 2, channels).astype(np.float32))
    norm = m.op("BatchNormalization", x, m.const(ones), m.const(zeros), mean, var)
    p = m.op("Sigmoid", norm)
    rest = m.op("Mul", m.op("Mul", m.op("Sub", m.scalar(1.0), p), m.weight(channels)), x)
    return str(m.op("Add", m.op("Mul", p, x), rest))


def din(softmax: bool = True) -> Model:
    """Attention over a padded history: the layers run on ``[B * L, features]``, with Dice activations."""
    m = Model()
    table = m.const(m.rng.normal(0, 0.5, (ROWS, D)).astype(np.float32))
    history = m.ids("history", L)
    m.requests["history"][:, -2:] = 0
    keys = m.op("Gather", table, history)
    item = m.op("Gather", table, m.ids("item", low=1))
    query = m.op("Expand", m.op("Unsqueeze", item, m.ints(1)), m.ints(1, L, 1))
    parts = m.op("Concat", query, keys, m.op("Sub", query, keys), m.op("Mul", query, keys), axis=-1)
    rows = m.op("Reshape", parts, m.ints(-1, 4 * D))
    hidden = _dice(m, m.op("Gemm", rows, m.weight(8, 4 * D), m.weight(8), transB=1), 8)
    score = m.op("Reshape", m.op("Gemm", hidden, m.weight(1, 8), m.weight(1), transB=1), m.ints(-1, L, 1))
    score = m.op("Transpose", score, perm=[0, 2, 1])
    valid = m.op("Unsqueeze", m.op("Not", m.op("Equal", history, m.const(np.int64(0)))), m.ints(1))
    score = m.op("Where", valid, score, m.scalar(-(2.0**32) + 1 if softmax else 0.0))
    if softmax:
        score = m.op("Softmax", score, axis=-1)
    interest = m.op("Squeeze", m.op("MatMul", score, keys), m.ints(1))
    m.score(m.dense(m.op("Concat", interest, item, axis=1), 2 * D, 16), 16)
    return m


def _heads(m: Model, x: str, length: int, heads: int) -> str:
    split = m.op("Reshape", x, m.ints(0, length, heads, D // heads))
    return str(m.op("Transpose", split, perm=[0, 2, 1, 3]))


def _attention(m: Model, x: str, length: int, mask: str | None = None, heads: int = 2) -> str:
    """Multi-head self-attention on rank 4."""
    q, k, v = (_heads(m, m.layer(x, D, D), length, heads) for _ in range(3))
    score = m.op("MatMul", q, m.op("Transpose", k, perm=[0, 1, 3, 2]))
    score = m.op("Div", score, m.scalar(np.sqrt(D / heads)))
    if mask is not None:
        score = m.op("Where", mask, m.scalar(-np.inf), score)
    value = m.op("MatMul", m.op("Softmax", score, axis=-1), v)
    merged = m.op("Reshape", m.op("Transpose", value, perm=[0, 2, 1, 3]), m.ints(0, length, D))
    return m.layer(merged, D, D)


def autoint() -> Model:
    """Self-attention between features, heads stacked by Split and Concat as the reference code has them."""
    m = Model()
    e = m.features()
    q, k, v = (m.op("MatMul", e, m.weight(D, D)) for _ in range(3))
    cut = [m.op("Split", x, m.ints(4, 4), axis=2, outputs=2) for x in (q, k, v)]
    stacks = [
        m.op("Concat", *(m.op("Unsqueeze", part, m.ints(0)) for part in parts), axis=0) for parts in cut
    ]
    product = m.op("MatMul", stacks[0], m.op("Transpose", stacks[1], perm=[0, 1, 3, 2]))
    out = m.op("MatMul", m.op("Softmax", product, axis=-1), stacks[2])
    parts = m.op("Split", out, m.ints(1, 1), axis=0, outputs=2)
    joined = m.op("Squeeze", m.op("Concat", *parts, axis=-1), m.ints(0))
    out = m.op("Relu", m.op("Add", joined, m.op("MatMul", e, m.weight(D, D))))
    m.score(m.op("Flatten", out), F * D)
    return m


def _layer_norm(m: Model, x: str) -> str:
    """As exporters decompose it."""
    mean = m.op("ReduceMean", x, axes=[-1])
    centred = m.op("Sub", x, mean)
    variance = m.op("ReduceMean", m.op("Pow", centred, m.scalar(2.0)), axes=[-1])
    root = m.op("Sqrt", m.op("Add", variance, m.scalar(1e-5)))
    scaled = m.op("Mul", m.op("Div", centred, root), m.weight(D))
    return str(m.op("Add", scaled, m.weight(D)))


def _gelu(m: Model, x: str) -> str:
    erf = m.op("Erf", m.op("Div", x, m.scalar(np.sqrt(2))))
    return str(m.op("Mul", m.op("Mul", x, m.op("Add", erf, m.scalar(1.0))), m.scalar(0.5)))


def bst() -> Model:
    """A transformer block over history and item, sequence first as ``nn.MultiheadAttention`` computes it."""
    m = Model()
    table = m.const(m.rng.normal(0, 0.5, (ROWS, D)).astype(np.float32))
    keys = m.op("Gather", table, m.ids("history", L))
    item = m.op("Unsqueeze", m.op("Gather", table, m.ids("item")), m.ints(1))
    x = m.op("Add", m.op("Concat", keys, item, axis=1), m.weight(1, L + 1, D))
    length, heads = L + 1, 2
    turned = m.op("Transpose", x, perm=[1, 0, 2])
    packed = m.op("Add", m.op("MatMul", turned, m.weight(D, 3 * D)), m.weight(3 * D))
    q, k, v = m.op("Split", packed, m.ints(D, D, D), axis=2, outputs=3)
    shape = m.ints(length, -1, D // heads)
    q, k, v = (m.op("Transpose", m.op("Reshape", y, shape), perm=[1, 0, 2]) for y in (q, k, v))
    q = m.op("Mul", q, m.scalar((D / heads) ** -0.5))
    weights = m.op("Softmax", m.op("MatMul", q, m.op("Transpose", k, perm=[0, 2, 1])), axis=-1)
    value = m.op("Transpose", m.op("MatMul", weights, v), perm=[1, 0, 2])
    rows = m.op("Reshape", value, m.ints(-1, D))
    out = m.op("Gemm", rows, m.weight(D, D), m.weight(D), transB=1)
    out = m.op("Transpose", m.op("Reshape", out, m.ints(length, -1, D)), perm=[1, 0, 2])
    x = _layer_norm(m, m.op("Add", x, out))
    inner = _gelu(m, m.rows_layer(x, D, 16, length))
    x = _layer_norm(m, m.op("Add", x, m.rows_layer(inner, 16, D, length)))
    m.score(m.op("Reshape", x, m.ints(-1, length * D)), length * D)
    return m


def sasrec() -> Model:
    """Causal self-attention with learned positions; padded steps are zeroed; the last step is scored."""
    m = Model()
    table = m.const(m.rng.normal(0, 0.5, (ROWS, D)).astype(np.float32))
    history = m.ids("history", L)
    m.requests["history"][:, :2] = 0
    batch = m.op("Slice", m.op("Shape", history), m.ints(0), m.ints(1), m.ints(0))
    places = m.op("Expand", m.const(np.arange(L)[None]), m.op("Concat", batch, m.ints(L), axis=0))
    scaled = m.op("Mul", m.op("Gather", table, history), m.scalar(np.sqrt(D)))
    x = m.op("Add", scaled, m.embedding(places))
    real = m.op("Not", m.op("Equal", history, m.const(np.int64(0))))
    keep = m.op("Cast", m.op("Unsqueeze", real, m.ints(-1)), to=TensorProto.FLOAT)
    x = m.op("Mul", x, keep)
    causal = m.const(np.triu(np.ones((L, L), bool), 1))
    normal = m.op("LayerNormalization", x, m.weight(D), m.weight(D), axis=-1)
    x = m.op("Add", normal, _attention(m, normal, L, causal))
    normal = m.op("LayerNormalization", x, m.weight(D), m.weight(D), axis=-1)
    turned = m.op("Transpose", normal, perm=[0, 2, 1])
    hidden = m.op("Relu", m.op("Conv", turned, m.weight(D, D, 1), m.weight(D)))
    hidden = m.op("Transpose", m.op("Conv", hidden, m.weight(D, D, 1), m.weight(D)), perm=[0, 2, 1])
    x = m.op("Mul", m.op("Add", hidden, normal), keep)
    last = m.op("Gather", x, m.const(np.int64(-1)), axis=1)
    target = m.op("Gather", table, m.ids("item"))
    m.outputs.append(m.op("ReduceSum", m.op("Mul", last, target), m.ints(-1), keepdims=1))
    return m


def mmoe(einsum: bool = False) -> Model:
    """Experts shared by two tasks, each with its own softmax gate."""
    m = Model()
    x = m.op("Flatten", m.features())
    n, experts, units = F * D, 3, 8
    if einsum:
        stack = m.op("Relu", m.op("Einsum", x, m.weight(experts, n, units), equation="bi,eio->beo"))
    else:
        outs = [m.op("Unsqueeze", m.dense(x, n, units), m.ints(1)) for _ in range(experts)]
        stack = m.op("Concat", *outs, axis=1)
    for task in range(2):
        gate = m.op("Softmax", m.dense(x, n, experts, None), axis=-1)
        if task:
            mixed = m.op("Squeeze", m.op("MatMul", m.op("Unsqueeze", gate, m.ints(1)), stack), m.ints(1))
        else:
            weighted = m.op("Mul", m.op("Unsqueeze", gate, m.ints(-1)), stack)
            mixed = m.op("ReduceSum", weighted, m.ints(1), keepdims=0)
        m.score(m.dense(mixed, units, 8), 8)
    return m


def ple() -> Model:
    """Progressive layered extraction: shared and own experts per task; HardSwish and Softplus heads."""
    m = Model()
    x = m.op("Flatten", m.features())
    n, units = F * D, 8
    shared = [m.op("Unsqueeze", m.dense(x, n, units), m.ints(2)) for _ in range(2)]
    for head in ("HardSwish", "Softplus"):
        own = m.op("Unsqueeze", m.dense(x, n, units), m.ints(2))
        stack = m.op("Concat", *shared, own, axis=2)
        gate = m.op("Unsqueeze", m.op("Softmax", m.dense(x, n, 3, None), axis=1), m.ints(2))
        mixed = m.op("Squeeze", m.op("MatMul", stack, gate), m.ints(2))
        m.score(m.op(head, m.dense(mixed, units, 8, None)), 8)
    return m


def two_tower() -> Model:
    """Two towers, normalised, and their cosine; the towers share a layer whose weights are transposed."""
    m = Model()
    shared = m.rng.normal(0, 0.3, (D, D)).astype(np.float32)
    towers = []
    for name, weights in (("user", {"transB": 0}), ("item", {"transB": 1})):
        matrix = m.const(shared.T.copy() if weights["transB"] else shared)
        hidden = m.op("Relu", m.op("Gemm", m.embedding(m.ids(name)), matrix, m.weight(D), **weights))
        out = m.dense(hidden, D, D, "Elu")
        norm = m.op("Clip", m.op("ReduceL2", out, axes=[1], keepdims=1), m.scalar(1e-12))
        towers.append(m.op("Div", out, m.op("Expand", norm, m.op("Shape", out))))
    item = m.op("LpNormalization", towers[1], axis=1, p=2)
    m.outputs.append(m.op("ReduceSum", m.op("Mul", towers[0], item), m.ints(1), keepdims=1))
    return m


ZOO: dict[str, Callable[[], Model]] = {
    "DCN v1": dcn_v1,
    "DCN v1, columns": dcn_v1_columns,
    "DCN v2": dcn_v2,
    "DCN v2, low rank": dcn_low_rank,
    "DCN-Mix": dcn_mix,
    "DeepFM": deepfm,
    "NFM": nfm,
    "PNN": pnn,
    "xDeepFM": xdeepfm,
    "xDeepFM, broadcasting": lambda: xdeepfm(einsum=False),
    "AFM": afm,
    "DIN, softmax": din,
    "DIN, plain weights": lambda: din(softmax=False),
    "AutoInt": autoint,
    "BST": bst,
    "SASRec": sasrec,
    "MMoE": mmoe,
    "MMoE, stacked": lambda: mmoe(einsum=True),
    "PLE": ple,
    "two towers, cosine": two_tower,
}
