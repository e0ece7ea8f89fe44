"""Seconds and memory of every pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.errors import InfeasibleError
from cimc.ir.context import CompilerContext
from cimc.support.peak_memory import peak_bytes
from cimc.support.quantities import size
from cimc.transforms.instrumentation import Instrument


@dataclass(frozen=True)
class Timing:
    """What one run of a pass took.

    Attributes:
        name: of the pass; ``NAME#2`` for its second run.
        seconds: with the verification of what it made.
        peak_growth: bytes by which the largest resident memory of the process grew; 0 for a pass that fits
            into what earlier ones needed.
        fitted: False if it found that the target cannot hold the model, so that passes run again.
    """

    name: str
    seconds: float
    peak_growth: int
    fitted: bool = True


class Timings(Instrument):
    """Measures passes.  Give it first: what later instruments do before a pass is not counted.

    Attributes:
        rows: a :class:`Timing` per run of a pass, in order.
    """

    def __init__(self) -> None:
        self.rows: list[Timing] = []
        self._runs: dict[str, int] = {}
        self._current, self._peak, self._start = "", 0, 0.0

    def before_pipeline(self, module: ModuleOp, ctx: CompilerContext, passes: Sequence[ModulePass]) -> None:
        self.rows, self._runs = [], {}

    def before_pass(self, module: ModuleOp, ctx: CompilerContext, each: ModulePass) -> None:
        self._current, self._peak, self._start = each.name, peak_bytes(), perf_counter()

    def after_pass(self, module: ModuleOp, ctx: CompilerContext, each: ModulePass, seconds: float) -> None:
        self._add(seconds, fitted=True)

    def retry(
        self,
        module: ModuleOp,
        ctx: CompilerContext,
        number: int,
        again: ModulePass,
        error: InfeasibleError,
    ) -> None:
        self._add(perf_counter() - self._start, fitted=False)

    def _add(self, seconds: float, fitted: bool) -> None:
        run = self._runs[self._current] = self._runs.get(self._current, 0) + 1
        name = self._current if run == 1 else f"{self._current}#{run}"
        self.rows.append(Timing(name, seconds, max(peak_bytes() - self._peak, 0), fitted))

    def to_json(self) -> dict[str, dict[str, float]]:
        """``timings``: seconds by name; ``peak_growth``: bytes by name."""
        return {
            "timings": {row.name: row.seconds for row in self.rows},
            "peak_growth": {row.name: row.peak_growth for row in self.rows},
        }

    def table(self) -> str:
        """A line per row and one for the sum: seconds, pass, growth of peak memory."""
        lines = [(r.seconds, r.name, r.peak_growth, "" if r.fitted else "  does not fit") for r in self.rows]
        lines.append((sum(s for s, *_ in lines), "all passes", sum(g for _, _, g, _ in lines), ""))
        width = max(16, *(len(name) for _, name, _, _ in lines))
        return "\n".join(f"{s:9.3f} s  {n:<{width}} {'+' + size(g):>10}{said}" for s, n, g, said in lines)
