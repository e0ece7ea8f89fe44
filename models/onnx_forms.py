"""Writes ONNX graphs in the forms that the two PyTorch exporters emit.

:class:`GraphWriter` names nodes as the TorchScript exporter does (``/scope/Op_k``, output
``/scope/Op_k_output_0``).  The functions below it each write one form of one layer and return the name of
its result.  ``loop_bag`` and ``dot_interaction`` follow the TorchScript exporter (opset 17),
``concat_features`` and ``l2_normalise`` the ``torch.export``-based one (opset 18).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.layers import NORM_FLOOR

Array = npt.NDArray[Any]
Dims = Sequence[int | str]

# A slice end meaning "to the last element", as the exporters write it.
INT64_MAX = np.iinfo(np.int64).max


class GraphWriter:
    """Collects nodes, initialisers and interface of one graph; :meth:`body` opens a subgraph.

    Every method that writes a node returns the name of its first output.  Node names are numbered per
    scope and operator, and a subgraph goes on counting where its parent stands, so that names are unique
    in the whole model.
    """

    def __init__(self, parent: GraphWriter | None = None) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self._counts: dict[str, int] = parent._counts if parent else {}

    def body(self) -> GraphWriter:
        """A writer for a subgraph (loop body, branch) of this graph."""
        return GraphWriter(self)

    def input(self, name: str, elem_type: int, dims: Dims) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, elem_type, list(dims)))
        return name

    def output(self, name: str, elem_type: int, dims: Dims | None) -> None:
        shape = None if dims is None else list(dims)
        self.outputs.append(helper.make_tensor_value_info(name, elem_type, shape))

    def weight(self, name: str, value: Array) -> str:
        self.initializers.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def op(
        self, op_type: str, inputs: Sequence[str], *, scope: str = "", out: str | None = None, **attrs: Any
    ) -> str:
        """Append one node; ``out`` names its output where the graph's interface asks for a name."""
        key = f"{scope}/{op_type}"
        count = self._counts.get(key, 0)
        self._counts[key] = count + 1
        name = f"{key}_{count}" if count else key
        result = out or f"{name}_output_0"
        self.nodes.append(helper.make_node(op_type, list(inputs), [result], name=name, **attrs))
        return result

    def const(self, value: npt.ArrayLike, *, scope: str = "", dtype: npt.DTypeLike = np.int64) -> str:
        """A ``Constant`` node, int64 unless told."""
        return self.op("Constant", [], scope=scope, value=numpy_helper.from_array(np.asarray(value, dtype)))

    def graph(self, name: str) -> onnx.GraphProto:
        return helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.initializers)

    def model(self, name: str, *, opset: int, ir_version: int) -> onnx.ModelProto:
        """The finished model, accepted by ``onnx.checker``."""
        proto = helper.make_model(
            self.graph(name),
            opset_imports=[helper.make_opsetid("", opset)],
            ir_version=ir_version,
            producer_name="cimc.models",
        )
        onnx.checker.check_model(proto, full_check=True)
        return proto


def linear(g: GraphWriter, x: str, weight: Array, bias: Array, *, scope: str, out: str | None = None) -> str:
    """``Gemm`` with ``transB=1``: ``x [B, K]``, ``weight [N, K]``, ``bias [N]`` → ``[B, N]``."""
    name = scope.strip("/").replace("/", ".")
    w, b = g.weight(f"{name}.weight", weight), g.weight(f"{name}.bias", bias)
    return g.op("Gemm", [x, w, b], scope=scope, out=out, alpha=1.0, beta=1.0, transB=1)


def mlp(
    g: GraphWriter,
    x: str,
    layers: Iterable[tuple[Array, Array]],
    *,
    scope: str,
    last: str | None = None,
    out: str | None = None,
) -> str:
    """Linear layers with ``Relu`` between them; ``last`` is the activation after the last one, if any.

    Layer ``i`` is scoped as module ``2 i`` of a sequential container, its activation as ``2 i + 1``.
    """
    pairs = list(layers)
    for i, (weight, bias) in enumerate(pairs):
        final = i == len(pairs) - 1
        activation = last if final else "Relu"
        name = out if final and activation is None else None
        x = linear(g, x, weight, bias, scope=f"{scope}.{2 * i}", out=name)
        if activation is not None:
            x = g.op(activation, [x], scope=f"{scope}.{2 * i + 1}", out=out if final else None)
    return x


