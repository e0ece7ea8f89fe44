"""Passes that only say that they ran, and an instrument that remembers what it was told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.passes import ModulePass

from cimc.errors import InfeasibleError, Shortage
from cimc.ir.context import CompilerContext, compiler_context
from cimc.remarks import Remark, register_remark
from cimc.transforms.instrumentation import Instrument


@register_remark("mark")
@dataclass(frozen=True)
class Marks(Remark):
    """The labels of those that ran."""

    name: ClassVar[str] = "mark"
    labels: tuple[str, ...]


@register_remark("ask")
@dataclass(frozen=True)
class Asked(Remark):
    """How much was asked for last."""

    name: ClassVar[str] = "ask"
    bytes: int


@dataclass(frozen=True)
class Mark(ModulePass):
    """Leaves its name in the module, in the notes and in the remarks."""

    name = "mark"
    label: str = ""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        op.attributes[f"ran.{self.label}"] = StringAttr(self.label)
        data.notes.append(self.label)
        said = data.remarks.of(Marks)
        data.remark(Marks((*(said.labels if said else ()), self.label)))


@dataclass(frozen=True)
class Ask(Mark):
    """Asks for ``bytes``; halves them when there is too little of ``resource``."""

    name = "ask"
    bytes: int = 8
    resource: str = "room"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        super().apply(ctx, op)
        compiler_context(ctx, self.name).remark(Asked(self.bytes))

    def adjusted(self, shortage: Shortage) -> Ask | None:
        fits = shortage.resource == self.resource and self.bytes > 1
        return replace(self, bytes=self.bytes // 2) if fits else None


@dataclass(frozen=True)
class Hold(Mark):
    """Holds ``bytes`` at most of what an :class:`Ask` before it asked for."""

    name = "hold"
    bytes: int = 2
    resource: str = "room"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        super().apply(ctx, op)
        said = compiler_context(ctx, self.name).remarks.of(Asked)
        if said is not None and said.bytes > self.bytes:
            raise InfeasibleError(Shortage(self.resource, said.bytes, self.bytes, "bytes"))


class Diary(Instrument):
    """Everything that it was told, a line each."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def before_pipeline(self, module: ModuleOp, ctx: CompilerContext, passes: Sequence[ModulePass]) -> None:
        self.lines.append("begin " + " ".join(p.name for p in passes))

    def before_pass(self, module: ModuleOp, ctx: CompilerContext, each: ModulePass) -> None:
        self.lines.append(f"before {each.name}")

    def after_pass(self, module: ModuleOp, ctx: CompilerContext, each: ModulePass, seconds: float) -> None:
        assert seconds > 0
        self.lines.append(f"after {each.name}")

    def retry(
        self, module: ModuleOp, ctx: CompilerContext, number: int, again: ModulePass, error: InfeasibleError
    ) -> None:
        self.lines.append(f"again from {number} {again}: {error.message}")

    def after_pipeline(self, module: ModuleOp, ctx: CompilerContext, passes: Sequence[ModulePass]) -> None:
        self.lines.append("end " + " ".join(p.name for p in passes))
