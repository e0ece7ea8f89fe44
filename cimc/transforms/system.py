"""``system``: how many chips the machine has."""

from __future__ import annotations

from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.errors import PassError, Shortage
from cimc.ir.context import compiler_context, target_of
from cimc.target.overrides import with_overrides

_SPARE = 1.02
"""Packing leaves a little of each chip empty."""
_MOST = 4096
"""Chips that ``grow`` tries at most."""


@dataclass(frozen=True)
class System(ModulePass):
    """Compile for a number of chips, whatever the target says.  Goes before every pass that uses the target.

    Options:
        chips: how many.
        grow: take more where these cannot hold the model, as many as it needs.
    """

    name = "system"
    chips: int = 1
    grow: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        target = target_of(data, self.name)
        if self.chips < 1:
            raise PassError("pass.bad-option", f"system{{chips={self.chips}}}: at least one chip")
        if target.system.chips != self.chips:
            data.target = with_overrides(target, {"system.chips": self.chips})
            data.notes.append(
                f"the machine has system{{chips={self.chips}}}, where {target.name} has {target.system.chips}"
            )

    def adjusted(self, shortage: Shortage) -> System | None:
        """As many chips as the shortage calls for."""
        if not self.grow or shortage.demand <= shortage.bound:
            return None
        more = int(self.chips * shortage.demand / max(shortage.bound, 1) * _SPARE) + 1
        return replace(self, chips=max(more, self.chips + 1)) if more <= _MOST else None
