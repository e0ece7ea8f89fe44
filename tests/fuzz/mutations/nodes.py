"""Nodes dropped, repeated, reordered, rewired and renamed into other operators."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper

from tests.fuzz.subject import Subject, mutation

OPERATORS = (
    "Add", "Sub", "Mul", "Div", "MatMul", "Gemm", "Gather", "GatherElements", "GatherND", "ScatterND",
    "Concat", "Reshape", "Transpose", "Slice", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Cast",
    "Relu", "Sigmoid", "Tanh", "Softmax", "Exp", "Log", "Sqrt", "Neg", "Abs", "ReduceSum", "ReduceMean",
    "ReduceMax", "ReduceL2", "Expand", "Tile", "Where", "Equal", "Greater", "Less", "Not", "And", "Min",
    "Max", "Clip", "Pow", "Shape", "Size", "ConstantOfShape", "NonZero", "Range", "CumSum", "TopK",
    "ArgMax", "Split", "Pad", "Einsum", "BatchNormalization", "LayerNormalization", "Dropout", "OneHot",
    "Trilu", "Compress", "Loop", "If", "Scan", "SequenceAt", "Constant", "QuantizeLinear",
    "DequantizeLinear", "Conv", "MaxPool", "LSTM", "StringNormalizer", "NoSuchOperator", "",
)  # fmt: skip


def _swap(graph: onnx.GraphProto, order: list[int]) -> None:
    nodes = [onnx.NodeProto.FromString(graph.node[i].SerializeToString()) for i in order]
    del graph.node[:]
    graph.node.extend(nodes)


@mutation
def drop_node(s: Subject) -> Any:
    graph = s.rng.choice(s.graphs())
    if not graph.node:
        return False
    del graph.node[s.rng.randrange(len(graph.node))]
    return None


@mutation
def bypass_node(s: Subject) -> Any:
    """A node disappears, its users take its first input."""
    graph = s.rng.choice(s.graphs())
    found = [i for i, n in enumerate(graph.node) if n.input and n.output]
    if not found:
        return False
    index = s.rng.choice(found)
    old, new = graph.node[index].output[0], graph.node[index].input[0]
    del graph.node[index]
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
    return None


@mutation
def repeat_node(s: Subject) -> Any:
    graph = s.rng.choice(s.graphs())
    if not graph.node:
        return False
    node = onnx.NodeProto()
    node.CopyFrom(s.rng.choice(graph.node))
    if s.rng.random() < 0.7:
        node.output[:] = [f"{name}/again" for name in node.output]
        users = [n for n in graph.node if set(n.input) & {o.removesuffix("/again") for o in node.output}]
        if users:
            user = s.rng.choice(users)
            user.input[:] = [f"{i}/again" if f"{i}/again" in node.output else i for i in user.input]
    graph.node.append(node)
    return None


@mutation
def shuffle_nodes(s: Subject) -> Any:
    graph = s.rng.choice(s.graphs())
    order = list(range(len(graph.node)))
    s.rng.shuffle(order)
    _swap(graph, order)


@mutation
def rewire_input(s: Subject) -> Any:
    """An input becomes any other value, possibly one that makes a cycle, or one that does not exist."""
    graph = s.rng.choice(s.graphs())
    found = [n for n in graph.node if n.input]
    if not found:
        return False
    node = s.rng.choice(found)
    choices = [*s.values(graph), *s.values(graph), "", "nobody"]
    node.input[s.rng.randrange(len(node.input))] = s.rng.choice(choices)
    return None


@mutation
def swap_inputs(s: Subject) -> Any:
    found = [n for n in s.nodes() if len(n.input) > 1]
    if not found:
        return False
    node = s.rng.choice(found)
    i, j = s.rng.sample(range(len(node.input)), 2)
    node.input[i], node.input[j] = node.input[j], node.input[i]
    return None


@mutation
def cycle(s: Subject) -> Any:
    found = [n for n in s.graph.node if n.input and n.output]
    if not found:
        return False
    node = s.rng.choice(found)
    later = s.rng.choice(found)
    node.input[0] = later.output[0]
    return None


@mutation
def add_or_remove_operand(s: Subject) -> Any:
    node = s.node()
    if node is None:
        return False
    part = s.rng.choice([node.input, node.output])
    kind = s.rng.randrange(4)
    if kind == 0 and part:
        del part[s.rng.randrange(len(part))]
    elif kind == 1:
        part.append("")
    elif kind == 2:
        part.append(f"extra{s.rng.randrange(3)}" if part is node.output else s.rng.choice(s.values(s.graph)))
    else:
        part.extend([""] * s.rng.choice([1, 40, 3000]))
    return None


@mutation
def change_operator(s: Subject) -> Any:
    node = s.node()
    if node is None:
        return False
    node.op_type = s.rng.choice(OPERATORS)
    return None


@mutation
def swap_operators(s: Subject) -> Any:
    """Two operators that occur in the model change places; attributes stay."""
    one, other = s.node(), s.node()
    if one is None or other is None:
        return False
    one.op_type, other.op_type = other.op_type, one.op_type
    return None


@mutation
def insert_unary(s: Subject) -> Any:
    found = [n for n in s.graph.node if n.output and n.output[0]]
    if not found:
        return False
    node = s.rng.choice(found)
    kind = s.rng.choice(
        ["Identity", "Relu", "Neg", "Sigmoid", "Abs", "Exp", "Transpose", "Shape", "Flatten", "Not"]
    )
    name = node.output[0]
    node.output[0] = f"{name}/before"
    s.graph.node.append(helper.make_node(kind, [f"{name}/before"], [name]))
    return None


@mutation
def change_domain(s: Subject) -> Any:
    node = s.node()
    if node is None:
        return False
    node.domain = s.rng.choice(
        ["com.microsoft", "ai.onnx.ml", "ai.onnx", "nobody.knows", "ai.onnx.training", "\n"]
    )
    if s.rng.random() < 0.5:
        s.proto.opset_import.add(domain=node.domain, version=s.rng.choice([1, 0, -1, 999, 2**62]))
    return None


@mutation
def change_opset(s: Subject) -> Any:
    kind = s.rng.randrange(5)
    if kind == 0:
        del s.proto.opset_import[:]
    elif kind == 1:
        s.proto.opset_import.add(domain="", version=s.rng.choice([1, 9, 13, 21]))
    elif kind == 2:
        s.proto.ir_version = s.rng.choice([0, 1, 3, 7, 13, 99, -1, 2**62])
    elif len(s.proto.opset_import):
        s.proto.opset_import[0].version = s.rng.choice(
            [0, -1, 1, 6, 7, 9, 11, 13, 18, 21, 25, 27, 999, 2**62]
        )
    return None