def loop_bag(g: GraphWriter, weight: str, ids: str, offsets: str, *, mode: str, scope: str) -> str:
    """An embedding bag as the TorchScript exporter writes it: a ``Loop`` over the bags.

    ``weight [R, D]``, ``ids [nnz]`` int64, ``offsets [B]`` int64 (bag ``b`` is ids ``offsets[b]`` up to
    ``offsets[b+1]``, the last bag reaches to ``nnz``), ``mode`` ``sum`` or ``mean`` → ``[B, D]``.
    """
    true = g.const(True, scope=scope, dtype=np.bool_)
    axis = g.const([0], scope=scope)
    nnz = g.op("Gather", [g.op("Shape", [ids], scope=scope), g.const(0, scope=scope)], scope=scope, axis=0)
    nnz = g.op("Unsqueeze", [nnz, g.const([0], scope=scope)], scope=scope)
    starts = g.op("Concat", [offsets, nnz], scope=scope, axis=0)
    bounds = [g.const([v], scope=scope) for v in (0, 1, INT64_MAX, 1)]
    ends = g.op("Slice", [starts, bounds[1], bounds[2], bounds[0], bounds[3]], scope=scope)
    shape = g.op("Shape", [ends], scope=scope)
    bags = g.op("Gather", [shape, g.const(0, scope=scope)], scope=scope, axis=0)

    b = g.body()
    step = b.input(f"{scope}/bag", TensorProto.INT64, [])
    b.input(f"{scope}/going", TensorProto.BOOL, [])
    start = b.op("Gather", [starts, step], scope=scope, axis=0)
    end = b.op("Gather", [ends, step], scope=scope, axis=0)
    start = b.op("Unsqueeze", [start, b.const([0], scope=scope)], scope=scope)
    end = b.op("Unsqueeze", [end, b.const([0], scope=scope)], scope=scope)
    bag = b.op("Slice", [ids, start, end, axis], scope=scope)
    rows = b.op("Gather", [weight, bag], scope=scope, axis=0)
    if mode == "sum":
        axes = b.const([0], scope=scope)
        pooled = b.op("ReduceSum", [rows, axes], scope=scope, keepdims=0, noop_with_empty_axes=0)
    elif mode == "mean":
        pooled = b.op(
            "ReduceMean", [rows], scope=scope, axes=[0], keepdims=0
        )  # axes: attribute until opset 18
    else:
        raise ValueError(f"bag mode {mode!r}: expected 'sum' or 'mean'")
    b.output(b.op("Cast", [true], scope=scope, to=TensorProto.BOOL), TensorProto.BOOL, [])
    b.output(pooled, TensorProto.FLOAT, [f"{scope}/dim"])
    return g.op("Loop", [bags, true], scope=scope, body=b.graph(f"{scope}/bags"))


def table(g: GraphWriter, k: int, weight: Array, bag: str) -> str:
    """Table ``k`` with its inputs, used as ``one``, ``sum`` or ``mean``; returns its ``[batch, dim]``."""
    name = g.weight(f"emb_l.{k}.weight", weight)
    if bag == "one":
        ids = g.input(f"ids_{k}", TensorProto.INT64, ["batch"])
        return g.op("Gather", [name, ids], scope=f"/emb_l.{k}", axis=0)
    ids = g.input(f"ids_{k}", TensorProto.INT64, [f"nnz_{k}"])
    offsets = g.input(f"offsets_{k}", TensorProto.INT64, ["batch"])
    return loop_bag(g, name, ids, offsets, mode=bag, scope=f"/emb_l.{k}")


