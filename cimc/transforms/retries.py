"""When the target cannot hold a model: a pass asks for less, and the pipeline goes on from there.

The module is kept as it was before every pass that can ask for less.  Nothing before that pass runs again,
and nothing stays behind of the attempt that failed.  The options that fitted stand in the pipeline.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.errors import Shortage
from cimc.ir.context import CompilerContext
from cimc.ir.exact_copy import exact_copy


@runtime_checkable
class Adjustable(Protocol):
    """A pass that can make do with less, or get more."""

    def adjusted(self, shortage: Shortage) -> ModulePass | None:
        """This pass with other options after ``shortage``, here or further down; ``None`` if none would help.

        Repeated calls come to an end.
        """


class Checkpoint:
    """A module and its context as they were before a pass; arrays are shared, being immutable."""

    def __init__(
        self, number: int, passes: tuple[ModulePass, ...], module: ModuleOp, ctx: CompilerContext
    ) -> None:
        self.number, self.passes = number, passes
        self._body, self._attributes = exact_copy(module.body), dict(module.attributes)
        self._ctx = ctx.clone()

    def adjusted(self, shortage: Shortage) -> tuple[ModulePass, ...] | None:
        """The pipeline as it was here, with the pass that comes next adjusted."""
        each = self.passes[self.number]
        found = each.adjusted(shortage) if isinstance(each, Adjustable) else None
        return (
            None if found is None else (*self.passes[: self.number], found, *self.passes[self.number + 1 :])
        )

    def restore(self, module: ModuleOp, ctx: CompilerContext) -> None:
        """Make ``module`` and ``ctx`` what they were, in place.  A checkpoint restores once."""
        module.detach_region(module.body)
        module.add_region(self._body)
        module.attributes = self._attributes
        vars(ctx).update(vars(self._ctx))
