"""Graphs inside of graphs."""

from __future__ import annotations

from onnx import helper, parser

from cimc.ir.onnx.graphs import all_graphs, all_nodes, graphs_of, subgraphs

NESTED = """<ir_version: 8, opset_import: ["" : 18]>
g (bool c, float[n] x) => (float[n] y) {
  a = Relu(x)
  y = If(c) <
    then_branch = outer () => (float[n] p) {
      p = If(c) <
        then_branch = inner () => (float[n] q) { q = Neg(x) },
        else_branch = other () => (float[n] r) { r = Exp(x) }>
    },
    else_branch = plain () => (float[n] s) { s = Abs(x) }>
}"""


def test_every_graph_and_node_with_its_depth() -> None:
    model = parser.parse_model(NESTED)
    nodes = model.graph.node
    assert {(g.name, d) for g, d in all_graphs(nodes)} == {
        ("outer", 1),
        ("inner", 2),
        ("other", 2),
        ("plain", 1),
    }
    assert {(n.op_type, d) for n, d in all_nodes(nodes)} == {
        ("Relu", 0), ("If", 0), ("If", 1), ("Neg", 2), ("Exp", 2), ("Abs", 1),
    }  # fmt: skip
    assert [g.name for g in subgraphs(nodes[0])] == []
    assert {g.name for g in subgraphs(nodes[1])} == {"outer", "plain"}


def test_functions_have_graphs_too() -> None:
    model = parser.parse_model(NESTED)
    function = helper.make_function("d", "f", ["c", "x"], ["y"], list(model.graph.node), [])
    model.functions.append(function)
    names = [g.name for g in graphs_of(model)]
    assert names.count("g") == 1
    assert names.count("inner") == 2
