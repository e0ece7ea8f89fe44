"""What may watch a pipeline while it runs: the base class of instruments."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.errors import InfeasibleError
from cimc.ir.context import CompilerContext


class Instrument:
    """Told what a pipeline does, with the module as it is then; a subclass overrides what it needs.

    Several are told in the order in which they were given.  An instrument reads the module and the context,
    and leaves them as they are.  An error that it raises ends the pipeline.
    """

    def before_pipeline(self, module: ModuleOp, ctx: CompilerContext, passes: Sequence[ModulePass]) -> None:
        """Before the first pass; ``module`` is as imported."""

    def before_pass(self, module: ModuleOp, ctx: CompilerContext, each: ModulePass) -> None:
        """Before every pass."""

    def after_pass(self, module: ModuleOp, ctx: CompilerContext, each: ModulePass, seconds: float) -> None:
        """After every pass, which took ``seconds`` with the verification of what it made."""

    def retry(
        self,
        module: ModuleOp,
        ctx: CompilerContext,
        number: int,
        again: ModulePass,
        error: InfeasibleError,
    ) -> None:
        """A pass raised ``error``: the target cannot hold the model as it was prepared.

        ``module`` and ``ctx`` are as they were before pass ``number`` (counted from 0), which is ``again``
        from now on; the pipeline goes on there.
        """

    def after_pipeline(self, module: ModuleOp, ctx: CompilerContext, passes: Sequence[ModulePass]) -> None:
        """After the last pass; ``passes`` with the options that they ran with in the end."""
