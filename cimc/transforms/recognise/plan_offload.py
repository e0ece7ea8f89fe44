"""``plan-offload``: which operators are taken apart for the chip, and which functions are changed for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Region
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from cimc.analysis.shapes.cached import refined
from cimc.errors import PassError, Shortage
from cimc.ir.context import compiler_context
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx import marks as m
from cimc.ir.types import NoneType, symbol
from cimc.transforms.onnx.onnx_functions import Planned, onnx_functions, set_planned
from cimc.transforms.recognise.offload import Offload


@dataclass(frozen=True)
class PlanOffload(ModulePass):
    """Chooses between every composite and its parts, and whether a function is changed for the chip at all.

    In: functions of the ``onnx`` dialect.  Out: the same without ``onnx.composite``, with the types that the
    shape analysis finds; the attribute ``onnx.offload`` says what was chosen for the function.

    Parts are taken at first.  How far they get shows only once their neighbours are recognised too: where
    ``demote`` finds that the chip would get a part of a recurrent layer or a loop only, or nothing of a
    function, the pipeline comes back here with other options (:mod:`cimc.transforms.retries`).

    Options:
        whole: composites that stay whole, by their number in the module.
        why: the reason for each of them, which its node is marked with.
        host_only: functions that stay as the model has them: their composites whole, their arithmetic
            unchanged.

    Raises:
        PassError: ``pass.bad-option``, ``pass.after-recognise``.
    """

    name = "plan-offload"
    whole: tuple[int, ...] = ()
    why: tuple[str, ...] = ()
    host_only: tuple[str, ...] = ()

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        compiler = compiler_context(ctx, self.name)
        composites = {f: _composites(f) for f in onnx_functions(op, self.name)}
        self._check(composites)
        reasons = dict(zip(self.whole, (*self.why, *[""] * len(self.whole)), strict=False))
        first = 0
        for function, found in composites.items():
            numbered = dict(enumerate(found, first))
            first += len(found)
            host = function.sym_name.data in self.host_only
            whole = {n: reasons.get(n, "") for n in numbered if host or n in reasons}
            set_planned(
                function,
                Planned.HOST if host else Planned.CHANGED if numbered.keys() - whole else Planned.PLAIN,
            )
            if numbered:
                before = _arrays(function)
                _choose(numbered, whole)
                for name in before - _arrays(function):  # only decompositions that were not taken used them
                    compiler.store.remove(name)
            refined(function, compiler)

    def _check(self, composites: Mapping[FuncOp, list[onnx.CompositeOp]]) -> None:
        names, count = [f.sym_name.data for f in composites], sum(map(len, composites.values()))
        if any(not 0 <= number < count for number in self.whole):
            raise PassError(
                "pass.bad-option",
                f"whole={','.join(map(str, self.whole))}: composites are 0 to {count - 1}"
                if count
                else f"whole={','.join(map(str, self.whole))}: there are no composites",
            )
        if any(name not in names for name in self.host_only):
            raise PassError(
                "pass.bad-option", f"host_only={','.join(self.host_only)}: functions are {', '.join(names)}"
            )

    def adjusted(self, shortage: Shortage) -> PlanOffload | None:
        """With more that stays as it is."""
        if not isinstance(shortage, Offload):
            return None
        torn = {number: why for number, why in shortage.torn.items() if number not in self.whole}
        nothing = tuple(name for name in shortage.nothing if name not in self.host_only)
        if not torn and not nothing:
            return None
        why = (*self.why, *[""] * (len(self.whole) - len(self.why)), *torn.values())
        return replace(self, whole=(*self.whole, *torn), why=why, host_only=(*self.host_only, *nothing))


def _composites(function: FuncOp) -> list[onnx.CompositeOp]:
    return [op for op in function.body.block.ops if isinstance(op, onnx.CompositeOp)]


def _arrays(function: FuncOp) -> set[str]:
    return {symbol(op.symbol) for op in function.walk() if isinstance(op, onnx.InitializerOp)}


def _choose(composites: Mapping[int, onnx.CompositeOp], whole: Mapping[int, str]) -> None:
    """Put the node in the place of composites with a number in ``whole``, the parts in that of others."""
    for number, op in composites.items():
        node = op.node
        if number in whole:
            if whole[number]:
                m.mark(node, whole=whole[number])
            _put(op, op.whole)
            continue
        name = onnx.name_of(node) or node.operator
        for part in op.parts.block.ops:
            if isinstance(part, onnx.NodeOp):
                m.mark(part, composite=number, of=node.operator, node=name)
        _put(op, op.parts)


def _put(composite: onnx.CompositeOp, region: Region) -> None:
    """Replace a composite by the operations of one of its regions."""
    end = region.block.last_op
    assert isinstance(end, onnx.YieldOp)
    values = list(end.values)
    Rewriter.erase_op(end)
    for op in list(region.block.ops):
        op.detach()  # type: ignore[no-untyped-call]
        absent = isinstance(op, onnx.NoneOp) and not any(True for _ in op.output.uses)
        if not absent:
            Rewriter.insert_op(op, InsertPoint.before(composite))
    for old, new in zip(composite.outputs, values, strict=True):
        if isinstance(new.type, NoneType) and not isinstance(old.type, NoneType):
            continue
        new.name_hint = old.name_hint
        old.replace_all_uses_with(new)
    Rewriter.erase_op(composite)