def dot_interaction(g: GraphWriter, dense: str, features: Sequence[str], *, scope: str = "") -> str:
    """Pairwise dot products of ``[B, D]`` features, strictly lower triangle, after ``dense`` itself.

    With ``F = 1 + len(features)`` vectors (``dense [B, D]`` is the first) → ``[B, D + F (F - 1) / 2]``, in
    the order of rows then columns of the triangle: TorchScript's ``Z[:, li, lj]``.
    """
    stacked = g.op("Concat", [dense, *features], scope=scope, axis=1)
    dims = []
    for axis in (0, 1):
        shape = g.op("Shape", [dense], scope=scope)
        dim = g.op("Gather", [shape, g.const(axis, scope=scope)], scope=scope, axis=0)
        dims.append(g.op("Unsqueeze", [dim, g.const([0], scope=scope)], scope=scope))
    target = g.op("Concat", [dims[0], g.const([-1], scope=scope), dims[1]], scope=scope, axis=0)
    t = g.op("Reshape", [stacked, target], scope=scope, allowzero=0)
    z = g.op("MatMul", [t, g.op("Transpose", [t], scope=scope, perm=[0, 2, 1])], scope=scope)

    count = 1 + len(features)
    li, lj = np.tril_indices(count, -1)
    shape = g.op("Shape", [z], scope=scope)
    batch = g.op("Gather", [shape, g.const([0], scope=scope)], scope=scope, axis=0)
    width = g.op("Gather", [shape, g.const([2], scope=scope)], scope=scope, axis=0)
    flat = g.op("Transpose", [z], scope=scope, perm=[1, 2, 0])
    flat = g.op("Flatten", [flat], scope=scope, axis=2)
    row = g.op("Mul", [g.const(li, scope=scope), width], scope=scope)
    index = g.op("Add", [g.const(lj, scope=scope), row], scope=scope)
    pairs = g.op("Gather", [flat, index], scope=scope, axis=0)
    pair_count = g.op("Shape", [index], scope=scope)
    target = g.op("Concat", [g.const([-1], scope=scope), batch], scope=scope, axis=0)
    pairs = g.op("Reshape", [pairs, target], scope=scope, allowzero=0)
    pairs = g.op("Transpose", [pairs], scope=scope, perm=[1, 0])
    target = g.op("Concat", [batch, pair_count], scope=scope, axis=0)
    pairs = g.op("Reshape", [pairs, target], scope=scope, allowzero=0)
    return g.op("Concat", [dense, pairs], scope=scope, axis=1)


def concat_features(g: GraphWriter, features: Sequence[str], dim: int, *, scope: str) -> str:
    """``[B, dim]`` features side by side, ``[B, len(features) * dim]``, by way of ``[B, F, dim]``."""
    axis = g.const([1], scope=scope)
    stacked = [g.op("Unsqueeze", [name, axis], scope=scope) for name in features]
    joined = g.op("Concat", stacked, scope=scope, axis=1)
    return g.op(
        "Reshape", [joined, g.const([-1, len(features) * dim], scope=scope)], scope=scope, allowzero=1
    )


def l2_normalise(g: GraphWriter, x: str, dim: int, batch_of: str, *, scope: str, out: str) -> str:
    """``x [B, dim]`` over its Euclidean norm, which is kept above 1e-12; ``batch_of [B]`` gives the batch.

    Opset 18, as the ``torch.export``-based exporter writes ``torch.nn.functional.normalize``.
    """
    batch = g.op("Shape", [batch_of], scope=scope, start=0, end=1)
    axis = g.const([1], scope=scope)
    norm = g.op("ReduceL2", [x, axis], scope=scope, keepdims=1, noop_with_empty_axes=0)
    norm = g.op("Clip", [norm, g.const(NORM_FLOOR, scope=scope, dtype=np.float32)], scope=scope)
    shape = g.op("Concat", [batch, g.const([dim], scope=scope)], scope=scope, axis=0)
    return g.op("Div", [x, g.op("Expand", [norm, shape], scope=scope)], scope=scope, out=out)
