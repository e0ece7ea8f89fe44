"""Random requests for a model, derived from its graph alone.

An integer input that selects rows of an initialiser gets ids of that table; the input that cuts such ids
into bags gets ascending offsets; float inputs get standard normal values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

Requests = dict[str, npt.NDArray[Any]]

# Ops that pass ids or offsets of their first input on, cut or reshaped but not changed in value.
_CARRIERS = frozenset({"Slice", "Reshape", "Identity", "Cast", "Unsqueeze", "Squeeze", "Concat", "Flatten"})


@dataclass
class IdInputs:
    """What the integer inputs of a model are: rows of the table each selects from, and bag boundaries."""

    rows: dict[str, int] = field(default_factory=dict)
    offsets: dict[str, str] = field(default_factory=dict)  # ids input -> offsets input
    with_mean: set[str] = field(default_factory=set)  # ids inputs pooled by a mean: no empty bags


def _walk(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attr in node.attribute:
            if attr.type == onnx.AttributeProto.GRAPH:
                yield from _walk(attr.g)


def id_inputs(model: onnx.ModelProto) -> IdInputs:
    """Find the table behind each id input, and the offsets that go with it."""
    graph = model.graph
    inputs = {value.name for value in graph.input}
    tables = {t.name: t.dims[0] for t in graph.initializer if len(t.dims) == 2}
    nodes = list(_walk(graph))
    producer = {out: node for node in nodes for out in node.output}

    def root(name: str, *, through_gather: bool = False) -> str | None:
        while name not in inputs:
            node = producer.get(name)
            gather = node is not None and node.op_type == "Gather" and through_gather
            if node is None or (node.op_type not in _CARRIERS and not gather):
                return None
            name = node.input[0]
        return name

    def ids_of(name: str) -> str | None:
        """The id input whose ids, or whose gathered rows, ``name`` carries."""
        while name not in inputs:
            node = producer.get(name)
            if node is None:
                return None
            if node.op_type == "Gather" and node.input[0] in tables:
                name = node.input[1]
            elif node.op_type in _CARRIERS or node.op_type == "Mul":
                name = node.input[0]
            else:
                return None
        return name

    found = IdInputs()
    for node in nodes:
        if node.op_type == "Gather" and node.input[0] in tables:
            ids = root(node.input[1])
            if ids is not None:
                found.rows[ids] = min(tables[node.input[0]], found.rows.get(ids, tables[node.input[0]]))
    for node in nodes:
        if node.op_type == "Slice" and (ids := ids_of(node.input[0])) in found.rows:
            offsets = root(node.input[1], through_gather=True)
            if ids is not None and offsets is not None and offsets != ids:
                found.offsets[ids] = offsets
        elif node.op_type == "ReduceMean" and (ids := ids_of(node.input[0])) is not None:
            found.with_mean.add(ids)
    return found


def requests_for(model: onnx.ModelProto, batch: int = 8, seed: int = 0, max_bag: int = 5) -> Requests:
    """``batch`` random requests: one array per graph input, in graph order.

    Bags hold 0 to ``max_bag`` ids, 1 to ``max_bag`` under a mean.  Raises ``ValueError`` for an integer
    input whose meaning the graph does not show.
    """
    rng = np.random.default_rng(seed)
    found = id_inputs(model)
    owner = {offsets: ids for ids, offsets in found.offsets.items()}
    drawn: Requests = {}

    def draw_bags(ids: str, dtype: npt.DTypeLike) -> None:
        lengths = rng.integers(1 if ids in found.with_mean else 0, max_bag + 1, size=batch)
        drawn[found.offsets[ids]] = (np.cumsum(lengths) - lengths).astype(dtype)
        drawn[ids] = rng.integers(0, found.rows[ids], size=int(lengths.sum())).astype(dtype)

    for value in model.graph.input:
        name, tensor = value.name, value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        fixed = [d.dim_value for d in tensor.shape.dim][1:]
        if name in drawn:
            continue
        if tensor.elem_type in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE):
            drawn[name] = rng.standard_normal((batch, *fixed)).astype(dtype)
        elif name in found.offsets or name in owner:
            draw_bags(owner.get(name, name), dtype)
        elif name in found.rows:
            drawn[name] = rng.integers(0, found.rows[name], size=(batch, *fixed)).astype(dtype)
        else:
            raise ValueError(f"input {name}: neither a float nor ids or offsets of a table")
    return {value.name: drawn[value.name] for value in model.graph.input}
