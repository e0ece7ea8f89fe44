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
    COMPARISONS,
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
from cimc.ir.rec.grid import Grid
from cimc.ir.types import DYNAMIC, i1, tensor


@irdl_op_definition
class LinearOp(RecOp):
    """``x @ weight + bias`` over the last axis: ``[B, ..., K] -> [B, ..., N]``, weight stored ``[K, N]``.

    Layers of quantised models: with ``weight_scale`` (``f32 [N]``) the weight is stored as ``int8`` and means
    ``weight * weight_scale``.  With ``input_grid`` (``low, high``) and ``input_scale`` the input is first
    rounded to that :class:`Grid`: ``scale * clip(rint(x / scale), low, high)``.
    """

    name = "rec.linear"
    x = operand_def(TensorType)
    weight = prop_def(SymbolRefAttr)
    bias = opt_prop_def(SymbolRefAttr)
    units = prop_def(IntegerAttr[I64])
    weight_scale = opt_prop_def(SymbolRefAttr)
    input_grid = opt_prop_def(DenseArrayBase)
    input_scale = opt_prop_def(FloatAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `weight` $weight (`scales` $weight_scale^)? (`bias` $bias^)? `units` $units "
        "(`grid` $input_grid^)? (`scale` $input_scale^)? attr-dict `:` type($x) `->` type($result)"
    )

    def __init__(
        self,
        x: SSAValue,
        weight: str,
        units: int,
        bias: str | None = None,
        *,
        weight_scale: str | None = None,
        grid: Grid | None = None,
    ) -> None:
        super().__init__(
            operands=[x],
            properties={
                "weight": SymbolRefAttr(weight),
                "bias": SymbolRefAttr(bias) if bias else None,
                "units": IntegerAttr(units, 64),
                "weight_scale": SymbolRefAttr(weight_scale) if weight_scale else None,
                "input_grid": None if grid is None else ints((grid.low, grid.high)),
                "input_scale": None if grid is None else FloatAttr(grid.scale, f64),
            },
            result_types=[tensor(())],
        )
        self.result._type = self.infer()

    @property
    def grid(self) -> Grid | None:
        """What the input is rounded to."""
        if self.input_grid is None or self.input_scale is None:
            return None
        low, high = unpack(self.input_grid)
        return Grid(self.input_scale.value.data, low, high)

    def infer(self) -> TensorType[Attribute]:
        if (self.input_grid is None) != (self.input_scale is None):
            raise VerifyException("a grid and its scale are set together")
        if self.input_grid is not None and len(self.input_grid) != 2:
            raise VerifyException("a grid is its lowest and highest number")
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
        if (kind in ("leaky_relu", "elu", "clip")) != (self.alpha is not None) or (kind == "clip") != (
            self.beta is not None
        ):
            raise VerifyException(
                "leaky_relu and elu take alpha, clip takes alpha and beta, the others neither"
            )
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
        kind = checked_kind(self.kind, BINARY)
        dims, a, b = broadcast(shape(self.a), shape(self.b)), element(self.a), element(self.b)
        if kind == "mask":
            if b != i1:
                raise VerifyException(f"a mask holds truth values, not {b}")
            return tensor(dims, a)
        if a != b:
            raise VerifyException(f"operands differ in element type: {self.a.type}, {self.b.type}")
        if a == i1 and kind not in ("mul", "max", "equal"):
            raise VerifyException(f"truth values have no {kind}")
        return tensor(dims, i1 if kind in COMPARISONS else a)


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
    """Products of activations per request: ``[B, ..., M, K] x [B, ..., K, N] -> [B, ..., M, N]``."""

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
        lead = [1 if x == y == 1 else join(x, y) for x, y in zip(a[:-2], b[:-2], strict=False)]
        if len(a) != len(b) or len(a) < 3 or None in lead or join(a[-1], b[-2]) is None:
            raise VerifyException(f"cannot multiply {list(a)} by {list(b)} per request")
        return tensor((*(d for d in lead if d is not None), a[-2], b[-1]))


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
