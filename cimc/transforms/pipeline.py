"""Pipelines: a string of passes with options, run with a verifier after every pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.utils.arg_spec import ArgSpec, parse_pipeline
from xdsl.utils.exceptions import ArgSpecParseError, ParseError, VerifyException

from cimc.errors import CimcError, InternalError, PassError
from cimc.ir.context import CompilerContext
from cimc.ir.text import verify_ir
from cimc.support.plugins.origin import noting
from cimc.support.registry import guarded, is_guest
from cimc.transforms.passes import DEFAULT_PIPELINE, PASSES

AfterPass = Callable[[ModulePass, ModuleOp, float], None]
"""Called after each pass with the pass, the verified module and the seconds it took."""

_REFUSED = frozenset(("ir.invalid", "isa.invalid", "isa.certificate", "pass.failed"))
"""Codes of the verifiers of IR and of programs."""


@dataclass(frozen=True)
class Pipeline:
    """An ordered list of passes; prints to, and parses from, the same string."""

    passes: tuple[ModulePass, ...]

    @classmethod
    def parse(cls, text: str = DEFAULT_PIPELINE) -> Pipeline:
        """Parse ``name,name{option=value option=value},...``.

        Raises:
            PassError: ``pass.unknown``, ``pass.syntax`` or ``pass.bad-option``.
        """
        try:
            specs = tuple(parse_pipeline(text))
            return cls(tuple(PASSES[spec.name].from_pass_spec(spec) for spec in specs))
        except (ParseError, ArgSpecParseError) as error:
            raise PassError("pass.syntax", f"pipeline '{text}': {_first_line(error)}") from None
        except ValueError as error:
            raise PassError("pass.bad-option", f"pipeline '{text}': {_first_line(error)}") from None

    def __str__(self) -> str:
        return ",".join(str(_spelled_out(p)) for p in self.passes)

    def with_smaller_values(self) -> tuple[Pipeline, float] | None:
        """This pipeline with less of a scratchpad left to values, and the share; None if there is none less.

        For a model whose values of one request do not fit although each of its operations does.
        """
        for number, each in enumerate(self.passes):
            if each.name == "fuse-recsys":
                share = getattr(each, "scratchpad", 0.0)
                smaller = next((s for s in (0.5, 0.25, 0.1, 0.0) if s < share), None)
                if smaller is None:
                    return None
                less = replace(each, scratchpad=smaller)  # type: ignore[call-arg]
                return Pipeline((*self.passes[:number], less, *self.passes[number + 1 :])), smaller
        return None

    def run(self, module: ModuleOp, ctx: CompilerContext, after: AfterPass | None = None) -> None:
        """Apply all passes in place; the module is verified after each one.

        Raises:
            CimcError: of a pass.
            InternalError: where the module comes from a model, and a verifier refuses what a pass made of it.
        """
        for each in self.passes:
            start = time.perf_counter()
            try:
                with noting(ctx.plugins):
                    PASSES.note(each.name, type(each))
                    _apply(each, module, ctx)
            except CimcError as error:
                # IR that a user wrote may be valid and yet mean nothing: then the error is the user's; and
                # what a plug-in makes of it is the plug-in's
                if not ctx.imported or error.code not in _REFUSED or is_guest(type(each)):
                    raise
                raise InternalError(f"pass '{each.name}' made what cimc itself refuses: {error}") from error
            if after is not None:
                after(each, module, time.perf_counter() - start)


def _apply(each: ModulePass, module: ModuleOp, ctx: CompilerContext) -> None:
    """Apply one pass, and verify what it leaves."""
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


def _spelled_out(each: ModulePass) -> ArgSpec:
    """All options of a pass, defaults too, but for those that are empty."""
    spec = each.spec(include_default=True)
    return ArgSpec(spec.name, {name: values for name, values in spec.parameters.items() if values})


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" ^")]
    return lines[-1] if lines else type(error).__name__
