"""Which pass broke the model: the IR is executed after each one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import BlockArgument, SSAValue
from xdsl.passes import ModulePass

from cimc.errors import CheckFailed, CimcError, InfeasibleError, Location, RequestError
from cimc.host.choices import Choice, Recorder
from cimc.ir.context import CompilerContext
from cimc.support.progress import note
from cimc.transforms.instrumentation import Instrument
from cimc.transforms.passes import FRONTEND
from cimc.transforms.pipeline import Pipeline
from cimc.workload.first_requests import JaggedInputs
from cimc.workload.request_rules import Arrays

if TYPE_CHECKING:
    from cimc.compare.following import Followed

CHECKED_REQUESTS = 256
"""Calibration requests that are executed after every pass."""


class CheckEach(Instrument):
    """Executes the module after every pass, on the first calibration requests, against onnxruntime.

    After ``lower`` the program runs too, in mode ``exact``, and must equal the module bit for bit.  Each step
    is a line on standard error.  An output beyond the bound of :class:`cimc.compare.check.Bound` raises
    CheckFailed ``check.pass-broke``, which names the pass.

    Args:
        model: the file that is compiled, whole, with its own weights.

    Attributes:
        checks: what was found after each step, JSON-able; ``import`` comes first.
    """

    def __init__(self, model: str | Path) -> None:
        self.checks: list[dict[str, Any]] = []
        self._model = Path(model)
        self._checker: _Checker | None = None

    def before_pipeline(self, module: ModuleOp, ctx: CompilerContext, passes: Sequence[ModulePass]) -> None:
        self._checker = _Checker(self._model, module, ctx, passes)
        self.checks = [self._checker.check("import", module, ctx)]

    def after_pass(self, module: ModuleOp, ctx: CompilerContext, each: ModulePass, seconds: float) -> None:
        assert self._checker is not None
        self.checks.append(self._checker.check(each.name, module, ctx))

    def retry(
        self,
        module: ModuleOp,
        ctx: CompilerContext,
        number: int,
        again: ModulePass,
        error: InfeasibleError,
    ) -> None:
        del self.checks[number + 1 :]  # of an attempt that is not the one kept

    def after_pipeline(self, module: ModuleOp, ctx: CompilerContext, passes: Sequence[ModulePass]) -> None:
        assert self._checker is not None
        if ctx.program is not None:
            self.checks.append(self._checker.check_program(module, ctx))


class _Checker:
    """Executes the IR on the calibration requests and compares with onnxruntime on the original file."""

    def __init__(
        self, model: Path, module: ModuleOp, ctx: CompilerContext, passes: Sequence[ModulePass]
    ) -> None:
        from cimc.compare.check import Bound
        from cimc.interpreter.evaluate import main_function, signature

        _, outputs = signature(main_function(module))
        self.model, self.bound = model, Bound()
        self.width = max(len(name) for name in ("program", *(each.name for each in passes)))
        self.requests = _some_requests(module, ctx)
        self.outputs = outputs
        self.choices: list[Choice] = []
        self.reference = self._follow([])
        self.last: Arrays = {}
        note(f"check-each: bound {self.bound}")

    def _follow(self, choices: list[Choice]) -> Followed:
        from cimc.compare.following import follow

        return follow(self.model, self.requests, self.outputs, choices, self.bound)[0]

    def check(self, name: str, module: ModuleOp, ctx: CompilerContext) -> dict[str, Any]:
        from cimc.compare.following import check_choices_and_outputs
        from cimc.interpreter.evaluate import evaluate
        from cimc.transforms.recognise.outline_host import executable

        recorder = Recorder()
        try:
            self.last = evaluate(*executable(module, ctx), self.requests, choices=recorder)
        except CimcError as error:
            error.add_note(f"when the IR was executed after pass '{name}'")
            raise
        if not _equal(recorder.found, self.choices):
            self.choices, self.reference = recorder.found, self._follow(recorder.found)
        found = check_choices_and_outputs(self.reference, self.last, self.bound)
        for o in found.outputs:
            verdict = "FAILS" if o.failures else "ok"
            measures = f"max abs error {o.max_abs_error:.3g}, SQNR {o.sqnr_db:.1f} dB"
            note(f"check-each: {name:<{self.width}} {o.name}: {measures}, {verdict}")
        for c in found.choices:
            verdict = "FAILS" if c.failures else "ok"
            measures = f"recall@{c.k} {c.recall:.3f}, {c.near_ties} near ties"
            note(f"check-each: {name:<{self.width}} {c.label}: {measures}, {verdict}")
        if not found.passed:
            wrong = "; ".join(found.failures)
            raise CheckFailed(
                "check.pass-broke",
                f"pass '{name}' broke the model: after it, {wrong}",
                location=Location(file=str(self.model)),
                hint="look at the IR before and after with --dump-ir DIR",
            )
        return {"pass": name, **found.to_json()}

    def check_program(self, module: ModuleOp, ctx: CompilerContext) -> dict[str, Any]:
        """The program in mode exact must equal the IR bit for bit."""
        from cimc.host.values import flat
        from cimc.sim.executor import Simulator

        assert ctx.target is not None
        have, _ = Simulator(ctx.program, ctx.target).run(self.requests, "exact")
        wrong = []
        for name, value in self.last.items():
            (made, want), (structure, got) = flat(value), flat(have[name])
            if made != structure or not np.array_equal(want, got, equal_nan=want.dtype.kind == "f"):
                count = int(np.count_nonzero(want != got)) if want.shape == got.shape else want.size
                wrong.append(f"output '{name}': {count} of {want.size} elements differ")
        verdict = f"exact mode equals the IR bit for bit: {'no' if wrong else 'yes'}"
        note(f"check-each: {'program':<{self.width}} {verdict}")
        if wrong:
            raise CheckFailed(
                "check.pass-broke",
                f"pass 'lower' broke the model, the program (exact) is not the IR: {'; '.join(wrong)}",
                location=Location(file=str(self.model)),
            )
        return {"pass": "program", "passed": True, "bound": "bit for bit the IR", "outputs": [], "notes": []}


def _equal(left: list[Choice], right: list[Choice]) -> bool:
    """Whether two lists hold the same choices, by the same scores."""
    return len(left) == len(right) and all(
        a.chooser == b.chooser and np.array_equal(a.ids, b.ids) and np.array_equal(a.scores, b.scores)
        for a, b in zip(left, right, strict=True)
    )


def _some_requests(module: ModuleOp, ctx: CompilerContext) -> Arrays:
    """The first calibration requests; all where it is not clear what belongs to a request."""
    from cimc.interpreter.evaluate import main_function, signature
    from cimc.workload.first_requests import first_requests

    if ctx.calibration is None:
        raise ctx.no_calibration or RequestError(
            "check.no-calibration", "there are no calibration requests to execute", hint="add --calib REQ.npz"
        )
    names, _ = signature(main_function(module))
    own, clone = ctx.clone(), module.clone()
    Pipeline.parse(FRONTEND).run(clone, own)
    try:
        return first_requests(ctx.calibration, names, _jagged(clone), CHECKED_REQUESTS)
    except RequestError:
        note("check-each: executes all calibration requests: it is not clear which arrays are cut where")
        return ctx.calibration


def _jagged(module: ModuleOp) -> list[JaggedInputs]:
    """Inputs of a module of the ``rec`` dialect that hold the ids of all bags back to back."""
    from cimc.interpreter.evaluate import main_function, signature
    from cimc.ir.rec import EmbeddingBagOp

    function = main_function(module)
    names, _ = signature(function)

    def name(value: SSAValue | None) -> str:
        return names[value.index] if isinstance(value, BlockArgument) else ""

    found = [
        JaggedInputs(name(op.ids), name(op.offsets), name(op.weights), op.layout.data)
        for op in function.body.block.ops
        if isinstance(op, EmbeddingBagOp) and op.offsets is not None
    ]
    return [j for j in found if j.ids and j.offsets]
