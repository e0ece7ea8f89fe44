"""``batch-major``: the batch becomes dimension 0 of what a model computes with it elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.analysis.shapes.cached import keep, refined
from cimc.frontend.export_graph import opset_of
from cimc.ir.context import compiler_context
from cimc.transforms.matching.graph import Graph
from cimc.transforms.onnx.batch_major.lift import batch_first
from cimc.transforms.onnx.onnx_functions import plain_functions, update_type


@dataclass(frozen=True)
class BatchMajor(ModulePass):
    """Operators on ``[length, batch, features]`` and the like are repeated on ``[batch, length, features]``.

    In: functions of the ``onnx`` dialect without composites.  Out: the same, where request-wise values have
    the batch in front as far as the operators between them can be repeated so.

    Raises:
        PassError: ``pass.after-recognise``, ``pass.needs-plan-offload``.
    """

    name = "batch-major"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        compiler = compiler_context(ctx, self.name)
        for function in plain_functions(op, self.name):
            analysis = refined(function, compiler)
            batch_first(Graph(function, compiler, analysis=analysis, opsets=opset_of(op)))
            update_type(function)
            keep(analysis, compiler)
