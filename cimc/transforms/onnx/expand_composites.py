"""``expand-composites``: operators that stand for several get their decomposition beside them."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.analysis.constants import ConstantReader
from cimc.analysis.shapes.cached import refined
from cimc.frontend.export_graph import opset_of
from cimc.ir.context import compiler_context
from cimc.transforms.onnx.composites.operators import expand, has_compound
from cimc.transforms.onnx.onnx_functions import count_nodes, functions, need_onnx_alone


@dataclass(frozen=True)
class ExpandComposites(ModulePass):
    """Attention, recurrent layers, loops with layers and fused operators become ``onnx.composite``.

    In: functions of the ``onnx`` dialect, preferably canonicalised.  Out: the same functions; a composite
    holds the node as the model has it and the basic operators that compute the same, so nothing is lost
    until ``plan-offload`` chooses between them.  A node that is not understood stays, marked with the reason
    (``whole``).

    Raises:
        PassError: ``pass.after-recognise``.
    """

    name = "expand-composites"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        compiler = compiler_context(ctx, self.name)
        for function in functions(op):
            need_onnx_alone(function, self.name)
            if not has_compound(function, ConstantReader(compiler.store)):
                continue
            count_nodes(function)
            expand(function, refined(function, compiler), compiler, opset_of(op).get("", 1))
