"""``scale-tables``: tables of integers are scaled before rows are gathered from them."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.analysis.constants import ConstantReader
from cimc.analysis.shapes.cached import refined
from cimc.ir.context import compiler_context
from cimc.transforms.onnx.onnx_functions import changed, is_host_only, plain_functions
from cimc.transforms.onnx.scale_before_gather import gathers_integers, to_scaled_tables


@dataclass(frozen=True)
class ScaleTables(ModulePass):
    """Rows of integers that are scaled after they were gathered become rows of a scaled table.

    In: functions of the ``onnx`` dialect without composites.  Out: the same, where ``Gather(Cast(Q) * S + B,
    ids)`` is the one form of a table with scales per row, or per block of a row.  A function that stays on
    the host whole is left alone.

    Raises:
        PassError: ``pass.after-recognise``, ``pass.needs-plan-offload``.
    """

    name = "scale-tables"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        compiler = compiler_context(ctx, self.name)
        for function in plain_functions(op, self.name):
            if is_host_only(function) or not gathers_integers(function, ConstantReader(compiler.store)):
                continue
            refined(function, compiler)
            to_scaled_tables(function, compiler)
            changed(function)
            refined(function, compiler)
