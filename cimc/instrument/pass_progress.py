"""How far a compilation is, for a progress bar."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.errors import InfeasibleError
from cimc.ir.context import CompilerContext
from cimc.support.progress import Advance
from cimc.transforms.instrumentation import Instrument


class PassProgress(Instrument):
    """Calls ``advance`` before every pass: (passes done, passes in all, name of the next)."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance
        self._done, self._total = 0, 0

    def before_pipeline(self, module: ModuleOp, ctx: CompilerContext, passes: Sequence[ModulePass]) -> None:
        self._done, self._total = 0, len(passes)

    def before_pass(self, module: ModuleOp, ctx: CompilerContext, each: ModulePass) -> None:
        self._advance(self._done, self._total, each.name)

    def after_pass(self, module: ModuleOp, ctx: CompilerContext, each: ModulePass, seconds: float) -> None:
        self._done += 1

    def retry(
        self,
        module: ModuleOp,
        ctx: CompilerContext,
        number: int,
        again: ModulePass,
        error: InfeasibleError,
    ) -> None:
        self._done = number
