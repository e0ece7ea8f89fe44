"""Layers, elementwise functions, reductions and products."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    I64,
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    StringAttr,
    SymbolRefAttr,
    TensorType,
    f64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from cimc.ir.rec.base import (
    BINARY,
    REDUCE,
    UNARY,
    RecOp,
    broadcast,
    checked_axis,
    checked_kind,
    element,
    ints,
    join,
    shape,
    unpack,
)
from cimc.ir.types import DYNAMIC, tensor


@irdl_op_definition
class LinearOp(RecOp):
    """``x @ weight + bias`` over the last axis: ``[B, ..., K] -> [B, ..., N]``, weight stored ``[K, N]``."""

    name = "rec.linear"
    x = operand_def(TensorType)
    weight = prop_def(SymbolRefAttr)
    bias = opt_prop_def(SymbolRefAttr)
    units = prop_def(IntegerAttr[I64])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `weight` $weight (`bias` $bias^)? `units` $units attr-dict `:` type($x) `->` type($result)"
    )

    def __init__(self, x: SSAValue, weight: str, units: int, bias: str | None = None) -> None:
        super().__init__(
            operands=[x],
            properties={
                "weight": SymbolRefAttr(weight),
                "bias": SymbolRefAttr(bias) if bias else None,
                "units": IntegerAttr(units, 64),
            },
            result_types=[tensor(())],
        )
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        dims = shape(self.x)
        if len(dims) < 2:
            raise VerifyException("a linear layer needs [batch, ..., features]")
        return tensor((*dims[:-1], self.units.value.data))


@irdl_op_definition
class UnaryOp(RecOp):
    """An elementwise function of one operand."""

    name = "rec.unary"
    x = operand_def(TensorType)
    kind = prop_def(StringAttr)
    alpha = opt_prop_def(FloatAttr)
    beta = opt_prop_def(FloatAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$kind $x (`alpha` $alpha^)? (`beta` $beta^)? attr-dict `:` type($x) `->` type($result)"

    def __init__(self, kind: str, x: SSAValue, alpha: float | None = None, beta: float | None = None) -> None:
        super().__init__(
            operands=[x],
            properties={
                "kind": StringAttr(kind),
                "alpha": None if alpha is None else FloatAttr(alpha, f64),
                "beta": None if beta is None else FloatAttr(beta, f64),
            },
            result_types=[x.type],
        )

    def infer(self) -> TensorType[Attribute]:
        kind = checked_kind(self.kind, UNARY)
        if (kind in ("leaky_relu", "clip")) != (self.alpha is not None) or (kind == "clip") != (
            self.beta is not None
        ):
            raise VerifyException("leaky_relu takes alpha, clip takes alpha and beta, the others neither")
        return tensor(shape(self.x), element(self.x))


@irdl_op_definition
class BinaryOp(RecOp):
    """An elementwise function of two operands with numpy broadcasting."""

    name = "rec.binary"
    a = operand_def(TensorType)
    b = operand_def(TensorType)
    kind = prop_def(StringAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$kind $a `,` $b attr-dict `:` type($a) `,` type($b) `->` type($result)"

    def __init__(self, kind: str, a: SSAValue, b: SSAValue) -> None:
        super().__init__(operands=[a, b], properties={"kind": StringAttr(kind)}, result_types=[tensor(())])
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        checked_kind(self.kind, BINARY)
        if element(self.a) != element(self.b):
            raise VerifyException(f"operands differ in element type: {self.a.type}, {self.b.type}")
        return tensor(broadcast(shape(self.a), shape(self.b)), element(self.a))


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """A tensor of the store, shared by all requests: its dimension 0 is 1."""

    name = "rec.constant"
    symbol = prop_def(SymbolRefAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$symbol attr-dict `:` type($result)"

    def __init__(self, symbol: str, type_: TensorType[Attribute]) -> None:
        super().__init__(properties={"symbol": SymbolRefAttr(symbol)}, result_types=[type_])

    def verify_(self) -> None:
        dims = shape(self.result)
        if not dims or dims[0] != 1 or DYNAMIC in dims:
            raise VerifyException(
                f"a constant has dimension 0 equal to 1 and known extents, not {list(dims)}"
            )


@irdl_op_definition
class ReduceOp(RecOp):
    """A reduction over axes other than the batch."""

    name = "rec.reduce"
    irdl_options = (ParsePropInAttrDict(),)
    x = operand_def(TensorType)
    kind = prop_def(StringAttr)
    axes = prop_def(DenseArrayBase[IntegerType])
    keepdims = prop_def(IntegerAttr[I64])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$kind $x `keepdims` $keepdims attr-dict `:` type($x) `->` type($result)"

    def __init__(self, kind: str, x: SSAValue, axes: Sequence[int], keepdims: bool) -> None:
        super().__init__(
            operands=[x],
            properties={
                "kind": StringAttr(kind),
                "axes": ints(sorted(axes)),
                "keepdims": IntegerAttr(int(keepdims), 64),
            },
            result_types=[tensor(())],
        )
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        checked_kind(self.kind, REDUCE)
        dims, axes = shape(self.x), unpack(self.axes)
        for axis in axes:
            checked_axis(axis, dims, "reduction")
        if self.keepdims.value.data:
            return tensor([1 if d in axes else e for d, e in enumerate(dims)], element(self.x))
        return tensor([e for d, e in enumerate(dims) if d not in axes], element(self.x))


@irdl_op_definition
class DotInteractionOp(RecOp):
    """Dot products of chosen pairs of feature vectors: ``[B, F, D] -> [B, P]``.

    ``out[b, p] = sum_d x[b, lhs[p], d] * x[b, rhs[p], d]``; the pairs spell out each exporter's triangle.
    """

    name = "rec.dot_interaction"
    irdl_options = (ParsePropInAttrDict(),)
    x = operand_def(TensorType)
    lhs = prop_def(DenseArrayBase[IntegerType])
    rhs = prop_def(DenseArrayBase[IntegerType])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, lhs: Sequence[int], rhs: Sequence[int]) -> None:
        super().__init__(
            operands=[x], properties={"lhs": ints(lhs), "rhs": ints(rhs)}, result_types=[tensor(())]
        )
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        dims, lhs, rhs = shape(self.x), unpack(self.lhs), unpack(self.rhs)
        if len(dims) != 3 or len(lhs) != len(rhs) or not lhs:
            raise VerifyException("needs [batch, features, dim] and as many left as right features")
        if any(not 0 <= i < dims[1] for i in (*lhs, *rhs)):
            raise VerifyException(f"a pair names a feature outside of 0..{dims[1] - 1}")
        return tensor((dims[0], len(lhs)))


@irdl_op_definition
class MatmulOp(RecOp):
    """A product of two activations per request: ``[B, M, K] x [B, K, N] -> [B, M, N]``."""

    name = "rec.matmul"
    a = operand_def(TensorType)
    b = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$a `,` $b attr-dict `:` type($a) `,` type($b) `->` type($result)"

    def __init__(self, a: SSAValue, b: SSAValue) -> None:
        super().__init__(operands=[a, b], result_types=[tensor(())])
        self.result._type = self.infer()

    def infer(self) -> TensorType[Attribute]:
        a, b = shape(self.a), shape(self.b)
        if len(a) != 3 or len(b) != 3 or join(a[2], b[1]) is None or join(a[0], b[0]) is None:
            raise VerifyException(f"cannot multiply {list(a)} by {list(b)} per request")
        return tensor((join(a[0], b[0]) or DYNAMIC, a[1], b[2]))


@irdl_op_definition
class CastOp(IRDLOperation):
    """Conversion of the element type between f32 and integers (towards zero, as ONNX Cast does)."""

    name = "rec.cast"
    x = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, to: Attribute) -> None:
        super().__init__(operands=[x], result_types=[tensor(shape(x), to)])

    def verify_(self) -> None:
        if shape(self.x) != shape(self.result):
            raise VerifyException("a cast keeps the shape")
