"""Quantised ONNX models, in one form: integers stand only between a QuantizeLinear and a DequantizeLinear.

onnxruntime's tools write quantised models in three ways.  Operators between DequantizeLinear and
QuantizeLinear are left as they are.  The other two are rewritten to that form, which ONNX defines them by::

    QLinearMatMul(a, .., b, .., s, z)   = Q(MatMul(DQ(a), DQ(b)), s, z)          also QGemm, QLinearAdd, ...
    Cast(MatMulInteger(q, W)) * (s w)   = MatMul(x, DQ(W, w))   q, s = DynamicQuantizeLinear(x)
    P(Q(x, s, z))                       = Q(P(x), s, z)                          P moves elements
    DQ(Gather(W, i), s, z)              = Gather(DQ(W, s, z), i)                 W constant
    DQ(Q(P(DQ(Q(x, s, z))), s, z))      = P(DQ(Q(x, s, z)))
    P(DQ(Q(MatMul(x, y))))              = DQ(Q(P(MatMul(x, y))))                 x, y activations

The second one drops the rounding of activations to a scale that depends on the whole batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, TensorType, UnrankedTensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from cimc.analysis.constants import ConstantReader
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.attributes import dense_from_array, ints_of
from cimc.ir.onnx.dialect import int_attribute
from cimc.ir.onnx.marks import helper
from cimc.ir.tensor_store import Array
from cimc.ir.types import OpaqueType, element_from_dtype, element_of, f32, i64, shape_of, tensor
from cimc.transforms.matching.nodes import absent, node_of

_PRODUCTS = ("MatMul", "Gemm", "Transpose", "Identity")
_FLOATS = 1 << 26
"""Elements of a weight that is turned into floats; beyond that it stays on the host."""
_MOVES = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Identity")
_BINARY = {"com.microsoft.QLinearAdd": "Add", "com.microsoft.QLinearMul": "Mul"}
_UNARY = {"com.microsoft.QLinearSigmoid": "Sigmoid", "com.microsoft.QLinearLeakyRelu": "LeakyRelu"}
_KINDS = frozenset(
    {
        "QLinearMatMul", "MatMulInteger", "QuantizeLinear", "DequantizeLinear", "com.microsoft.QGemm",
        "com.microsoft.DynamicQuantizeMatMul", "com.microsoft.MatMulIntegerToFloat",
    }
)  # fmt: skip


def is_quantised(function: FuncOp) -> bool:
    """Whether a node of ``function`` computes with quantised integers."""
    return any(isinstance(op, onnx.NodeOp) and op.kind in _KINDS for op in function.body.block.ops)


def to_float_form(function: FuncOp, ctx: CompilerContext) -> None:
    """Rewrite a function so that quantised integers stand only between Q and DQ."""
    work = _Rewriting(function, ctx)
    for op in list(function.body.block.ops):
        if isinstance(op, onnx.NodeOp):
            work.visit(op)
    if work.dynamic:
        ctx.notes.append(
            f"{work.dynamic} layers quantise activations to the range of each batch; "
            "here the range is fixed, from calibration"
        )
    if work.refitted:
        ctx.notes.append(
            f"{work.refitted} weights have scales per block: quantised again from their floats, with a scale "
            "per column"
        )


class _Rewriting:
    def __init__(self, function: FuncOp, ctx: CompilerContext) -> None:
        self.constants = ConstantReader(ctx.store)
        self.ctx = ctx
        self.dynamic = self.refitted = 0
        self.floated: set[SSAValue] = set()
        self.made: dict[tuple[object, ...], SSAValue] = {}

    def visit(self, op: onnx.NodeOp) -> None:
        self.op = op
        value: SSAValue | None = None
        if op.kind == "QLinearMatMul":
            value = self.q_matmul(op)
        elif op.kind == "com.microsoft.QGemm":
            value = self.q_gemm(op)
        elif op.kind == "com.microsoft.DynamicQuantizeMatMul":
            self.dynamic += 1
            value = self.float_product(op, op.inputs[0], 1, (2, 3), 4)
        elif op.kind == "com.microsoft.MatMulIntegerToFloat":
            value = self.integer_to_float(op)
        elif op.kind in _BINARY:
            a, b = self.per_tensor(op, 0), self.per_tensor(op, 3)
            value = self.q(self.make(_BINARY[op.kind], [a, b]), op.inputs[6], op.inputs[7])
        elif op.kind in _UNARY:
            kept = {k: v for k, v in (op.attrs.data if op.attrs else {}).items() if k == "alpha"}
            value = self.q(
                self.make(_UNARY[op.kind], [self.per_tensor(op, 0)], attrs=kept), op.inputs[3], op.inputs[4]
            )
        elif op.kind == "com.microsoft.QLinearConcat":
            parts = [self.per_tensor(op, k) for k in range(2, len(op.inputs), 3)]
            joined = self.make("Concat", parts, attrs=op.attrs.data if op.attrs else {})
            value = self.q(joined, op.inputs[0], op.inputs[1])
        elif op.kind == "Mul":
            value = self.dynamic_matmul(op)
        elif op.kind in (*_MOVES, "Gather"):
            value = self.moved(op) or self.behind_product(op)
            if value is None and op.kind == "Transpose":
                value = self.turned(op)
        elif op.kind == "DequantizeLinear":
            value = self.floats(op) or self.gathered(op) or self.repeated(op)
        if value is not None:
            value.name_hint = op.results[0].name_hint
            op.results[0].replace_all_uses_with(value)

    # -- the operators ------------------------------------------------------------------------------

    def q_matmul(self, op: onnx.NodeOp) -> SSAValue:
        value, scale, zero = op.inputs[3:6]
        b = self.dq(value, scale, zero, axis=-1 if self.constants.read(value) is not None else None)
        product = self.make("MatMul", [self.per_tensor(op, 0), b])
        return self.q(product, op.inputs[6], op.inputs[7])

    def q_gemm(self, op: onnx.NodeOp) -> SSAValue | None:
        given = list(op.inputs) + [None] * (9 - len(op.inputs))
        a, a_scale, a_zero, b, b_scale, b_zero, c, y_scale, y_zero = (
            None if v is None or absent(v) else v for v in given
        )
        assert a is not None
        assert a_scale is not None
        assert b is not None
        assert b_scale is not None
        turned = bool(int_attribute(op, "transB", 0))
        operands = [self.dq(a, a_scale, a_zero), self.dq(b, b_scale, b_zero, axis=0 if turned else 1)]
        if c is not None:
            scales = [self.constants.read(v) for v in (a_scale, b_scale)]
            if scales[0] is None or scales[1] is None:
                return None
            scale = (scales[0] * scales[1]).astype(np.float32)
            operands.append(self.dq(c, self.constant(scale), None, axis=0))
        value = self.make("Gemm", operands, attrs=op.attrs.data if op.attrs else {})
        return value if y_scale is None or y_zero is None else self.q(value, y_scale, y_zero)

    def dynamic_matmul(self, op: onnx.NodeOp) -> SSAValue | None:
        """``Cast(MatMulInteger(xq, W, xz, wz)) * (xs * ws)``."""
        for product, scales in (tuple(op.inputs), tuple(op.inputs)[::-1]):
            cast, factor = node_of(product, "Cast"), node_of(scales, "Mul")
            inner = node_of(cast.inputs[0], "MatMulInteger") if cast is not None else None
            if inner is None or factor is None or self.constants.read(inner.inputs[1]) is None:
                continue
            source = node_of(inner.inputs[0], "DynamicQuantizeLinear")
            if source is None or inner.inputs[0] is not source.outputs[0]:
                continue
            weight_scale = [v for v in factor.inputs if v is not source.outputs[1]]
            zero = inner.inputs[2] if len(inner.inputs) > 2 else None
            if len(weight_scale) != 1 or zero is not source.outputs[2]:
                continue
            scale = self.constants.read(weight_scale[0])
            if scale is None:
                continue
            weight_zero = inner.inputs[3] if len(inner.inputs) > 3 else None
            flat = self.constant(scale.reshape(-1) if scale.size > 1 else scale.reshape(()))
            if weight_zero is not None and (zeros := self.constants.read(weight_zero)) is not None:
                weight_zero = self.constant(zeros.reshape(-1) if scale.size > 1 else zeros.reshape(()))
            self.dynamic += 1
            return self.make(
                "MatMul", [source.inputs[0], self.dq(inner.inputs[1], flat, weight_zero, axis=-1)]
            )
        return None

    def integer_to_float(self, op: onnx.NodeOp) -> SSAValue | None:
        """``MatMulIntegerToFloat(a, W, sa, sw, za, zw, bias)``; ``a`` mostly quantised to its own range."""
        if self.constants.read(op.inputs[1]) is None:
            return None
        source = node_of(op.inputs[0], "DynamicQuantizeLinear")
        if source is not None and op.inputs[2] is source.results[1]:
            self.dynamic += 1
            a = source.inputs[0]
        else:
            zero = _given(op, 4)
            a = self.dq(op.inputs[0], op.inputs[2], zero)
        return self.float_product(op, a, 1, (3, 5), 6)

    def float_product(
        self, op: onnx.NodeOp, a: SSAValue, weight: int, grid: tuple[int, int], bias: int
    ) -> SSAValue | None:
        """``a @ DQ(W) + bias``; the arguments are positions of the operands of ``op``."""
        scale, zero = _given(op, grid[0]), _given(op, grid[1])
        found = None if scale is None else self.constants.read(scale)
        if found is None or self.constants.read(op.inputs[weight]) is None:
            return None
        flat = self.constant(found.reshape(-1) if found.size > 1 else found.reshape(()))
        if zero is not None and (zeros := self.constants.read(zero)) is not None:
            wide = np.broadcast_to(zeros.reshape(-1), (found.size,)) if found.size > 1 else zeros.reshape(())
            zero = self.constant(np.ascontiguousarray(wide))
        value = self.make("MatMul", [a, self.dq(op.inputs[weight], flat, zero, axis=-1)])
        added = _given(op, bias)
        return value if added is None else self.make("Add", [value, added])

    def turned(self, op: onnx.NodeOp) -> SSAValue | None:
        """``Transpose(DQ(W))`` of a constant matrix is ``DQ`` of the transposed one."""
        if op.inputs[0] in self.floated and ints_of(op.attribute("perm"), (1, 0)) == (1, 0):
            floats = self.constants.read(op.inputs[0])
            assert floats is not None
            return self.constant(np.ascontiguousarray(floats.T))
        inner = node_of(op.inputs[0], "DequantizeLinear")
        array = None if inner is None else self.constants.read(inner.inputs[0])
        if inner is None or array is None or array.ndim != 2 or array.dtype not in (np.int8, np.uint8):
            return None
        if ints_of(op.attribute("perm"), (1, 0)) != (1, 0) or int_attribute(inner, "block_size", 0):
            return None
        axis = int_attribute(inner, "axis", 1) % 2
        attrs = (
            {"axis": IntegerAttr(1 - axis, i64)} if shape_of(inner.inputs[1].type) not in ((), (1,)) else {}
        )
        turned = self.constant(np.ascontiguousarray(array.T))
        return self.make("DequantizeLinear", [turned, *inner.inputs[1:]], attrs=attrs)

    def floats(self, op: onnx.NodeOp) -> SSAValue | None:
        """A constant in blocks with a scale each: no array holds it with one scale per column, so it is a
        constant of floats that is quantised like any other."""
        array, scale = (self.constants.read(v) for v in op.inputs[:2])
        block = int_attribute(op, "block_size", 0)
        if array is None or scale is None or array.ndim != 2 or scale.dtype != np.float32 or not block:
            return None
        if any(getattr(use.operation, "kind", "") not in _PRODUCTS for use in op.results[0].uses):
            return None  # rows of a table keep their scales
        if array.size > _FLOATS or _is_gathered(op):  # rows of a table keep their scales
            return None
        zero = _given(op, 2)
        zeros = None if zero is None else self.constants.read(zero)
        value = array.astype(np.float32)
        axis = int_attribute(op, "axis", 1) % 2
        for grid, sign in ((zeros, -1), (scale, 0)):
            if grid is None:
                continue
            wide = grid.astype(np.float32)
            wide = np.repeat(wide, block, axis=axis)[tuple(slice(0, n) for n in array.shape)]
            value = value - wide if sign else value * wide
        self.refitted += 1
        made = self.constant(np.ascontiguousarray(value, np.float32))
        self.floated.add(made)
        return made

    def moved(self, op: onnx.NodeOp) -> SSAValue | None:
        before = node_of(op.inputs[0], "QuantizeLinear")
        if before is None or not _per_tensor(before) or len(before.inputs) < 3:
            return None
        value = self.make(
            op.kind,
            [before.inputs[0], *op.inputs[1:]],
            attrs=op.attrs.data if op.attrs else {},
            like=op.results[0],
        )
        return self.q(value, before.inputs[1], before.inputs[2])

    def gathered(self, op: onnx.NodeOp) -> SSAValue | None:
        return self.rows(op.inputs[0], op.inputs[1:]) if _per_tensor(op) else None

    def rows(self, value: SSAValue, grid: Sequence[SSAValue]) -> SSAValue | None:
        """``Gather(DQ(W), i)`` when ``value`` is ``Gather(W, i)`` of a constant."""
        gather = node_of(value, "Gather")
        if gather is None or self.constants.read(gather.inputs[0]) is None:
            return None
        table = self.dq(gather.inputs[0], grid[0], grid[1] if len(grid) > 1 else None)
        attrs = gather.attrs.data if gather.attrs else {}
        return self.make("Gather", [table, gather.inputs[1]], attrs=attrs, like=value)

    def repeated(self, op: onnx.NodeOp) -> SSAValue | None:
        """A second rounding to the grid that the elements of ``op`` lie on already."""
        before = node_of(op.inputs[0], "QuantizeLinear")
        if before is None or not _per_tensor(op) or not self.same_grid(op, before):
            return None
        value = before.inputs[0]
        while (move := node_of(value, *_MOVES, "Gather")) is not None:
            if move.kind == "Gather" and self.constants.read(move.inputs[1]) is None:
                return None
            value = move.inputs[0]
        inner = node_of(value, "DequantizeLinear")
        if inner is None or node_of(inner.inputs[0], "QuantizeLinear") is None:
            return None
        return before.inputs[0] if self.same_grid(op, inner) else None

    def behind_product(self, op: onnx.NodeOp) -> SSAValue | None:
        """A product of activations is rounded after its elements have moved, so that patterns stay whole."""
        after = node_of(op.inputs[0], "DequantizeLinear")
        before = node_of(after.inputs[0], "QuantizeLinear") if after is not None else None
        if after is None or before is None or not _per_tensor(after) or len(before.inputs) < 3:
            return None
        if not self.same_grid(after, before) or not self.of_product(before.inputs[0]):
            return None
        attrs = op.attrs.data if op.attrs else {}
        moved = self.make(op.kind, [before.inputs[0], *op.inputs[1:]], attrs=attrs, like=op.results[0])
        rounded = self.q(moved, before.inputs[1], before.inputs[2])
        return self.dq(rounded, after.inputs[1], after.inputs[2] if len(after.inputs) > 2 else None)

    def same_grid(self, one: onnx.NodeOp, two: onnx.NodeOp) -> bool:
        """Whether two roundings have equal scales and zero points."""
        for a, b in zip(one.inputs[1:], two.inputs[1:], strict=False):
            x, y = self.constants.read(a), self.constants.read(b)
            if x is None or y is None or x.dtype != y.dtype or not np.array_equal(x.ravel(), y.ravel()):
                return False
        return len(one.inputs) == len(two.inputs)

    # -- building -----------------------------------------------------------------------------------

    def dq(
        self, value: SSAValue, scale: SSAValue, zero: SSAValue | None = None, *, axis: int | None = None
    ) -> SSAValue:
        """``value`` as floats; per tensor unless ``axis`` is given."""
        grid = [scale] if zero is None else [scale, zero]
        key = (value, *grid, axis)
        if key in self.made:
            return self.made[key]
        found = self.rows(value, grid) or self.raised(value, grid) if axis is None else None
        if found is None:
            single = axis is None or shape_of(scale.type) == ()
            attrs = {} if single else {"axis": IntegerAttr(axis or 0, i64)}
            found = self.make("DequantizeLinear", [value, *grid], attrs=attrs, like=value)
        self.made[key] = found
        return found

    def raised(self, value: SSAValue, grid: Sequence[SSAValue]) -> SSAValue | None:
        """``P(DQ(Q(x)))`` when ``value`` is ``Q(P(x))``, so that all movements of ``x`` see one rounding."""
        before = node_of(value, "QuantizeLinear")
        move = node_of(before.inputs[0], *_MOVES) if before is not None else None
        if before is None or move is None or not _per_tensor(before) or self.of_product(move.inputs[0]):
            return None
        key: tuple[object, ...] = (move.inputs[0], *before.inputs[1:], "q")
        if key not in self.made:
            self.made[key] = self.q(move.inputs[0], before.inputs[1], before.inputs[2], like=move.inputs[0])
        inner = self.dq(self.made[key], grid[0], grid[1] if len(grid) > 1 else None)
        key = (move, inner)
        if key not in self.made:
            attrs = move.attrs.data if move.attrs else {}
            self.made[key] = self.make(
                move.kind, [inner, *move.inputs[1:]], attrs=attrs, like=move.results[0]
            )
        return self.made[key]

    def of_product(self, value: SSAValue) -> bool:
        """Whether the elements of ``value`` are those of a product of activations."""
        while (move := node_of(value, *_MOVES, "Gather")) is not None:
            value = move.inputs[0]
        product = node_of(value, "MatMul")
        return product is not None and all(self.constants.read(v) is None for v in product.inputs)

    def q(
        self, value: SSAValue, scale: SSAValue, zero: SSAValue, *, like: SSAValue | None = None
    ) -> SSAValue:
        return self.make("QuantizeLinear", [value, scale, zero], element=element_of(zero.type), like=like)

    def per_tensor(self, op: onnx.NodeOp, first: int) -> SSAValue:
        """The quantised operand whose value, scale and zero point are three inputs from ``first`` on."""
        value, scale, zero = op.inputs[first : first + 3]
        return self.dq(value, scale, zero)

    def make(
        self,
        kind: str,
        inputs: Sequence[SSAValue],
        *,
        attrs: Mapping[str, Attribute] | None = None,
        element: Attribute | None = f32,
        like: SSAValue | None = None,
    ) -> SSAValue:
        like = self.op.results[0] if like is None else like
        shape = shape_of(like.type)
        type_: Attribute = OpaqueType()
        if element is not None:
            type_ = UnrankedTensorType(element) if shape is None else tensor(shape, element)
        new = helper(onnx.NodeOp(kind, inputs, [type_], attrs, location=self.op.location))
        Rewriter.insert_op(new, InsertPoint.before(self.op))
        return new.outputs[0]

    def constant(self, array: Array) -> SSAValue:
        if array.size <= 64:
            new: onnx.ConstantOp | onnx.InitializerOp = onnx.ConstantOp(
                dense_from_array(np.ascontiguousarray(array)), location=self.op.location
            )
        else:
            name = self.ctx.store.add(f"{onnx.name_of(self.op) or 'layer'}.scale", array)
            type_ = TensorType(element_from_dtype(array.dtype), array.shape)
            new = onnx.InitializerOp(name, type_, location=self.op.location)
        Rewriter.insert_op(new, InsertPoint.before(self.op))
        return new.output


def _given(op: onnx.NodeOp, index: int) -> SSAValue | None:
    """Input ``index`` of ``op``, if there."""
    return None if index >= len(op.inputs) or absent(op.inputs[index]) else op.inputs[index]


def _is_gathered(op: onnx.NodeOp) -> bool:
    """Whether rows of what ``op`` makes are looked up."""
    users = [(u.operation, u.index) for u in op.results[0].uses]
    return any(isinstance(u, onnx.NodeOp) and u.kind == "Gather" and index == 0 for u, index in users)


def _per_tensor(op: onnx.NodeOp) -> bool:
    return shape_of(op.inputs[1].type) in ((), (1,))
