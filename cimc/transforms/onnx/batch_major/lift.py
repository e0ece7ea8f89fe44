"""Brings the batch to the front where a model computes with it elsewhere.

Exporters spell a layer over a sequence as a product of ``[batch * length, features]``, and attention as
products of ``[batch * heads, length, depth]`` or ``[length, batch, features]``.  All of these hold one part
per request, only not as dimension 0.  Every such value gets a *lifted* twin ``[batch, ...]``: the batch is
factored out of the dimension that holds it and put first, the other dimensions stay as they are::

    [B * L, D]    ->  [B, L, D]              [L, B, D]  ->  [B, L, 1, D]
    [L * B, D]    ->  [B, L, D]              [B, D]     ->  [B, 1, D]

An input of the model that holds an open batch along a later axis is transposed by the host first.
Operators are repeated on the twins; a result whose dimension 0 is the batch again takes its original's
place.  A chain that never returns to such a form is left as it was.  The twins are ``onnx`` nodes, which the
recognisers then see.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Operation, SSAValue

from cimc.analysis.shapes import dims as d
from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.marks import WAS, marks, set_marks
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch
from cimc.transforms.matching.graph import Graph
from cimc.transforms.onnx.batch_major.lifted_operators import RULES
from cimc.transforms.onnx.batch_major.lifter import VIEWS, Lifted, Lifter, _held


def batch_first(graph: Graph) -> None:
    """Lift what can be lifted; what is done for a node of the model takes its marks."""
    if graph.batch is None:
        return
    lifter = Lifter(graph)
    made: list[Operation] = []
    mains: dict[onnx.NodeOp, onnx.NodeOp] = {}
    block = graph.function.body.block
    nodes = list(block.ops)
    for argument in block.args:
        made += _turned(lifter, argument)
    for op in nodes:
        if not isinstance(op, onnx.NodeOp) or op.kind not in RULES or not _concerns(op, lifter):
            continue
        known = len(lifter.twins)
        lifter.emit = Emitter(graph, op)
        try:
            results = list(RULES[op.kind](op, lifter))
        except NoMatch:
            while len(lifter.twins) > known:  # made for this operator
                lifter.twins.popitem()
            continue
        main = results[0].value.owner
        if isinstance(main, onnx.NodeOp) and main in lifter.emit.ops:
            mains[op] = main
        for value, found in zip(op.outputs, results, strict=False):
            if found.in_front:
                new = lifter.view(found.value, found.dims[1:])
                value.replace_all_uses_with(new)
                lifter.twins[new] = found
            else:
                lifter.twins[value] = found
        block.insert_ops_before(lifter.emit.ops, op)
        made += lifter.emit.ops
    dead: set[Operation] = set()
    for old in (*reversed(made), *reversed(mains), *reversed(made)):
        if old not in dead and not any(True for r in old.results for _ in r.uses):
            dead.add(old)
            old.detach()  # type: ignore[no-untyped-call]
            old.erase()
    for op, main in mains.items():
        if op in dead and main not in dead:
            _stand_in(main, op)


def _stand_in(main: onnx.NodeOp, op: onnx.NodeOp) -> None:
    """Let ``main`` tell what becomes of ``op``."""
    found = marks(op)
    if main.operator != op.operator:
        found.setdefault(WAS, StringAttr(op.operator))
    set_marks(main, found)


def _turned(lifter: Lifter, argument: SSAValue) -> Sequence[Operation]:
    """Make the twin of an input ``[.., batch, ..]``, if it is one."""
    graph = lifter.graph
    shape, element = graph.analysis.shape(argument), graph.analysis.element(argument)
    users = [u for u in graph.users(argument) if isinstance(u, onnx.NodeOp)]
    if not isinstance(graph.batch, d.Poly) or not shape or element is None or not _held(element) or not users:
        return []
    rest = [e for e in shape if isinstance(e, int)]
    if graph.batch not in shape[1:] or len(rest) != len(shape) - 1:
        return []
    axis = shape.index(graph.batch)
    perm = rec.ints([axis, *(k for k in range(len(shape)) if k != axis)])
    lifter.emit = Emitter(graph, users[0])
    front = lifter.emit.node("Transpose", [argument], (graph.batch, *rest), element, {"perm": perm})
    dims = (*rest[:axis], 1, *rest[axis:])
    lifter.twins[argument] = Lifted(lifter.view(front, dims), dims, axis)
    block = graph.function.body.block
    assert block.first_op is not None
    block.insert_ops_before(lifter.emit.ops, block.first_op)
    return lifter.emit.ops


def _concerns(op: onnx.NodeOp, lifter: Lifter) -> bool:
    """Whether the batch of an operand or the result is not dimension 0."""
    graph = lifter.graph
    moved = [lifter.twins[v] for v in op.inputs if v in lifter.twins]
    if any(not twin.in_front for twin in moved):
        return True
    if op.kind not in (*VIEWS, "Transpose"):
        return False
    before, after = graph.analysis.shape(op.inputs[0]), graph.analysis.shape(op.outputs[0])
    if not before or not after or before[0] != graph.batch or not _held(graph.analysis.element(op.inputs[0])):
        return False
    if op.kind == "Transpose":
        perm = rec.unpack(p) if (p := op.attribute("perm")) is not None else ()  # type: ignore[arg-type]
        return perm[:1] != (0,)
    return after[0] != graph.batch
