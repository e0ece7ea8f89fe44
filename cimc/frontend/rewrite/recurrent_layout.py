"""Recurrent layers with the batch in front (``layout`` 1), which onnxruntime has no kernels for.

The same layer with the sequences first, between transpositions; bodies of loops and branches too.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, helper

from cimc.ir.onnx.graphs import graphs_of

NOTE = (
    "onnxruntime has no kernels for recurrent layers of layout 1: they are computed in layout 0, between "
    "transpositions, with the same numbers"
)

_KINDS = ("GRU", "LSTM", "RNN")
_SUFFIX = "/layout0"
_MOVED_INPUTS = (0, 5, 6)
"""``X`` and the initial states: ``[batch, ...]`` to ``[.., batch, ..]``."""


def has_batch_first(model: ModelProto) -> bool:
    """Whether any recurrent layer has layout 1."""
    return any(_is_batch_first(node) for graph in graphs_of(model) for node in graph.node)


def sequences_first(model: ModelProto) -> None:
    """Give every recurrent layer of ``model`` layout 0, in place."""
    graphs = list(graphs_of(model))
    taken = {name for graph in graphs for name in _names(graph)}
    suffix = _SUFFIX
    while any(name.endswith(suffix) for name in taken):
        suffix += "_"
    for graph in graphs:
        nodes = [new for node in graph.node for new in _turned(node, suffix)]
        del graph.node[:]
        graph.node.extend(nodes)


def _names(graph: GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from (*node.input, *node.output)


def _is_batch_first(node: NodeProto) -> bool:
    layouts = [a.i for a in node.attribute if a.name == "layout" and a.type == AttributeProto.INT]
    return node.op_type in _KINDS and node.domain in ("", "ai.onnx") and layouts == [1]


def _turned(node: NodeProto, suffix: str) -> Iterator[NodeProto]:
    if not _is_batch_first(node):
        yield node
        return
    new = NodeProto()
    new.CopyFrom(node)
    for attribute in new.attribute:
        if attribute.name == "layout":
            attribute.i = 0
    base = node.name or next(name for name in node.output if name)
    for index in _MOVED_INPUTS:
        if index < len(new.input) and new.input[index]:
            moved = f"{base}/input{index}{suffix}"
            yield helper.make_node("Transpose", [new.input[index]], [moved], name=moved, perm=(1, 0, 2))
            new.input[index] = moved
    behind = []
    for index, name in enumerate(node.output):
        if name:
            new.output[index] = name + suffix
            perm = (2, 0, 1, 3) if index == 0 else (1, 0, 2)
            behind.append(
                helper.make_node("Transpose", [name + suffix], [name], name=name + suffix, perm=perm)
            )
    yield new
    yield from behind
