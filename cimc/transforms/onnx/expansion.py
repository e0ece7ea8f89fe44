"""What the rules that take an operator apart are written with: its operands, and the nodes it becomes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, StringAttr, UnrankedTensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.analysis.shapes.facts import Shape
from cimc.ir import rec
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.attributes import dense_from_array
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.tensor_store import Array
from cimc.ir.types import element_from_dtype, f32, i64, tensor
from cimc.transforms.matching.nodes import absent


class Unknown(Exception):
    """The node is left as it is; the message says why, where a user would want to know."""


class Expansion:
    """The nodes that one compound node becomes."""

    def __init__(self, op: onnx.NodeOp, analysis: ShapeAnalysis, ctx: CompilerContext, opset: int) -> None:
        self.op, self.analysis, self.ctx, self.opset = op, analysis, ctx, opset
        self.ops: list[onnx.NodeOp | onnx.ConstantOp | onnx.InitializerOp | onnx.NoneOp] = []
        self._small: dict[tuple[str, tuple[int, ...], bytes], SSAValue] = {}

    @property
    def nodes(self) -> list[onnx.NodeOp]:
        return [op for op in self.ops if isinstance(op, onnx.NodeOp)]

    def insert(self) -> None:
        for op in self.ops:
            Rewriter.insert_op(op, InsertPoint.before(self.op))

    def forget(self) -> None:
        for op in self.ops:
            op.drop_all_references()

    # -- the node -----------------------------------------------------------------------------------

    def given(self, index: int) -> SSAValue | None:
        """Input ``index``, if there."""
        inputs = self.op.inputs
        return None if index >= len(inputs) or absent(inputs[index]) else inputs[index]

    def input(self, index: int) -> SSAValue:
        found = self.given(index)
        self.need(found is not None)
        assert found is not None
        return found

    def array(self, index: int, what: str) -> Array | None:
        """Constant input ``index``, if there; called ``what`` where it is computed."""
        value = self.given(index)
        if value is None:
            return None
        found = self.analysis.constants.read(value)
        self.need(found is not None, f"its {what} are not constant")
        return found

    def number_of(self, name: str, default: int) -> int:
        return int_attribute(self.op, name, default)

    def text_of(self, name: str, default: str) -> str:
        found = self.op.attribute(name)
        return found.data if isinstance(found, StringAttr) else default

    def need(self, condition: object, reason: str = "") -> None:
        if not condition:
            raise Unknown(reason)

    def none(self, *indices: int) -> None:
        """Inputs that the rule has no use for must be absent."""
        for i in indices:
            self.need(self.given(i) is None, f"input {i} is given")

    def unused(self, *results: int) -> None:
        for r in results:
            unused = r >= len(self.op.results) or not any(True for _ in self.op.results[r].uses)
            self.need(unused, f"output {r} is used")

    def shape(self, value: SSAValue) -> Shape:
        """Extents, numbers or symbolic."""
        found = self.analysis.shape(value)
        self.need(found is not None)
        assert found is not None
        return found

    def dims(self, value: SSAValue) -> list[int]:
        """Extents, -1 where they are not numbers."""
        return [d if isinstance(d, int) else -1 for d in self.shape(value)]

    # -- building -----------------------------------------------------------------------------------

    def make(self, kind: str, *inputs: SSAValue, **attrs: Attribute) -> SSAValue:
        node = onnx.NodeOp(kind, inputs, [UnrankedTensorType(f32)], attrs, location=self.op.location)
        self.ops.append(node)
        return node.outputs[0]

    def constant(self, array: Array, name: str = "constant") -> SSAValue:
        """A constant; ``name`` follows the node's where it goes to the store."""
        if array.size > onnx.INLINE_LIMIT:
            store = self.ctx.store.add(f"{onnx.name_of(self.op) or self.op.kind}.{name}", array)
            type_ = tensor(array.shape, element_from_dtype(array.dtype))
            large = onnx.InitializerOp(store, type_, location=self.op.location)
            self.ops.append(large)
            return large.output
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._small:
            small = onnx.ConstantOp(dense_from_array(np.asarray(array, order="C")), location=self.op.location)
            self.ops.append(small)
            self._small[key] = small.output
        return self._small[key]

    def number(self, value: float) -> SSAValue:
        return self.constant(np.array(value, np.float32))

    def reshape(self, x: SSAValue, *dims: int) -> SSAValue:
        return self.make("Reshape", x, self.constant(np.array(dims, np.int64)))

    def transpose(self, x: SSAValue, *perm: int) -> SSAValue:
        return self.make("Transpose", x, perm=rec.ints(perm))

    def concat(self, parts: Sequence[SSAValue], axis: int) -> SSAValue:
        return parts[0] if len(parts) == 1 else self.make("Concat", *parts, axis=IntegerAttr(axis, i64))

    def slice(self, x: SSAValue, axis: int, start: int, stop: int) -> SSAValue:
        if self.opset < 10:
            return self.make(
                "Slice", x, starts=rec.ints([start]), ends=rec.ints([stop]), axes=rec.ints([axis])
            )
        return self.make("Slice", x, *(self.constant(np.array([v], np.int64)) for v in (start, stop, axis)))

    def unsqueeze(self, x: SSAValue, axis: int) -> SSAValue:
        if self.opset < 13:
            return self.make("Unsqueeze", x, axes=rec.ints([axis]))
        return self.make("Unsqueeze", x, self.constant(np.array([axis], np.int64)))

    def mean_of_last(self, x: SSAValue) -> SSAValue:
        return self.reduced_last("ReduceMean", x)

    def reduced_last(self, kind: str, x: SSAValue) -> SSAValue:
        """``x`` reduced by ``kind`` along its last axis, which stays with extent 1."""
        keep = IntegerAttr(1, i64)
        if self.opset >= 18:
            return self.make(kind, x, self.constant(np.array([-1], np.int64)), keepdims=keep)
        return self.make(kind, x, axes=rec.ints([-1]), keepdims=keep)

    def scaled(self, x: SSAValue, factor: float) -> SSAValue:
        return x if factor == 1.0 else self.make("Mul", x, self.number(factor))
