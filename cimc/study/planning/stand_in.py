"""The ONNX graph of a described model, without its weights: what the compiler needs to know of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cimc.study.planning.description import Description, Table, tables_of_description
from cimc.support.io.files import atomic_file

_FILE = "weights.bin"
"""Data file that the weights are said to lie in; there is none."""


def write_stand_in(model: Description, folder: Path) -> tuple[Path, list[Table]]:
    """Write ``model.onnx`` into ``folder``; returns its path, and the tables, whose names are in it."""
    tables = tables_of_description(model)
    graph = _Graph()
    dense = graph.input("dense", TensorProto.FLOAT, ["batch", model.dense.features])
    features = graph.mlp(dense, model.dense.features, model.dense.bottom, "bottom", "Relu")
    vectors = [features, *(graph.bag(table) for table in tables)]
    joined = graph.joined(model, vectors)
    last = graph.mlp(joined, model.width, model.dense.top, "top", "Sigmoid", "prob")
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "model",
            graph.inputs,
            [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["batch", model.dense.top[-1]])],
            graph.tensors,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
        producer_name="cimc.plan",
    )
    path = folder / "model.onnx"
    with atomic_file(path) as file:
        file.write(proto.SerializeToString())
    return path, tables


class _Graph:
    """Nodes, inputs and tensors as they come."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self._end = 0

    def input(self, name: str, kind: int, dims: Sequence[int | str]) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(dims)))
        return name

    def weight(self, name: str, *dims: int) -> str:
        """A tensor whose data file does not exist."""
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=dims)
        tensor.data_location = TensorProto.EXTERNAL
        size = 4 * math.prod(dims)
        for key, value in (("location", _FILE), ("offset", self._end), ("length", size)):
            tensor.external_data.add(key=key, value=str(value))
        self._end += -(-size // 4096) * 4096
        self.tensors.append(tensor)
        return name

    def const(self, value: Any, kind: Any = np.int64) -> str:
        name = f"const.{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def op(self, kind: str, inputs: Sequence[str], out: str = "", **attributes: Any) -> str:
        name = f"{kind}.{len(self.nodes)}"
        result = out or f"{name}.out"
        self.nodes.append(helper.make_node(kind, list(inputs), [result], name=name, **attributes))
        return result

    def mlp(self, x: str, inputs: int, widths: Sequence[int], scope: str, last: str, out: str = "") -> str:
        for k, width in enumerate(widths):
            w, b = self.weight(f"{scope}.{k}.weight", width, inputs), self.weight(f"{scope}.{k}.bias", width)
            final = k == len(widths) - 1
            x = self.op("Gemm", [x, w, b], transB=1)
            x = self.op(last if final else "Relu", [x], out if final else "")
            inputs = width
        return x

    def bag(self, table: Table) -> str:
        """The pooled rows of a table, ``[batch, dim]``."""
        of, name = table.of, table.name
        weight = self.weight(name, of.rows, of.dim)
        if of.varying:
            return self._varying(weight, table)
        many = int(of.pooling)
        ids = self.input(f"{name}.ids", TensorProto.INT64, ["batch"] if many == 1 else ["batch", many])
        rows = self.op("Gather", [weight, ids], axis=0)
        if many == 1:
            return rows
        if of.mode == "mean":
            return self.op("ReduceMean", [rows], axes=[1], keepdims=0)
        return self.op("ReduceSum", [rows, self.const([1])], keepdims=0)

    def _varying(self, weight: str, table: Table) -> str:
        """Bags back to back, with the start of each: a loop over them, as exporters write it."""
        name = table.name
        ids = self.input(f"{name}.ids", TensorProto.INT64, [f"{name}.count"])
        starts = self.input(f"{name}.offsets", TensorProto.INT64, ["batch"])
        zero, one, most = self.const([0]), self.const([1]), self.const([np.iinfo(np.int64).max])
        total = self.op("Shape", [ids])
        edges = self.op("Concat", [starts, total], axis=0)
        ends = self.op("Slice", [edges, one, most, zero, one])
        bags = self.op("Gather", [self.op("Shape", [starts]), self.const(0)], axis=0)
        going = self.const(True, np.bool_)
        reduce = (
            helper.make_node("ReduceMean", [f"{name}.rows"], [f"{name}.sum"], axes=[0], keepdims=0)
            if table.of.mode == "mean"
            else helper.make_node("ReduceSum", [f"{name}.rows", zero], [f"{name}.sum"], keepdims=0)
        )
        nodes = [
            helper.make_node("Gather", [edges, f"{name}.k"], [f"{name}.s"], axis=0),
            helper.make_node("Gather", [ends, f"{name}.k"], [f"{name}.e"], axis=0),
            helper.make_node("Unsqueeze", [f"{name}.s", zero], [f"{name}.s1"]),
            helper.make_node("Unsqueeze", [f"{name}.e", zero], [f"{name}.e1"]),
            helper.make_node("Slice", [ids, f"{name}.s1", f"{name}.e1", zero], [f"{name}.bag"]),
            helper.make_node("Gather", [weight, f"{name}.bag"], [f"{name}.rows"], axis=0),
            reduce,
            helper.make_node("Identity", [f"{name}.going"], [f"{name}.still"]),
        ]
        body = helper.make_graph(
            nodes,
            f"{name}.bags",
            [
                helper.make_tensor_value_info(f"{name}.k", TensorProto.INT64, []),
                helper.make_tensor_value_info(f"{name}.going", TensorProto.BOOL, []),
            ],
            [
                helper.make_tensor_value_info(f"{name}.still", TensorProto.BOOL, []),
                helper.make_tensor_value_info(f"{name}.sum", TensorProto.FLOAT, [table.of.dim]),
            ],
        )
        return self.op("Loop", [bags, going], body=body)

    def joined(self, model: Description, vectors: list[str]) -> str:
        """What enters the first layer of ``top``."""
        side_by_side = self.op("Concat", vectors, axis=1)
        if model.interaction == "concat":
            return side_by_side
        if model.interaction == "cross":
            return self._cross(side_by_side, model)
        count, dim = len(vectors), model.dense.bottom[-1]
        stacked = self.op("Reshape", [side_by_side, self.const([-1, count, dim])])
        turned = self.op("Transpose", [stacked], perm=[0, 2, 1])
        products = self.op("MatMul", [stacked, turned])
        flat = self.op("Reshape", [products, self.const([-1, count * count])])
        low, high = np.tril_indices(count, -1)
        pairs = self.op("Gather", [flat, self.const(low * count + high)], axis=1)
        return self.op("Concat", [vectors[0], pairs], axis=1)

    def _cross(self, x0: str, model: Description) -> str:
        """``x = x0 * (W (V x) + b) + x``, once a layer."""
        x, width, rank = x0, model.width, model.cross.rank
        for k in range(model.cross.layers):
            low = self.op("MatMul", [x, self.weight(f"cross.{k}.V", width, rank)])
            high = self.op("MatMul", [low, self.weight(f"cross.{k}.W", rank, width)])
            biased = self.op("Add", [high, self.weight(f"cross.{k}.bias", width)])
            x = self.op("Add", [self.op("Mul", [x0, biased]), x])
        return x
