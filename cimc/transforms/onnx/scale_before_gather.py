"""Rows of integers that are scaled after they were gathered: scaled before, in one form.

A table whose rows have scales of their own is three constants, of which the same ids gather rows::

    Cast(Gather(Q, i)) * Unsqueeze(Gather(S, i)) + Unsqueeze(Gather(B, i))      or without B, or with zeros
    DequantizeLinear(Gather(Q, i), Gather(S, i), Gather(Z, i), axis = 0)

Element by element that is a gather from ``Cast(Q) * S + B``, which is what recognisers look for.  Where a row
has several scales, one for each block of columns, every block is a table of its own::

    GatherBlockQuantized(Q, i, S, Z)  =  Concat(Gather(Cast(Q[:, :b]) * S[:, 0], i), ...)
    Gather(DequantizeLinear(Q, S, Z, axis = 1, block_size = b), i)      likewise
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, UnrankedTensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from cimc.analysis.constants import ConstantReader
from cimc.analysis.row_scales import ARITHMETIC, NARROW, Affine, GatheredReader, Numbers
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.attributes import dense_from_array
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.onnx.marks import helper
from cimc.ir.tensor_store import Array
from cimc.ir.types import element_from_dtype, element_to_onnx, f32, i64, shape_of, tensor
from cimc.transforms.matching.nodes import absent, node_of

_ROOTS = (*ARITHMETIC, "DequantizeLinear")
_BLOCKS = "com.microsoft.GatherBlockQuantized"


def gathers_integers(function: FuncOp, constants: ConstantReader) -> bool:
    """Whether rows of a matrix of narrow integers are gathered in ``function``."""
    for op in function.body.block.ops:
        if isinstance(op, onnx.NodeOp) and (op.kind == _BLOCKS or _is_blockwise(op, constants)):
            return True
        if isinstance(op, onnx.NodeOp) and op.kind == "Gather" and constants.is_constant(op.inputs[0]):
            source = op.inputs[0]
            if isinstance(source.owner, onnx.NodeOp) and source.owner.kind == "Cast":
                source = source.owner.inputs[0]
            if isinstance(source.owner, onnx.NodeOp) and source.owner.kind != "Constant":
                continue
            array = constants.read(source)
            if array is not None and array.ndim == 2 and array.dtype in (np.int8, np.uint8):
                return True
    return False


def to_scaled_tables(function: FuncOp, ctx: CompilerContext) -> None:
    """Rewrite what scales gathered rows to a gather of scaled rows.

    Precondition: the types of results are as complete as the shape analysis makes them.
    """
    work = _Lifting(ctx)
    for op in [o for o in function.body.block.ops if isinstance(o, onnx.NodeOp)]:
        if op.kind == _BLOCKS or _is_blockwise(op, work.constants):
            work.blocks(op)
    nodes = [o for o in function.body.block.ops if isinstance(o, onnx.NodeOp) and o.kind in _ROOTS]
    for op in reversed(nodes):  # the outermost first
        if op.results[0].first_use is not None:
            work.visit(op)


class _Lifting:
    def __init__(self, ctx: CompilerContext) -> None:
        self.ctx, self.constants = ctx, ConstantReader(ctx.store)
        self.tables: dict[tuple[SSAValue, tuple[bytes, ...]], SSAValue] = {}

    def visit(self, op: onnx.NodeOp) -> None:
        reader = GatheredReader(self.constants)
        found = reader.read(op.results[0])
        if found is None or reader.ids is None or not found.sound:
            return
        self.op = op
        self.replace(self.gather(found, reader.ids, op.results[0].type))

    def blocks(self, op: onnx.NodeOp) -> None:
        """Rewrite a lookup in a table of which every row has a scale for each block of columns."""
        self.op = op
        found = _packed(op, self.constants) if op.kind == _BLOCKS else _dequantized(op, self.constants)
        ids = shape_of(op.inputs[1].type)
        if found is None or ids is None or not (np.isfinite(found[1]).all() and (found[1] > 0).all()):
            return
        q, scale, zero, block = found
        values = []
        for number, start in enumerate(range(0, q.shape[1], block)):
            part = np.ascontiguousarray(q[:, start : start + block])
            name = self.ctx.store.add(f"{onnx.name_of(op) or 'table'}.columns{start}", part)
            type_ = tensor(part.shape, element_from_dtype(part.dtype))
            source = onnx.InitializerOp(name, type_, location=op.location)
            Rewriter.insert_op(source, InsertPoint.before(op))
            rows = Affine(source.output, part, -zero[:, number], scale[:, number], np.zeros(1), scaled=True)
            values.append(self.gather(rows, op.inputs[1], UnrankedTensorType(f32)))
        if len(values) > 1:
            axis = {"axis": IntegerAttr(len(ids), i64)}
            values = [self.make("Concat", values, UnrankedTensorType(f32), InsertPoint.before(op), axis)]
        self.replace(values[0])

    def replace(self, value: SSAValue) -> None:
        old = self.op.results[0]
        value.name_hint = old.name_hint
        old.replace_all_uses_with(value)

    def gather(self, found: Affine, ids: SSAValue, type_: Attribute) -> SSAValue:
        return self.make("Gather", [self.table(found), ids], type_, InsertPoint.before(self.op))

    def table(self, found: Affine) -> SSAValue:
        """``(Cast(Q) + zero) * factor + addend``, made once, right behind its integers."""
        parts = [np.ascontiguousarray(x, np.float32) for x in (found.zero, found.factor, found.addend)]
        key = (found.source, tuple(p.tobytes() for p in parts))
        if key not in self.tables:
            type_ = tensor(found.integers.shape, f32)
            to = {"to": IntegerAttr(element_to_onnx(f32), i64)}
            value = self.make("Cast", [found.source], type_, self._behind(found.source), to)
            for kind, part, nothing in zip(("Add", "Mul", "Add"), parts, (0, 1, 0), strict=True):
                if (part != nothing).any():
                    column = self.constant(part.reshape(-1, 1))
                    value = self.make(kind, [value, column], type_, self._behind(value))
            self.tables[key] = value
        return self.tables[key]

    def make(
        self,
        kind: str,
        inputs: list[SSAValue],
        type_: Attribute,
        at: InsertPoint,
        attrs: Mapping[str, Attribute] | None = None,
    ) -> SSAValue:
        if shape_of(type_) is None:
            type_ = UnrankedTensorType(f32)
        new = helper(onnx.NodeOp(kind, inputs, [type_], attrs, location=self.op.location))
        Rewriter.insert_op(new, at)
        return new.outputs[0]

    @staticmethod
    def _behind(value: SSAValue) -> InsertPoint:
        assert isinstance(value.owner, Operation)
        return InsertPoint.after(value.owner)

    def constant(self, array: Array) -> SSAValue:
        if array.size <= onnx.INLINE_LIMIT:
            new: onnx.ConstantOp | onnx.InitializerOp = onnx.ConstantOp(
                dense_from_array(array), location=self.op.location
            )
        else:
            name = self.ctx.store.add(f"{onnx.name_of(self.op) or 'table'}.rows", array)
            new = onnx.InitializerOp(name, tensor(array.shape, f32), location=self.op.location)
        block = self.op.parent
        assert block is not None
        Rewriter.insert_op(new, InsertPoint.at_start(block))
        return new.output


_Blocks = tuple[Array, Numbers, Numbers, int]
"""Integers ``[rows, dim]``, scales and zero points ``[rows, blocks]``, and the columns of a block."""


def _is_blockwise(op: onnx.NodeOp, constants: ConstantReader) -> bool:
    """Whether rows are gathered from a table that has several scales per row."""
    source = node_of(op.inputs[0], "DequantizeLinear") if op.kind == "Gather" else None
    if source is None or not int_attribute(source, "block_size", 0) or int_attribute(op, "axis", 0) != 0:
        return False
    scale = constants.read(source.inputs[1])
    return scale is not None and scale.ndim == 2 and scale.shape[1] > 1


def _dequantized(op: onnx.NodeOp, constants: ConstantReader) -> _Blocks | None:
    """What ``Gather(DequantizeLinear(Q, S, Z), i)`` reads, if the blocks lie along the columns."""
    source = node_of(op.inputs[0], "DequantizeLinear")
    if source is None or int_attribute(source, "axis", 1) not in (1, -1):
        return None
    given = [v for v in source.inputs if not absent(v)]
    q, scale, *zero = [constants.read(v) for v in given]
    if zero and zero[0] is None:
        return None
    return _checked(q, scale, zero[0] if zero else None, int_attribute(source, "block_size", 0), 0)


def _packed(op: onnx.NodeOp, constants: ConstantReader) -> _Blocks | None:
    """What ``GatherBlockQuantized`` reads: bytes may hold two numbers of 4 bits, the lower first.

    Numbers of type ``uint8`` count from the middle of their range where no zero points are given.
    """
    if int_attribute(op, "gather_axis", 0) != 0 or int_attribute(op, "quantize_axis", 1) not in (1, -1):
        return None
    q, scale = constants.read(op.inputs[0]), constants.read(op.inputs[2])
    given = len(op.inputs) > 3 and not absent(op.inputs[3])
    zero = constants.read(op.inputs[3]) if given else None
    if q is None or scale is None or q.ndim != 2 or scale.ndim != 2 or (given and zero is None):
        return None
    bits, middle = int_attribute(op, "bits", 4), 0
    if not isinstance(op.inputs[0].owner, onnx.NodeOp):  # bytes; narrower types are Constant nodes
        if q.dtype != np.uint8 or bits not in (4, 8):
            return None
        middle = 1 << (bits - 1)
        if bits == 4:
            q = _halves(q)
            zero = None if zero is None or zero.ndim != 2 else _halves(zero)[:, : scale.shape[1]]
    if given and zero is None:
        return None
    return _checked(q, scale, zero, int_attribute(op, "block_size", 128), middle)


def _halves(array: Array) -> Array:
    """``uint8 [rows, n]`` as the numbers of 4 bits in it, ``uint8 [rows, 2 n]``."""
    array = np.asarray(array)
    return np.stack([array & 15, array >> 4], axis=-1).reshape(array.shape[0], -1)


def _checked(
    q: Array | None, scale: Array | None, zero: Array | None, block: int, middle: int
) -> _Blocks | None:
    if q is None or scale is None or q.ndim != 2 or q.dtype not in NARROW or block < 1 or not q.size:
        return None
    want = (q.shape[0], -(-q.shape[1] // block))
    if scale.dtype != np.float32 or scale.shape != want or (zero is not None and zero.shape != want):
        return None
    zeros = np.full(want, float(middle)) if zero is None else zero.astype(np.float64)
    return q, scale.astype(np.float64), zeros, block
