"""The graphs of a model file: the main one, and those inside of nodes and functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs among the attributes of a node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def all_graphs(nodes: Sequence[onnx.NodeProto], depth: int = 1) -> Iterator[tuple[onnx.GraphProto, int]]:
    """All graphs below ``nodes`` with their nesting depth; protobuf bounds the recursion to 33."""
    for node in nodes:
        for graph in subgraphs(node):
            yield graph, depth
            yield from all_graphs(graph.node, depth + 1)


def all_nodes(nodes: Sequence[onnx.NodeProto], depth: int = 0) -> Iterator[tuple[onnx.NodeProto, int]]:
    """All nodes, also those of subgraphs, with the nesting depth of their graph."""
    for node in nodes:
        yield node, depth
        for graph in subgraphs(node):
            yield from all_nodes(graph.node, depth + 1)


def graphs_of(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph and every subgraph of it and of the functions."""
    yield model.graph
    for nodes in (model.graph.node, *(f.node for f in model.functions)):
        for graph, _ in all_graphs(nodes):
            yield graph
