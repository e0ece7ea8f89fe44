"""``normalise-quantised``: one form for quantised models, whichever tool wrote them."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.analysis.shapes.cached import refined
from cimc.ir.context import compiler_context
from cimc.transforms.onnx.onnx_functions import changed, is_host_only, plain_functions
from cimc.transforms.onnx.qdq_normal_form import is_quantised, to_float_form


@dataclass(frozen=True)
class NormaliseQuantised(ModulePass):
    """Quantised integers stand only between a QuantizeLinear and a DequantizeLinear.

    In: functions of the ``onnx`` dialect without composites, floats in f32.  Out: the same, with
    QLinearMatMul, MatMulInteger and their kin as float operators between roundings.  Ranges that a model
    finds anew for each batch are dropped, which a note says.  A function that stays on the host whole is left
    alone.

    Raises:
        PassError: ``pass.after-recognise``, ``pass.needs-plan-offload``.
    """

    name = "normalise-quantised"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        compiler = compiler_context(ctx, self.name)
        for function in plain_functions(op, self.name):
            if is_host_only(function) or not is_quantised(function):
                continue
            refined(function, compiler)
            to_float_form(function, compiler)
            changed(function)
            refined(function, compiler)
