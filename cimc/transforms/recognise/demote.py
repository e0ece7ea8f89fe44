"""``demote``: what is not worth a trip to the chip, or has no room there, goes back to the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from cimc.analysis.shapes.cached import keep, kept
from cimc.errors import PassError, Shortage
from cimc.ir.context import compiler_context
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx import marks as m
from cimc.transforms.matching.replacements import Replacements
from cimc.transforms.onnx.composites.operators import UNROLLED
from cimc.transforms.onnx.onnx_functions import Planned, functions, planned, update_type
from cimc.transforms.recognise.capacity import demote_too_large
from cimc.transforms.recognise.offload import OffloadError
from cimc.transforms.recognise.run_recognisers import BATCH

_PRODUCTS = ("MatMul", "Gemm")


@dataclass(frozen=True)
class Demote(ModulePass):
    """Takes ``rec`` operations back: the nodes that they stand for compute again, marked with the reason.

    In: functions as ``recognise`` leaves them.  Out: the same, without operations whose values fit no
    scratchpad or vary in size (with a target), and without those that no table, layer or interaction is
    connected to.

    Where ``plan-offload`` took apart what then does not get to the chip, it is asked to choose again: a
    recurrent layer or a loop is worth that only if all of its products get there, and a function is changed
    for the chip only if anything does.

    Options:
        scratchpad: share of a tile's scratchpad that values may take before they stay on the host.
        vector: keep on the vector unit also what no table, layer or interaction is connected to.  Such
            operations stay on the host by default, as nothing is won by the trip.

    Raises:
        PassError: ``pass.needs-recognise``.
        OffloadError: for ``plan-offload``.
    """

    name = "demote"
    scratchpad: int | float = 1.0
    vector: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        compiler = compiler_context(ctx, self.name)
        torn: dict[int, str] = {}
        nothing: list[str] = []
        for function in functions(op):
            self.need_recognised(function)
            known = kept(function, compiler)
            found = Replacements.read(function, compiler)
            if compiler.target is not None:
                demote_too_large(found, compiler.target, self.scratchpad)
            if not self.vector:
                found.demote_islands()
            found.write()
            update_type(function)
            if known is not None:  # what computes again is as it was
                keep(known, compiler)
            if planned(function) is not Planned.CHANGED:
                continue
            if any(o.name.startswith("rec.") for o in function.body.block.ops):
                for number, why in _torn(found):
                    torn.setdefault(number, why)
            else:
                nothing.append(function.sym_name.data)
        if torn or nothing:
            raise OffloadError(torn, tuple(nothing))
        if self.scratchpad < 1:
            compiler.notes.append(
                f"values count on {self.scratchpad:.0%} of a scratchpad (demote{{scratchpad="
                f"{self.scratchpad}}}): what does not fit there stays on the host"
            )

    def adjusted(self, shortage: Shortage) -> Demote | None:
        """With less of a scratchpad for values, which may not fit together although each of them does."""
        less = next((share for share in (0.5, 0.25, 0.1, 0.0) if share < self.scratchpad), None)
        if shortage.resource != "scratchpad" or less is None:
            return None
        return replace(self, scratchpad=less)

    def need_recognised(self, function: FuncOp) -> None:
        """``recognise`` has been through ``function``."""
        if BATCH not in function.attributes:
            raise PassError(
                "pass.needs-recognise",
                "pass 'demote' takes back what 'recognise' gave to the chip, and that has not run",
                hint="run 'recognise' first",
            )


def _torn(found: Replacements) -> Iterator[tuple[int, str]]:
    """Sequences of steps of which a product did not get to the chip, by number, and why."""
    for op in found.function.body.block.ops:
        if not isinstance(op, onnx.NodeOp) or m.text(op, m.OF) not in UNROLLED:
            continue
        number = m.number(op, m.COMPOSITE)
        if number is not None and (m.text(op, m.WAS) or op.operator) in _PRODUCTS and found.stays(op):
            yield number, found.reason(op) or "a product of its steps does not go to the chip"
