"""Values on their way: from outside into a scratchpad, and from tile to tile."""

from __future__ import annotations

from xdsl.dialects.builtin import I32, IntegerAttr, TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from cimc.ir.rec import RecOp, element, shape
from cimc.ir.types import tensor


@irdl_op_definition
class TransferOp(RecOp):
    """A value sent over the mesh from tile ``source`` to tile ``dest``."""

    name = "cim.transfer"
    x = operand_def(TensorType)
    source = prop_def(IntegerAttr[I32])
    dest = prop_def(IntegerAttr[I32])
    result = result_def(TensorType)
    traits = traits_def(Pure())
    assembly_format = "$x `from` $source `to` $dest attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, source: int, dest: int) -> None:
        super().__init__(
            operands=[x],
            properties={"source": IntegerAttr(source, 32), "dest": IntegerAttr(dest, 32)},
            result_types=[x.type],
        )

    def infer(self) -> TensorType[Attribute]:
        if self.source == self.dest:
            raise VerifyException("a transfer connects two different tiles")
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
