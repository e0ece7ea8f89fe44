"""Symbolic shapes of loops, branches and sequences.

What matters is how often a loop runs: a scan output, or a sequence that grows by one tensor per
iteration, has that many rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import Block, SSAValue

from cimc.analysis.shapes import dims as d
from cimc.analysis.shapes.dims import Dim
from cimc.analysis.shapes.facts import Info, ShapeFacts
from cimc.analysis.shapes.operands import operand, scalar_content
from cimc.analysis.shapes.rule_registry import rule
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.attributes import body_names_of
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.types import is_float


@dataclass(frozen=True)
class Trips:
    """How a loop counts.

    Attributes:
        count: how often the body runs.
        index: values in the body that hold the number of the iteration, from 0.
    """

    count: Dim
    index: tuple[SSAValue, ...]


def body_of(op: onnx.NodeOp, index: int = 0) -> Block:
    """Body ``index`` of a loop or branch."""
    return op.bodies[index].block


def yielded(block: Block) -> tuple[SSAValue, ...]:
    """What a body gives back."""
    last = block.last_op
    assert isinstance(last, onnx.YieldOp)
    return tuple(last.values)


def trips_of(op: onnx.NodeOp, a: ShapeFacts) -> Trips:
    """How often a Loop runs, after its body has been analysed.

    Either ``M`` is given and the condition is always true, or the condition is ``i + 1 < N`` of a carried
    ``i`` that starts at 0 and grows by one (and ``0 < N`` holds, as extents are at least 1).
    """
    block = body_of(op)
    arguments, results = block.args, yielded(block)
    steps = [arguments[0]] if arguments else []
    first: SSAValue | None = None
    for k, (argument, after) in enumerate(zip(arguments[2:], results[1:], strict=False)):
        here, then = a.scalar(argument), a.scalar(after)
        if a.scalar(op.inputs[k + 2]) == 0 and here is not None and d.sub(then, here) == 1:
            steps.append(argument)
            first = first or argument
    entered = a.scalar(op.inputs[1]) == 1 if operand(op, 1) is not None else True
    if operand(op, 0) is not None:
        always = a.scalar(results[0]) == 1 or _same(results[0], arguments[1])
        return Trips(a.scalar(op.inputs[0]) if always and entered else None, tuple(steps))
    test = results[0].owner
    if first is None or not isinstance(test, onnx.NodeOp) or test.kind != "Less":
        return Trips(None, tuple(steps))
    if d.sub(a.scalar(test.inputs[0]), a.scalar(first)) != 1 or test.inputs[1].owner is block:
        return Trips(None, tuple(steps))
    count = a.scalar(test.inputs[1])
    return Trips(count if entered or _starts_below(op.inputs[1], count, a) else None, tuple(steps))


def _same(value: SSAValue, other: SSAValue) -> bool:
    while isinstance(value.owner, onnx.NodeOp) and value.owner.kind == "Identity":
        value = value.owner.inputs[0]
    return value is other


def _starts_below(value: SSAValue, count: Dim, a: ShapeFacts) -> bool:
    """Whether ``value`` is ``0 < count``."""
    test = value.owner
    if not isinstance(test, onnx.NodeOp) or test.kind != "Less" or count is None:
        return False
    return a.scalar(test.inputs[0]) == 0 and a.scalar(test.inputs[1]) == count


@rule("Loop")
def _loop(op: onnx.NodeOp, a: ShapeFacts) -> list[Info]:
    block = body_of(op)
    for k, argument in enumerate(block.args):
        if k < 2:
            a.set(argument, Info((), content=scalar_content(a.fresh(argument, -1)) if k == 0 else None))
            continue
        before = a.info(op.inputs[k])
        info = Info(element=before.element)
        if before.shape == () and before.element is not None and not is_float(before.element):
            # Assumed for now; only used where the body proves that it stays a counter.
            info = Info((), before.element, scalar_content(a.fresh(argument, -1)))
        elif before.shape:
            info = Info((None,) * len(before.shape), before.element)  # assumed too: the rank stays
        a.set(argument, info)
    a.walk_body(block)
    wrong = [
        k
        for k, after in enumerate(yielded(block)[1:], 2)
        if k < len(block.args) and a.info(op.inputs[k]).shape and _rank(after, a) != _rank(op.inputs[k], a)
    ]
    for k in wrong:
        a.set(block.args[k], Info(element=a.element(op.inputs[k])))
    if wrong:
        a.walk_body(block)
    count = d.count(trips_of(op, a).count)
    carried = len(block.args) - 2
    results = yielded(block)
    out = []
    for k, value in enumerate(results[1:]):
        info = a.info(value)
        if k >= carried:
            out.append(Info((count, *info.shape) if info.shape is not None else None, info.element))
        else:
            out.append(_grown(op, block, k + 2, value, count, a))
    return out


def _rank(value: SSAValue, a: ShapeFacts) -> int | None:
    shape = a.shape(value)
    return None if shape is None else len(shape)


def _grown(op: onnx.NodeOp, block: Block, k: int, value: SSAValue, count: Dim, a: ShapeFacts) -> Info:
    """A carried sequence that starts empty and takes one tensor per iteration."""
    insert, before = value.owner, op.inputs[k].owner
    grows = isinstance(insert, onnx.NodeOp) and insert.kind == "SequenceInsert" and len(insert.inputs) == 2
    empty = isinstance(before, onnx.NodeOp) and before.kind == "SequenceEmpty"
    if not grows or not empty or not isinstance(insert, onnx.NodeOp) or insert.inputs[0] is not block.args[k]:
        start, rank = a.shape(op.inputs[k]), _rank(value, a)
        same = start and rank == len(start)
        return Info((None,) * len(start) if start and same else None, a.element(op.inputs[k]))
    row = a.info(insert.inputs[1])
    return Info(None, row.element, sequence=(count, row.shape))


def branch_of(op: onnx.NodeOp, a: ShapeFacts) -> Block | None:
    """The branch of an ``If`` that is always taken; ``None`` where that depends on the request."""
    condition = a.scalar(op.inputs[0])
    if not isinstance(condition, int):
        return None
    name = "then_branch" if condition else "else_branch"
    return op.bodies[body_names_of(op).index(name)].block


@rule("If")
def _if(op: onnx.NodeOp, a: ShapeFacts) -> list[Info]:
    taken = branch_of(op, a)
    if taken is not None:
        a.walk_body(taken)
        return [a.info(value) for value in yielded(taken)]
    for region in op.bodies:
        a.walk_body(region.block)
    out = []
    for one, two in zip(*(yielded(r.block) for r in op.bodies), strict=True):
        x, y = a.shape(one), a.shape(two)
        if x is None or y is None or len(x) != len(y):
            out.append(Info(element=a.element(one)))
            continue
        out.append(Info(tuple(p if p == q else None for p, q in zip(x, y, strict=True)), a.element(one)))
    return out


@rule("ConcatFromSequence")
def _concat_from_sequence(op: onnx.NodeOp, a: ShapeFacts) -> Info:
    info = a.info(op.inputs[0])
    if info.sequence is None or info.sequence[1] is None:
        return Info(element=info.element)
    count, row = info.sequence[0], info.sequence[1]
    axis, stacked = int_attribute(op, "axis", 0), int_attribute(op, "new_axis", 0)
    if axis != 0 or (not stacked and not row):
        return Info(element=info.element)
    if stacked:
        return Info((count, *row), info.element)
    return Info((d.mul(count, row[0]), *row[1:]), info.element)
