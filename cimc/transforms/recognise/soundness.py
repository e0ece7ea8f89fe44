"""Nodes that onnxruntime refuses only when it gets to them: a recogniser must not give them a meaning.

A pattern reads of a node what it needs; an operand it has no interest in may still be one that the operator
does not take.  What is not known at compile time counts as right.
"""

from __future__ import annotations

from collections.abc import Iterator

from xdsl.ir import Operation, SSAValue

from cimc.analysis.shapes.operands import operand
from cimc.ir.onnx import dialect as onnx
from cimc.transforms.matching.failure import need
from cimc.transforms.matching.graph import Graph

_REDUCTIONS = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2")
_VECTORS: dict[str, tuple[int, ...]] = {
    "Slice": (1, 2, 3, 4),
    "Unsqueeze": (1,),
    "Squeeze": (1,),
    "Reshape": (1,),
    "Expand": (1,),
    "Tile": (1,),
    "ConstantOfShape": (0,),
    **dict.fromkeys(_REDUCTIONS, (1,)),
}
"""Operands that are vectors, per operator."""
_AXES = {"Slice": 3, "Squeeze": 1, **dict.fromkeys(_REDUCTIONS, 1)}
"""The operand with axes of operand 0, per operator."""


def need_sound(op: Operation, graph: Graph) -> None:
    """NoMatch if ``op``, or a node in a body inside it, has an operand that its operator does not take."""
    for node in _nodes(op):
        name = onnx.name_of(node) or node.kind
        for index in _VECTORS.get(node.kind, ()):
            value = operand(node, index)
            shape = None if value is None else graph.analysis.shape(value)
            need(shape is None or len(shape) == 1, f"operand {index} of {name} is no vector")
        need(_in_range(node, graph), f"an axis of {name} does not exist")
        if node.kind == "Slice":
            lengths = {n for v in node.inputs[1:] if (n := _length(v, graph)) is not None}
            need(len(lengths) <= 1, f"the bounds of {name} differ in number")


def _nodes(op: Operation) -> Iterator[onnx.NodeOp]:
    yield from (inner for inner in op.walk() if isinstance(inner, onnx.NodeOp))


def _length(value: SSAValue, graph: Graph) -> int | None:
    shape = graph.analysis.shape(value)
    return shape[0] if shape and isinstance(shape[0], int) else None


def _in_range(node: onnx.NodeOp, graph: Graph) -> bool:
    if node.kind not in _AXES or not node.inputs:
        return True
    value = operand(node, _AXES[node.kind])
    shape = graph.analysis.shape(node.inputs[0])
    axes = None if value is None else graph.analysis.integers(value)
    if shape is None or axes is None:
        return True
    known = [a for a in axes if isinstance(a, int)]
    return all(-len(shape) <= a < len(shape) for a in known)
