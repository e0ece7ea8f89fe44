"""Integer matrix products on the arrays, from activations to activations."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import I64, Float32Type, FloatAttr, IntegerAttr, SymbolRefAttr, TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from cimc.errors import PassError
from cimc.ir.cim.activation_types import activation_type, u8
from cimc.ir.rec import RecOp, broadcast, element, shape
from cimc.ir.types import f32, i8, i32, symbol, tensor


@irdl_op_definition
class QuantizeOp(RecOp):
    """``clip(rint(x / scale))`` to ``bits`` bits: symmetric if ``signed``, else from 0."""

    name = "cim.quantize"
    x = operand_def(TensorType)
    scale = prop_def(FloatAttr[Float32Type])
    bits = prop_def(IntegerAttr[I64])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x `scale` $scale `bits` $bits attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, scale: float, bits: int, signed: bool) -> None:
        super().__init__(
            operands=[x],
            properties={"scale": FloatAttr(scale, f32), "bits": IntegerAttr(bits, 64)},
            result_types=[tensor(shape(x), activation_type(signed))],
        )

    @property
    def signed(self) -> bool:
        """Whether the result is signed."""
        return element(self.result) == i8

    def infer(self) -> TensorType[Attribute]:
        if not self.scale.value.data > 0:
            raise VerifyException("a scale is positive")
        if element(self.result) not in (i8, u8):
            raise VerifyException("a quantised activation is i8 or ui8")
        return tensor(shape(self.x), element(self.result))


@irdl_op_definition
class MvmOp(RecOp):
    """Integer matrix-vector product on the arrays: ``[B, ..., K] -> i32 [B, ..., N]``.

    Before ``shard`` the whole matrix; after it the ``count`` blocks from ``first`` of the block table, all on
    one tile, which cover rows ``row0 ..`` and ``N`` columns from ``col0``: a partial product.
    """

    name = "cim.mvm"
    x = operand_def(TensorType)
    matrix = prop_def(SymbolRefAttr)
    first = opt_prop_def(IntegerAttr[I64])
    count = opt_prop_def(IntegerAttr[I64])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$matrix $x (`first` $first^)? (`count` $count^)? attr-dict `:` type($x) `->` type($result)"
    )

    def __init__(
        self, x: SSAValue, matrix: str, cols: int, first: int | None = None, count: int | None = None
    ) -> None:
        super().__init__(
            operands=[x],
            properties={
                "matrix": SymbolRefAttr(matrix),
                "first": None if first is None else IntegerAttr(first, 64),
                "count": None if count is None else IntegerAttr(count, 64),
            },
            result_types=[tensor((*shape(x)[:-1], cols), i32)],
        )

    def blocks(self) -> slice:
        """Its blocks in the block table of the matrix, which fire together.

        Raises:
            PassError: ``pass.needs-shard`` when the matrix is whole.
        """
        if self.first is None or self.count is None:
            raise PassError(
                "pass.needs-shard",
                f"this product is of all of @{symbol(self.matrix)}, which pass 'shard' cuts into blocks",
                hint="run 'shard' before",
            )
        return slice(self.first.value.data, self.first.value.data + self.count.value.data)

    def infer(self) -> TensorType[Attribute]:
        if element(self.x) not in (i8, u8):
            raise VerifyException("arrays are driven by quantised activations (i8 or ui8)")
        if (self.first is None) != (self.count is None):
            raise VerifyException("first and count are set together")
        return tensor((*shape(self.x)[:-1], shape(self.result)[-1]), i32)


@irdl_op_definition
class AddOp(RecOp):
    """Sum of partial products of the same columns (``i32``)."""

    name = "cim.add"
    parts = var_operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$parts attr-dict `:` type($parts) `->` type($result)"

    def __init__(self, parts: Sequence[SSAValue]) -> None:
        super().__init__(operands=[list(parts)], result_types=[parts[0].type])

    def infer(self) -> TensorType[Attribute]:
        dims = shape(self.parts[0])
        for part in self.parts:
            dims = broadcast(dims, shape(part))
            if element(part) != i32:
                raise VerifyException("partial products are i32")
        return tensor(dims, i32)


@irdl_op_definition
class DequantizeOp(RecOp):
    """``float32(acc) * factors[n] + bias[n]`` per output column."""

    name = "cim.dequantize"
    acc = operand_def(TensorType)
    factors = prop_def(SymbolRefAttr)
    bias = opt_prop_def(SymbolRefAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$acc `factors` $factors (`bias` $bias^)? attr-dict `:` type($acc) `->` type($result)"

    def __init__(self, acc: SSAValue, factors: str, bias: str | None) -> None:
        super().__init__(
            operands=[acc],
            properties={
                "factors": SymbolRefAttr(factors),
                "bias": SymbolRefAttr(bias) if bias else None,
            },
            result_types=[tensor(shape(acc), f32)],
        )

    def infer(self) -> TensorType[Attribute]:
        if element(self.acc) != i32:
            raise VerifyException("accumulators are i32")
        return tensor(shape(self.acc), f32)
