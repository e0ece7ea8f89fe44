"""An instrument overrides what it needs, and is told in the order in which it was given."""

from __future__ import annotations

import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.ir.context import CompilerContext
from cimc.ir.text import new_context
from cimc.transforms.instrumentation import Instrument
from cimc.transforms.pipeline import Pipeline
from tests.transforms.stand_ins import Ask, Diary, Hold, Mark


def test_the_base_class_does_nothing() -> None:
    module = ModuleOp([])
    Pipeline((Ask("ask"), Hold("hold"))).run(module, new_context(), [Instrument()])
    assert set(module.attributes) == {"ran.ask", "ran.hold"}


def test_several_are_told_in_order() -> None:
    told: list[str] = []

    class Named(Instrument):
        def __init__(self, name: str) -> None:
            self.name = name

        def before_pass(self, module: ModuleOp, ctx: CompilerContext, each: ModulePass) -> None:
            told.append(f"{self.name} before")

        def after_pass(
            self, module: ModuleOp, ctx: CompilerContext, each: ModulePass, seconds: float
        ) -> None:
            told.append(f"{self.name} after")

    Pipeline((Mark("x"),)).run(ModuleOp([]), new_context(), [Named("a"), Named("b")])
    assert told == ["a before", "b before", "a after", "b after"]


def test_an_error_of_an_instrument_ends_the_pipeline() -> None:
    class Stops(Instrument):
        def after_pass(
            self, module: ModuleOp, ctx: CompilerContext, each: ModulePass, seconds: float
        ) -> None:
            raise RuntimeError("enough")

    diary = Diary()
    with pytest.raises(RuntimeError, match="enough"):
        Pipeline((Mark("x"), Mark("y"))).run(ModuleOp([]), new_context(), [diary, Stops()])
    assert diary.lines == ["begin mark mark", "before mark", "after mark"]
