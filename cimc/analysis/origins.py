"""Where the elements of a value come from: out of the requests as they are, or out of the model's arithmetic.

A layer's input that is *given* holds what the request holds: inputs of the graph, one-hot vectors and other
truth values, moved about, masked, shifted, scaled or counted.  Its largest elements are meant, however rare.
What layers, tables and products make is not given; there, a rare large element may be an outlier.
"""

from __future__ import annotations

from typing import Literal

from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from cimc.ir import rec
from cimc.ir.onnx import dialect as onnx

How = Literal["given", "moved", "each", "made"]

_MOVE = (rec.ReshapeOp, rec.TransposeOp, rec.SliceOp, rec.TakeOp, rec.ExpandOp, rec.ConcatOp, rec.PadOp)
_EACH = frozenset({"relu", "neg", "abs", "clip", "sign", "floor", "ceil", "round", "add", "sub", "mul", "max",
                   "min", "mask"})  # fmt: skip
_TRUTH = frozenset({"less", "less_equal", "equal"})
_COUNT = frozenset({"sum", "max", "min", "mean"})

_NODE_MOVE = frozenset({"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Expand",
                        "Tile", "Slice", "Split", "Cast", "Pad", "Gather", "GatherElements",
                        "GatherND"})  # fmt: skip
"""Nodes that move the elements of their first operand; ``Concat`` moves those of all."""
_NODE_TRUTH = frozenset({"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Not", "And", "Or",
                         "Xor", "IsNaN", "IsInf", "OneHot"})  # fmt: skip
_NODE_EACH = frozenset({"Relu", "Neg", "Abs", "Clip", "Sign", "Floor", "Ceil", "Round", "Add", "Sub", "Mul",
                        "Max", "Min", "Where", "ScatterElements", "ScatterND", "ReduceSum", "ReduceMax",
                        "ReduceMin", "ReduceMean"})  # fmt: skip


def is_given(value: SSAValue) -> bool:
    """Whether ``value`` holds what the request holds, or truth values."""
    work, seen = [value], {value}
    while work:
        how, sources = _origin(work.pop())
        if how == "made":
            return False
        work += [v for v in sources if v not in seen]
        seen.update(sources)
    return True


def parts_of(value: SSAValue) -> list[SSAValue]:
    """The values that ``value`` is put together from, element by element: itself, if from no others."""
    work, found = [value], dict[SSAValue, None]()
    while work:
        here = work.pop()
        if isinstance(here.owner, rec.ReshapeOp | rec.TransposeOp | rec.ConcatOp):
            work += here.owner.operands
        else:
            found[here] = None
    return list(found)


def whole_of(value: SSAValue) -> SSAValue:
    """The value of ``@main`` that ``value`` was cut from, or itself."""
    found = value
    while True:
        how, sources = _origin(value)
        if how != "moved" or len(sources) != 1:
            return found
        value = sources[0]
        if not _inside_host(value):
            found = value


def _inside_host(value: SSAValue) -> bool:
    block = value.owner if isinstance(value, BlockArgument) else value.owner.parent
    return block is not None and isinstance(block.parent_op(), rec.HostOp)


def _origin(value: SSAValue) -> tuple[How, list[SSAValue]]:
    """How the elements of ``value`` came to be, and from which values."""
    if isinstance(value, BlockArgument):
        around = value.owner.parent_op()
        if isinstance(around, rec.HostOp):
            return "moved", [around.inputs[value.index]]
        return ("given", []) if isinstance(around, FuncOp) else ("made", [])
    op = value.owner
    assert isinstance(op, Operation)
    if isinstance(op, rec.ConstantOp | onnx.ConstantOp | onnx.InitializerOp | onnx.NoneOp):
        return "given", []
    if isinstance(op, rec.HostOp):
        end = op.body.block.last_op
        assert isinstance(end, rec.YieldOp)
        return "moved", [end.values[op.results.index(value)]]
    if isinstance(op, (*_MOVE, rec.CastOp)):
        return "moved", list(op.operands)
    if isinstance(op, rec.UnaryOp | rec.BinaryOp):
        kind = op.kind.data
        if kind == "div" and isinstance(op.operands[1].owner, rec.ConstantOp):
            return "each", list(op.operands)
        return (
            ("given", [])
            if kind in _TRUTH
            else ("each", list(op.operands))
            if kind in _EACH
            else ("made", [])
        )
    if isinstance(op, rec.ReduceOp) and op.kind.data in _COUNT:
        return "each", [op.x]
    return _node(op) if isinstance(op, onnx.NodeOp) else ("made", [])


def _node(op: onnx.NodeOp) -> tuple[How, list[SSAValue]]:
    kind = op.kind
    constants = onnx.ConstantOp | onnx.InitializerOp
    if kind in _NODE_TRUTH:
        return "given", []
    if kind == "Concat":
        return "moved", list(op.inputs)
    if kind in _NODE_MOVE:
        # rows gathered from a constant are an embedding: of the model, not of the request
        made = kind.startswith("Gather") and isinstance(op.inputs[0].owner, constants)
        return ("made", []) if made else ("moved", [op.inputs[0]])
    if kind in _NODE_EACH or (kind == "Div" and isinstance(op.inputs[1].owner, constants)):
        return "each", list(op.inputs)
    return "made", []
