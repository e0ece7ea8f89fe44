"""``system``: chips, whatever the target says."""

from __future__ import annotations

import pytest
from xdsl.dialects.builtin import ModuleOp

from cimc.errors import PassError, Shortage
from cimc.ir.text import new_context
from cimc.target.load_target import load_target
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.system import System


def test_the_machine_has_the_chips_and_a_note_says_so() -> None:
    ctx = new_context()
    ctx.target = load_target("tsinghua28")
    Pipeline.parse("system{chips=3}").run(ModuleOp([]), ctx)
    assert ctx.target.system.chips == 3
    assert ctx.notes == ["the machine has system{chips=3}, where tsinghua28 has 1"]


def test_a_machine_that_has_them_stays_as_it_is() -> None:
    ctx = new_context()
    ctx.target = load_target("tsinghua28")
    Pipeline.parse("system").run(ModuleOp([]), ctx)
    assert ctx.target is not None
    assert ctx.target.digest == load_target("tsinghua28").digest
    assert ctx.notes == []


def test_it_needs_a_target_and_a_chip() -> None:
    ctx = new_context()
    with pytest.raises(PassError, match="needs a target"):
        System().apply(ctx, ModuleOp([]))
    ctx.target = load_target("tsinghua28")
    with pytest.raises(PassError, match="at least one chip"):
        System(chips=0).apply(ctx, ModuleOp([]))


@pytest.mark.parametrize(
    ("chips", "demand", "bound", "then"),
    [(1, 200, 100, 3), (10, 101, 100, 11), (4, 5, 0, 21), (1, 100, 100, None), (1, 10**9, 1, None)],
)
def test_it_grows_with_the_shortage(chips: int, demand: int, bound: int, then: int | None) -> None:
    shortage = Shortage("arrays", demand, bound, "arrays")
    found = System(chips, grow=True).adjusted(shortage)
    assert found == (None if then is None else System(then, grow=True))
    assert System(chips).adjusted(shortage) is None
