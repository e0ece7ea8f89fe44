"""``--search N``: the best of N pipelines for an objective at a load, and what became of the others.

What comes before the first pass that differs is done once.  Every candidate is judged by the cost model on a
sample of the calibration requests, the best few by simulation; no program is kept.  All is a function of the
module, the options and the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.errors import CheckFailed, CimcError, InfeasibleError, PassError
from cimc.ir.context import CompilerContext, Requests
from cimc.ir.exact_copy import exact_copy
from cimc.mapping.allocation.goal import Goal
from cimc.remarks import AllocationRemarks, EstimatedFigures, SearchRemarks, TriedPipeline
from cimc.search.candidate_pipelines import Candidate, candidates
from cimc.search.judge_program import estimated, simulated
from cimc.transforms.instrumentation import Instrument
from cimc.transforms.partition.allocate import LOADS, Allocate
from cimc.transforms.pipeline import Pipeline

Advance = Callable[[int, int, str], None]
SIMULATED = 4
"""Candidates that are simulated."""
_FIRST = ("allocate", "shard", "choose-adc-steps", "assign-memory", "replicate", "copy", "place")
"""Passes that candidates differ in, or that come behind one of those."""


def with_goal(
    line: Pipeline,
    objective: str | None,
    load: int | None,
    rate: float | None,
    p99_us: float | None,
) -> Pipeline:
    """``line`` with these options of its ``allocate``; what is ``None`` stays as it is.

    Raises:
        PassError: ``candidates.no-allocate``.  What is wrong with the options ``allocate`` says.
    """
    options = {"objective": objective, "load": load, "rate": rate, "p99_us": p99_us}
    # a number of numpy as one of Python's, as the pipeline spells it
    given: dict[str, Any] = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in options.items()
        if value is not None
    }
    if not given:
        return line
    if not any(isinstance(p, Allocate) for p in line.passes):
        raise PassError(
            "candidates.no-allocate",
            f"{', '.join(given)}: the pipeline has no pass 'allocate', which decides by it",
            hint="put 'allocate' before 'shard' and 'copy' before 'place'",
        )
    if "load" in given or "rate" in given:  # one of them replaces the other
        given = {"load": None, "rate": None, **given}
    return Pipeline(
        tuple(replace(p, **given) if isinstance(p, Allocate) else p for p in line.passes), line.notes
    )


def judges(line: Pipeline, count: int) -> bool:
    """Whether candidates are judged: there are several, or the one has a bound on latency to keep."""
    return count > 1 or any(isinstance(p, Allocate) and p.p99_us is not None for p in line.passes)


@dataclass
class _Fork(Instrument):
    """Keeps the module and its context as they were before a pass, the last time that it began."""

    number: int
    module: ModuleOp | None = None
    ctx: CompilerContext | None = None

    def __post_init__(self) -> None:
        self._left = self.number

    def retry(
        self,
        module: ModuleOp,
        ctx: CompilerContext,
        number: int,
        again: ModulePass,
        error: InfeasibleError,
    ) -> None:
        self._left = self.number - number

    def before_pass(self, module: ModuleOp, ctx: CompilerContext, each: ModulePass) -> None:
        if self._left == 0:
            self.module, self.ctx = _copy(module, ctx)
        self._left -= 1

    def copy(self) -> tuple[ModuleOp, CompilerContext]:
        """Both, to be changed."""
        assert self.module is not None
        assert self.ctx is not None
        return _copy(self.module, self.ctx)


def search_best(
    line: Pipeline,
    module: ModuleOp,
    ctx: CompilerContext,
    count: int,
    advance: Advance | None = None,
) -> tuple[Pipeline, SearchRemarks]:
    """The best of ``count`` pipelines beginning with ``line``, with the options that fitted.

    Args:
        line: builds a program.
        module: as imported; stays so, and ``ctx`` does.
        ctx: with calibration requests, on which candidates are judged.
        count: candidates.
        advance: told of progress.

    Raises:
        CimcError: as ``line``, where it gives no program.
        CheckFailed: ``candidates.p99``: no candidate keeps the bound on latency.
    """
    tell = advance or (lambda done, total, what: None)
    requests = ctx.calibration
    if requests is None:
        raise ctx.no_calibration or CimcError(
            "candidates.no-requests", "there are no calibration requests to judge by"
        )
    start = next((n for n, p in enumerate(line.passes) if p.name in _FIRST), 0)
    fork, (copy, own) = _Fork(start), _copy(module, ctx)
    tell(0, count, "the pipeline itself")
    fitted = line.run(copy, own, [fork])
    decided = own.remarks.allocation
    goal = _goal(fitted.passes, decided)
    tried = [_judged(Candidate("", fitted.passes), fitted, own, requests, goal)]
    chips = 1 if own.target is None else own.target.system.chips
    del copy, own
    for candidate in candidates(fitted.passes, decided, chips, count)[1:]:
        tell(len(tried), count + SIMULATED, candidate.changes)
        tried.append(_tried(candidate, fork, start, requests, goal))
    for number, at in enumerate(_best(tried, goal)):
        tell(count + number, count + SIMULATED, f"simulation: {tried[at].changes or 'the pipeline itself'}")
        tried[at] = _played(tried[at], fork, start, requests, goal)
    winner = _winner(tried, goal)
    tried[winner] = replace(tried[winner], chosen=True)
    remark = SearchRemarks(
        goal.objective, goal.in_flight, 1e9 * goal.rate or None, goal.p99_ns or None, tuple(tried)
    )
    return Pipeline.parse(tried[winner].pipeline), remark


def _goal(passes: Sequence[ModulePass], decided: AllocationRemarks | None) -> Goal:
    """What ``allocate`` was asked for."""
    allocate = next((p for p in passes if isinstance(p, Allocate)), Allocate())
    load = decided.load if decided is not None else allocate.load or LOADS[allocate.objective]
    rate = 0.0 if allocate.objective == "throughput" else (allocate.rate or 0.0) / 1e9
    return Goal(allocate.objective, load, rate, 1e3 * (allocate.p99_us or 0.0))


def _tried(candidate: Candidate, fork: _Fork, start: int, requests: Requests, goal: Goal) -> TriedPipeline:
    try:
        fitted, ctx = _run(candidate.passes, fork, start)
        return _judged(candidate, fitted, ctx, requests, goal)
    except CimcError as error:
        line = str(Pipeline(candidate.passes))
        return TriedPipeline(candidate.changes, line, 0, str(error).splitlines()[0], None, None, False)


def _run(passes: tuple[ModulePass, ...], fork: _Fork, start: int) -> tuple[Pipeline, CompilerContext]:
    """The passes from ``start`` on, on a copy of what those before made."""
    module, ctx = fork.copy()
    line = Pipeline(passes)
    ctx.pipeline = str(line)
    return line.run(module, ctx, start=start), ctx


def _judged(
    candidate: Candidate, fitted: Pipeline, ctx: CompilerContext, requests: Requests, goal: Goal
) -> TriedPipeline:
    if ctx.program is None or ctx.target is None:
        raise CimcError("candidates.no-program", f"pipeline '{fitted}' builds no program")
    found = estimated(ctx.program, ctx.target, requests, goal)
    instances = max((s.period for s in ctx.program.chip_segments), default=1)
    return TriedPipeline(candidate.changes, str(fitted), instances, None, found, None, False)


def _played(each: TriedPipeline, fork: _Fork, start: int, requests: Requests, goal: Goal) -> TriedPipeline:
    _, ctx = _run(Pipeline.parse(each.pipeline).passes, fork, start)
    assert ctx.program is not None
    assert ctx.target is not None
    return replace(each, simulated=simulated(ctx.program, ctx.target, requests, goal, ctx.seed))


def _best(tried: Sequence[TriedPipeline], goal: Goal) -> list[int]:
    """Those that are simulated, the best first; of programs with the same figures one, they are the same."""
    there = [n for n, each in enumerate(tried) if each.estimated is not None]
    ranked = sorted(there, key=lambda n: _rank(tried[n], goal))
    found: dict[EstimatedFigures | None, int] = {}
    for number in ranked:
        found.setdefault(tried[number].estimated, number)
    return list(found.values())[:SIMULATED]


def _rank(each: TriedPipeline, goal: Goal) -> tuple[int, float]:
    """What the estimate takes for better comes first."""
    found = each.estimated
    assert found is not None
    if found.value is None or found.p99_ns is None:
        return 2, 1 / max(found.throughput_rps, 1e-9)
    return int(0 < goal.p99_ns < found.p99_ns), found.value


def _winner(tried: Sequence[TriedPipeline], goal: Goal) -> int:
    """The best that was simulated and keeps the bound on latency.

    Raises:
        CheckFailed: there is none.
    """
    played = [(each.simulated, n) for n, each in enumerate(tried) if each.simulated is not None]
    keeping = [(found, n) for found, n in played if not 0 < goal.p99_ns < found.p99_ns]
    if keeping:
        return min(keeping, key=lambda one: (one[0].value, one[1]))[1]
    nearest, at = min(played, key=lambda one: (one[0].p99_ns, one[1]))
    what = tried[at].changes or "the pipeline itself"
    raise CheckFailed(
        "candidates.p99",
        f"none of {len(tried)} candidates keeps a p99 of {goal.p99_ns / 1e3:.6g} us; "
        f"the nearest has {nearest.p99_ns / 1e3:.4g} us at {nearest.throughput_rps:,.4g} requests/s: {what}",
        hint="try more candidates with --search N, a lower load, or a larger target",
    )


def _copy(module: ModuleOp, ctx: CompilerContext) -> tuple[ModuleOp, CompilerContext]:
    copy = ModuleOp([], dict(module.attributes))
    copy.detach_region(copy.body)
    copy.add_region(exact_copy(module.body))
    return copy, ctx.clone()
