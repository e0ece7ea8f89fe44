"""``convert-precision``: every float is f32."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.analysis.shapes.cached import refined
from cimc.ir.context import compiler_context
from cimc.transforms.onnx.floats_to_f32 import has_other_floats, to_f32
from cimc.transforms.onnx.onnx_functions import changed, is_host_only, plain_functions


@dataclass(frozen=True)
class ConvertPrecision(ModulePass):
    """Floats of other types than f32 become f32, but for those that integers are made from.

    In: functions of the ``onnx`` dialect without composites.  Out: the same; inputs and outputs keep their
    types, constants their arrays.  A function that stays on the host whole is left alone.

    Raises:
        PassError: ``pass.after-recognise``, ``pass.needs-plan-offload``.
    """

    name = "convert-precision"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        compiler = compiler_context(ctx, self.name)
        for function in plain_functions(op, self.name):
            if is_host_only(function):
                continue
            refined(function, compiler)
            if has_other_floats(function):
                to_f32(function)
                changed(function)
                refined(function, compiler)
