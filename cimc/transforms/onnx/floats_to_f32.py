"""Models of other float types than f32: on the chip every float is f32, so the graph is made f32 throughout.

Inputs and outputs keep their types, with a Cast behind or before them.  A constant keeps its array, with a
Cast behind it that :class:`~cimc.analysis.constants.ConstantReader` reads through: a table of f16 is never
copied to f32.  Casts between float types inside the model vanish.

Floats from which integers are made (ids that arrive as f64, hashes) stay what they are, and with them
everything before: there each bit counts.
"""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import (
    BFloat16Type,
    DenseIntOrFPElementsAttr,
    DictionaryAttr,
    Float16Type,
    Float64Type,
    IntegerAttr,
    IntegerType,
    TensorType,
    UnrankedTensorType,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.attributes import array_from_dense, dense_from_array
from cimc.ir.onnx.marks import helper
from cimc.ir.types import element_from_onnx, element_of, element_to_onnx, f32, i64

_OTHER = (Float16Type, BFloat16Type, Float64Type)
_TYPE_KEYS = ("to", "dtype")
_F32 = element_to_onnx(f32)


def is_other_float(value: SSAValue) -> bool:
    """Whether ``value`` holds floats that are not f32."""
    return isinstance(element_of(value.type), _OTHER)


def has_other_floats(function: FuncOp) -> bool:
    """Whether a value of ``function``, or of a body in it, holds floats that are not f32."""
    if any(is_other_float(a) for a in function.body.block.args):
        return True
    return any(is_other_float(r) for op in function.body.walk() for r in op.results)


def to_f32(function: FuncOp) -> None:
    """Make all floats of an ``onnx`` function f32, except where integers are made from them.

    Precondition: the types of results are as complete as the shape analysis makes them.
    """
    _Widening(function).run()


class _Widening:
    def __init__(self, function: FuncOp) -> None:
        self.function = function
        self.kept = _origins_of_integers(function)
        self.before: dict[SSAValue, Attribute] = {}
        self.wide: dict[SSAValue, SSAValue] = {}
        self.narrow: dict[tuple[SSAValue, Attribute], SSAValue] = {}

    def run(self) -> None:
        block = self.function.body.block
        self.block(block)
        end = block.last_op
        if isinstance(end, ReturnOp):
            self.restore(end)

    def block(self, block: Block) -> None:
        for op in list(block.ops):
            if isinstance(op, onnx.YieldOp):
                parent = op.parent_op()
                if isinstance(parent, onnx.NodeOp) and self.changes(parent):
                    self.widen_operands(op)
                else:
                    self.restore(op)
            elif isinstance(op, onnx.NodeOp):
                if self.changes(op):
                    self.node(op)
                else:
                    self.restore(op)
                    for region in op.bodies:
                        self.block(region.block)

    def changes(self, op: onnx.NodeOp) -> bool:
        """Whether ``op`` computes in f32 from now on: ONNX's own operators accept either type."""
        return op.domain is None and op.kind != "BitCast" and op not in self.kept

    def node(self, op: onnx.NodeOp) -> None:
        self.widen_operands(op)
        if op.attrs is not None:
            op.properties["attrs"] = DictionaryAttr({k: _attribute(k, v) for k, v in op.attrs.data.items()})
        for region in op.bodies:
            for argument in region.block.args:
                self.retype(argument)
            self.block(region.block)
        for result in op.results:
            self.retype(result)

    def retype(self, value: SSAValue) -> None:
        element = element_of(value.type)
        if element is None or not isinstance(element, _OTHER):
            return
        self.before[value] = element
        value._type = _with_element(value.type, f32)

    def widen_operands(self, op: Operation) -> None:
        for index, value in enumerate(op.operands):
            if is_other_float(value):
                op.operands[index] = self.widened(value)

    def widened(self, value: SSAValue) -> SSAValue:
        """``value`` in f32: a small constant anew, anything else by a Cast right behind it."""
        if value not in self.wide:
            owner = value.owner
            if isinstance(owner, onnx.ConstantOp):
                array = array_from_dense(owner.value).astype(np.float32)
                new: Operation = onnx.ConstantOp(dense_from_array(array), location=owner.location)
            else:
                new = _cast(value, f32)
            _insert_behind(value, new)
            new.results[0].name_hint = value.name_hint
            self.wide[value] = new.results[0]
        return self.wide[value]

    def restore(self, op: Operation) -> None:
        """Hand ``op`` its operands in their own types."""
        for index, value in enumerate(op.operands):
            if value not in self.before:
                continue
            key = (value, self.before[value])
            if key not in self.narrow:
                new = _cast(value, self.before[value])
                _insert_behind(value, new)
                self.narrow[key] = new.results[0]
            op.operands[index] = self.narrow[key]


def _origins_of_integers(function: FuncOp) -> set[Operation]:
    """Operations that floats come from which are cast to integers."""
    found: set[Operation] = set()
    stack: list[SSAValue] = []
    for op in function.body.walk():
        if isinstance(op, onnx.NodeOp) and op.kind in ("Cast", "CastLike", "BitCast"):
            to = element_of(op.outputs[0].type)
            if isinstance(to, IntegerType) and to.width.data > 1 and _is_float(op.inputs[0]):
                found.add(op)
                stack.append(op.inputs[0])
    while stack:
        owner = stack.pop().owner
        if isinstance(owner, onnx.NodeOp) and owner not in found:
            found.add(owner)
            stack += [v for v in owner.inputs if _is_float(v)]
    return found


def _is_float(value: SSAValue) -> bool:
    return element_of(value.type) == f32 or is_other_float(value)


def _attribute(key: str, value: Attribute) -> Attribute:
    """An attribute of an operator that computes in f32."""
    if key in _TYPE_KEYS and isinstance(value, IntegerAttr):
        named = element_from_onnx(value.value.data)
        return IntegerAttr(_F32, i64) if isinstance(named, _OTHER) else value
    if isinstance(value, DenseIntOrFPElementsAttr) and isinstance(value.get_element_type(), _OTHER):
        return dense_from_array(array_from_dense(value).astype(np.float32))
    return value


def _with_element(type_: Attribute, element: Attribute) -> Attribute:
    if isinstance(type_, TensorType):
        return TensorType(element, type_.get_shape())
    return UnrankedTensorType(element)


def _cast(value: SSAValue, element: Attribute) -> onnx.NodeOp:
    owner = value.owner
    location = owner.location if isinstance(owner, Operation) else None
    cast = onnx.NodeOp(
        "Cast",
        [value],
        [_with_element(value.type, element)],
        {"to": IntegerAttr(element_to_onnx(element), i64)},
        location=location,
    )
    return helper(cast)


def _insert_behind(value: SSAValue, op: Operation) -> None:
    if isinstance(value, BlockArgument):
        Rewriter.insert_op(op, InsertPoint.at_start(value.owner))
    else:
        assert isinstance(value.owner, Operation)
        Rewriter.insert_op(op, InsertPoint.after(value.owner))
