"""A progress bar goes forward, and back where passes run again."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp

from cimc.instrument import PassProgress
from cimc.ir.text import new_context
from cimc.transforms.pipeline import Pipeline
from tests.transforms.stand_ins import Ask, Hold, Mark


def test_before_every_pass() -> None:
    told: list[tuple[int, int, str]] = []
    progress = PassProgress(lambda done, total, what: told.append((done, total, what)))
    Pipeline((Mark("x"), Ask("y", 4), Hold("z"))).run(ModuleOp([]), new_context(), [progress])
    assert told == [(0, 3, "mark"), (1, 3, "ask"), (2, 3, "hold"), (1, 3, "ask"), (2, 3, "hold")]
