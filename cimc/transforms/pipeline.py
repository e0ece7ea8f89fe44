"""Pipelines: a string of passes with options, run with a verifier after every pass."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.utils.arg_spec import ArgSpec, ParameterType, parse_pipeline
from xdsl.utils.exceptions import ArgSpecParseError, ParseError, VerifyException

from cimc.errors import CimcError, InfeasibleError, InternalError, PassError
from cimc.ir.cim import check_stored
from cimc.ir.context import CompilerContext
from cimc.ir.text import verify_ir
from cimc.support.plugins.origin import noting
from cimc.support.registry import guarded, is_guest
from cimc.transforms.instrumentation import Instrument
from cimc.transforms.passes import DEFAULT_PIPELINE, PASSES
from cimc.transforms.renamed import current_names
from cimc.transforms.retries import Adjustable, Checkpoint

_REFUSED = frozenset(("ir.invalid", "isa.invalid", "isa.certificate", "pass.failed"))
"""Codes of the verifiers of IR and of programs."""


@dataclass(frozen=True)
class Pipeline:
    """An ordered list of passes; prints to, and parses from, the same string.

    Attributes:
        passes: in order.
        notes: what a user should know of the string it came from: names that are old.
    """

    passes: tuple[ModulePass, ...]
    notes: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def parse(cls, text: str = DEFAULT_PIPELINE) -> Pipeline:
        """Parse ``name,name{option=value option=value},...``.

        Raises:
            PassError: ``pass.unknown``, ``pass.syntax`` or ``pass.bad-option``.
        """
        try:
            specs, notes = current_names(parse_pipeline(text))
            return cls(tuple(PASSES[spec.name].from_pass_spec(spec) for spec in specs), notes)
        except (ParseError, ArgSpecParseError) as error:
            raise PassError("pass.syntax", f"pipeline '{text}': {_first_line(error)}") from None
        except ValueError as error:
            raise PassError("pass.bad-option", f"pipeline '{text}': {_first_line(error)}") from None

    def __str__(self) -> str:
        return ",".join(str(_spelled_out(p)) for p in self.passes)

    def run(
        self,
        module: ModuleOp,
        ctx: CompilerContext,
        instrument: Sequence[Instrument] = (),
        *,
        start: int = 0,
    ) -> Pipeline:
        """Apply all passes in place, those before number ``start`` left out, which ran already; the module is
        verified after each one.

        Where the target cannot hold the model, the last pass that can ask for less does so, and the pipeline
        goes on from there (:mod:`cimc.transforms.retries`).

        Returns:
            The pipeline with the options that fitted: it does the same at the first attempt.

        Raises:
            CimcError: as its passes.
            InternalError: where the module comes from a model, and a verifier refuses what a pass made of it.
        """
        passes, number = self.passes, start
        ctx.notes += self.notes
        kept: list[Checkpoint] = []
        for each in instrument:
            each.before_pipeline(module, ctx, passes)
        while number < len(passes):
            current = passes[number]
            if isinstance(current, Adjustable):
                kept.append(Checkpoint(number, passes, module, ctx))
            for each in instrument:
                each.before_pass(module, ctx, current)
            try:
                with noting(ctx.plugins):
                    PASSES.note(current.name, type(current))
                    seconds = _apply(current, module, ctx)
            except InfeasibleError as error:
                passes, number = _adjusted(kept, error, module, ctx)
                for each in instrument:
                    each.retry(module, ctx, number, passes[number], error)
                continue
            except CimcError as error:
                # IR that a user wrote may be valid and yet mean nothing: then the error is the user's; and
                # what a plug-in makes of it is the plug-in's
                if not ctx.imported or error.code not in _REFUSED or is_guest(type(current)):
                    raise
                raise InternalError(
                    f"pass '{current.name}' made what cimc itself refuses: {error}"
                ) from error
            for each in instrument:
                each.after_pass(module, ctx, current, seconds)
            number += 1
        for each in instrument:
            each.after_pipeline(module, ctx, passes)
        return Pipeline(passes, self.notes)


def _apply(each: ModulePass, module: ModuleOp, ctx: CompilerContext) -> float:
    """Run and verify a pass; the seconds that it took."""
    start = time.perf_counter()
    try:
        with guarded(type(each), VerifyException):
            each.apply(ctx, module)
    except VerifyException as error:
        raise PassError(
            "pass.failed", f"pass '{each.name}' built invalid IR: {_first_line(error)}"
        ) from error
    except CimcError as error:
        error.add_note(f"in pass '{each.name}'")
        raise
    verify_ir(module, f"after pass '{each.name}'")
    check_stored(module, ctx.store)
    return time.perf_counter() - start


def _adjusted(
    kept: list[Checkpoint], error: InfeasibleError, module: ModuleOp, ctx: CompilerContext
) -> tuple[tuple[ModulePass, ...], int]:
    """Go back to the last checkpoint where a pass can ask for less: the passes from now on, and the next.

    Raises:
        InfeasibleError: ``error``, where there is none.
    """
    while kept:
        checkpoint = kept.pop()
        passes = checkpoint.adjusted(error.shortage)
        if passes is not None:
            checkpoint.restore(module, ctx)
            ctx.pipeline = str(Pipeline(passes))
            return passes, checkpoint.number
    raise error


def _spelled_out(each: ModulePass) -> ArgSpec:
    """All options of a pass, defaults too, but for those that are empty."""
    spec = each.spec(include_default=True)
    given = {name: tuple(map(_escaped, values)) for name, values in spec.parameters.items() if values}
    return ArgSpec(spec.name, given)


def _escaped(value: ParameterType) -> ParameterType:
    """``value`` as it stands between quotes: the parser takes escapes back, the printer makes none."""
    if not isinstance(value, str):
        return value
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" ^")]
    return lines[-1] if lines else type(error).__name__
