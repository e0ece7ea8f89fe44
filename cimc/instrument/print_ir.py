"""The IR on standard error, after some passes or all."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.errors import PassError
from cimc.ir.context import CompilerContext
from cimc.ir.text import print_ir
from cimc.support.progress import note
from cimc.transforms.instrumentation import Instrument


class PrintIR(Instrument):
    """Prints the module.

    Args:
        after: names of passes; ``import`` for the module before the first, ``all`` for everything.
        locations: whether the ONNX node of each operation is named.

    Raises:
        PassError: ``pass.unknown``, before the first pass, for a name that the pipeline does not have.
    """

    def __init__(self, after: Collection[str] = ("all",), *, locations: bool = False) -> None:
        self._after, self._locations = tuple(after), locations

    def before_pipeline(self, module: ModuleOp, ctx: CompilerContext, passes: Sequence[ModulePass]) -> None:
        names = [each.name for each in passes]
        for name in self._after:
            if name not in (*names, "all", "import"):
                raise PassError(
                    "pass.unknown",
                    f"the IR is to be printed after '{name}', and the pipeline has no such pass",
                    hint=f"passes of this pipeline: {', '.join(names)}; or 'import', or 'all'",
                )
        self._print("import", module)

    def after_pass(self, module: ModuleOp, ctx: CompilerContext, each: ModulePass, seconds: float) -> None:
        self._print(each.name, module)

    def _print(self, name: str, module: ModuleOp) -> None:
        if name in self._after or "all" in self._after:
            note(f"// -----// IR after {name} //----- //\n{print_ir(module, locations=self._locations)}")
