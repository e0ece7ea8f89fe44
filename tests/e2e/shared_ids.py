"""ONNX models of which one id tensor ``ids [B, 3]`` feeds several things at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROWS, LENGTH, DIM = 20, 3, 4
Use = Callable[["Shared", str], str]
"""Adds what is done with the ids to a model, and names its result ``[B, n]``."""


class Shared:
    """Nodes and constants of such a model; ``one_table``: every lookup reads the same table."""

    def __init__(self, *, one_table: bool) -> None:
        self.one_table = one_table
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def node(self, kind: str, *inputs: str | np.ndarray, **attributes: Any) -> str:
        """The result of a new node; inputs that are arrays become constants."""
        name = f"{kind}_{len(self.nodes)}"
        names = []
        for number, given in enumerate(inputs):
            if isinstance(given, np.ndarray):
                self.constants[f"{name}.{number}"] = given
            names.append(given if isinstance(given, str) else f"{name}.{number}")
        self.nodes.append(helper.make_node(kind, names, [name], name, **attributes))
        return name

    def rows(self, use: str, ids: str) -> str:
        """Rows ``[B, 3, 4]`` of the table of ``use``."""
        name = "table" if self.one_table else f"table_{use}"
        seed = 0 if self.one_table else 1 + list(USES).index(use)
        table = np.random.default_rng(seed).normal(0, 1, (ROWS, DIM)).astype(np.float32)
        self.constants[name] = table
        return self.node("Gather", name, ids)

    def scaled_sum(self, rows: str, factors: str) -> str:
        """Sum over the bag of rows, each times its factor in ``[B, 3]``."""
        wide = self.node("Unsqueeze", factors, np.array([-1]))
        return self.node("ReduceSum", self.node("Mul", rows, wide), np.array([1]), keepdims=0)


def _unpooled(m: Shared, ids: str) -> str:
    return m.node("Reshape", m.rows("unpooled", ids), np.array([-1, LENGTH * DIM]))


def _bag(mode: str) -> Use:
    def add(m: Shared, ids: str) -> str:
        return m.node(f"Reduce{mode}", m.rows(mode.lower(), ids), np.array([1]), keepdims=0)

    return add


def _weighted(m: Shared, ids: str) -> str:
    return m.scaled_sum(m.rows("weighted", ids), "weights")


def _padded(m: Shared, ids: str) -> str:
    mask = m.node("Cast", m.node("Not", m.node("Equal", ids, np.array(0))), to=TensorProto.FLOAT)
    return m.scaled_sum(m.rows("padded", ids), mask)


def _arithmetic(m: Shared, ids: str) -> str:
    return m.node("Cast", m.node("Add", ids, np.array(3)), to=TensorProto.FLOAT)


def _cast(m: Shared, ids: str) -> str:
    return m.node("Mul", m.node("Cast", ids, to=TensorProto.FLOAT), np.array(0.1, np.float32))


def _output(m: Shared, ids: str) -> str:
    return m.node("Identity", ids)


USES: dict[str, Use] = {
    "unpooled": _unpooled,
    "sum": _bag("Sum"),
    "mean": _bag("Mean"),
    "max": _bag("Max"),
    "weighted": _weighted,
    "padded": _padded,
    "arithmetic": _arithmetic,
    "cast": _cast,
    "output": _output,
}


def shared_ids(uses: Sequence[str], *, one_table: bool = False) -> onnx.ModelProto:
    """A model that uses ``ids`` in all ways of ``uses`` (names in :data:`USES`), each an output ``y0``, ...

    A layer over all that are floats is the output ``score``.
    """
    m = Shared(one_table=one_table)
    results = [USES[use](m, "ids") for use in uses]
    outputs = [
        helper.make_tensor_value_info(r, TensorProto.INT64 if u == "output" else TensorProto.FLOAT, None)
        for r, u in zip(results, uses, strict=True)
    ]
    floats = [r for r, u in zip(results, uses, strict=True) if u != "output"]
    if floats:
        width = {"unpooled": LENGTH * DIM, "arithmetic": LENGTH, "cast": LENGTH}
        total = sum(width.get(u, DIM) for u in uses if u != "output")
        weight = np.random.default_rng(99).normal(0, 0.2, (total, 2)).astype(np.float32)
        score = m.node("MatMul", m.node("Concat", *floats, axis=1), weight)
        outputs.append(helper.make_tensor_value_info(score, TensorProto.FLOAT, ["B", 2]))
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["B", LENGTH])]
    if "weighted" in uses:
        inputs.append(helper.make_tensor_value_info("weights", TensorProto.FLOAT, ["B", LENGTH]))
    constants = [numpy_helper.from_array(array, name) for name, array in m.constants.items()]
    graph = helper.make_graph(m.nodes, "shared", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def requests_of(uses: Sequence[str], batch: int = 8) -> dict[str, np.ndarray]:
    """Requests for such a model; half of them begin with the id 0, which stands for padding."""
    rng = np.random.default_rng(5)
    ids = rng.integers(0, ROWS, (batch, LENGTH))
    ids[::2, 0] = 0
    found = {"ids": ids}
    if "weighted" in uses:
        found["weights"] = rng.normal(0, 1, (batch, LENGTH)).astype(np.float32)
    return found
