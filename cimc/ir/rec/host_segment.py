"""What the chip cannot do."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    ArrayAttr,
    StringAttr,
)
from xdsl.ir import Attribute, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    opt_prop_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import IsTerminator
from xdsl.utils.exceptions import VerifyException


@irdl_op_definition
class HostOp(IRDLOperation):
    """What the chip cannot do: ``onnx`` operations that onnxruntime executes on the whole batch.

    Values of outside come in as block arguments, so that the region stands alone; ``reasons`` says,
    once per operation kind, why it is here.
    """

    name = "rec.host"
    inputs = var_operand_def()
    outputs = var_result_def()
    reasons = opt_prop_def(ArrayAttr[StringAttr])
    body = region_def("single_block")

    def __init__(
        self,
        inputs: Sequence[SSAValue],
        result_types: Sequence[Attribute],
        body: Region,
        reasons: Sequence[str] = (),
    ) -> None:
        super().__init__(
            operands=[list(inputs)],
            result_types=[list(result_types)],
            properties={"reasons": ArrayAttr([StringAttr(r) for r in reasons])},
            regions=[body],
        )

    def verify_(self) -> None:
        block = self.body.block
        if [a.type for a in block.args] != [v.type for v in self.inputs]:
            raise VerifyException("block arguments must have the types of the inputs")
        end = block.last_op
        if not isinstance(end, YieldOp) or [v.type for v in end.values] != [v.type for v in self.outputs]:
            raise VerifyException("the body must end in rec.yield with the types of the outputs")


@irdl_op_definition
class YieldOp(IRDLOperation):
    """Ends a host body and gives its results."""

    name = "rec.yield"
    values = var_operand_def()
    traits = traits_def(IsTerminator())
    assembly_format = "($values^ `:` type($values))? attr-dict"

    def __init__(self, values: Sequence[SSAValue]) -> None:
        super().__init__(operands=[list(values)])
