"""Values on their way: from outside into a scratchpad, and from tile to tile."""

from __future__ import annotations

from xdsl.dialects.builtin import I32, I64, Float32Type, FloatAttr, IntegerAttr, TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from cimc.ir.cim.activation_types import u8
from cimc.ir.rec import RecOp, element, shape
from cimc.ir.types import f32, i8, tensor


@irdl_op_definition
class TransferOp(RecOp):
    """A value sent over the mesh from tile ``source`` to tile ``dest``.

    ``bits``: of each element, where these are integers of less than a byte; else they travel whole.
    """

    name = "cim.transfer"
    x = operand_def(TensorType)
    source = prop_def(IntegerAttr[I32])
    dest = prop_def(IntegerAttr[I32])
    bits = opt_prop_def(IntegerAttr[I64])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `from` $source `to` $dest (`bits` $bits^)? attr-dict `:` type($x) `->` type($result)"
    )

    def __init__(self, x: SSAValue, source: int, dest: int, bits: int | None = None) -> None:
        super().__init__(
            operands=[x],
            properties={
                "source": IntegerAttr(source, 32),
                "dest": IntegerAttr(dest, 32),
                "bits": None if bits is None else IntegerAttr(bits, 64),
            },
            result_types=[x.type],
        )

    def infer(self) -> TensorType[Attribute]:
        if self.source == self.dest:
            raise VerifyException("a transfer connects two different tiles")
        if self.bits is not None and not (0 < self.bits.value.data < 8 and element(self.x) in (i8, u8)):
            raise VerifyException("elements of less than a byte are quantised activations")
        return tensor(shape(self.x), element(self.x))


@irdl_op_definition
class LoadOp(RecOp):
    """A value from outside the chip (input, host result, earlier segment) put into a scratchpad.

    On the chip every float is f32 and every integer i32.
    """

    name = "cim.load"
    x = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue) -> None:
        super().__init__(operands=[x], result_types=[x.type])

    def infer(self) -> TensorType[Attribute]:
        return tensor(shape(self.x), element(self.x))


@irdl_op_definition
class LoadQuantizedOp(RecOp):
    """A value from outside, quantised there as ``cim.quantize`` does it: integers cross the link."""

    name = "cim.load_quantized"
    x = operand_def(TensorType)
    scale = prop_def(FloatAttr[Float32Type])
    bits = prop_def(IntegerAttr[I64])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x `scale` $scale `bits` $bits attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, scale: float, bits: int, kind: Attribute) -> None:
        super().__init__(
            operands=[x],
            properties={"scale": FloatAttr(scale, f32), "bits": IntegerAttr(bits, 64)},
            result_types=[tensor(shape(x), kind)],
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
