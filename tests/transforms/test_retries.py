"""What the target cannot hold is prepared again with other options, from the pass that has them."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from cimc.errors import InfeasibleError
from cimc.ir.text import new_context
from cimc.remarks import Remarks
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.retries import Checkpoint
from tests.transforms.stand_ins import Ask, Diary, Hold, Mark


def test_only_what_comes_after_the_options_runs_again() -> None:
    module, ctx, diary = ModuleOp([]), new_context(), Diary()
    line = Pipeline((Mark("first"), Ask("ask"), Mark("between"), Hold("hold")))
    settled = line.run(module, ctx, [diary])
    assert settled.passes[1] == Ask("ask", bytes=2)
    assert diary.lines == [
        "begin mark ask mark hold",
        "before mark", "after mark",
        "before ask", "after ask", "before mark", "after mark", "before hold",
        'again from 1 ask{label="ask" bytes=4}: the model needs 8 bytes of room, the target has 2',
        "before ask", "after ask", "before mark", "after mark", "before hold",
        'again from 1 ask{label="ask" bytes=2}: the model needs 4 bytes of room, the target has 2',
        "before ask", "after ask", "before mark", "after mark", "before hold", "after hold",
        "end mark ask mark hold",
    ]  # fmt: skip


def test_nothing_of_an_attempt_stays_behind() -> None:
    module, ctx = ModuleOp([]), new_context()
    line = Pipeline((Mark("first"), Ask("ask"), Hold("hold")))
    settled = line.run(module, ctx)
    again, fresh, diary = ModuleOp([]), new_context(), Diary()
    assert settled.run(again, fresh, [diary]) == settled
    assert not [line for line in diary.lines if line.startswith("again")]
    assert str(again) == str(module)
    assert ctx.notes == fresh.notes == ["first", "ask", "hold"]
    assert ctx.remarks == fresh.remarks
    assert (ctx.pipeline, fresh.pipeline) == (str(settled), "")


def test_the_nearest_pass_that_can_help_does() -> None:
    line = Pipeline((Ask("far", 8), Ask("near", 4, "other"), Hold("hold", 4)))
    assert line.run(ModuleOp([]), new_context()) == line  # 4 were asked for last, and there are 4
    scarce = Pipeline((Ask("far", 8), Ask("near", 4), Hold("hold", 1)))
    assert scarce.run(ModuleOp([]), new_context()).passes == (Ask("far", 8), Ask("near", 1), Hold("hold", 1))
    other = Pipeline((Ask("far", 8, "links"), Ask("near", 8), Hold("hold", 4), Hold("last", 2, "links")))
    diary = Diary()
    with pytest.raises(InfeasibleError):  # what far asks for changes nothing: near asks last
        other.run(ModuleOp([]), new_context(), [diary])
    kept = [entry.split(":")[0] for entry in diary.lines if entry.startswith("again")]
    assert kept[:3] == [
        'again from 1 ask{label="near" bytes=4}',
        'again from 0 ask{label="far" bytes=4 resource="links"}',
        'again from 1 ask{label="near" bytes=4}',  # near has its own options again
    ]


def test_where_nobody_can_help_the_error_stays() -> None:
    with pytest.raises(InfeasibleError) as refused:
        Pipeline((Ask("ask", 8, "other"), Hold("hold"))).run(ModuleOp([]), new_context())
    assert refused.value.shortage.demand == 8
    assert refused.value.__notes__ == ["in pass 'hold'"]


def test_a_checkpoint_brings_everything_back() -> None:
    module, ctx = ModuleOp([]), new_context()
    ctx.store.put("w", np.ones(2))
    before = str(module)
    kept = Checkpoint(0, (Ask("ask"),), module, ctx)
    Mark("later").apply(ctx, module)
    ctx.store.remove("w")
    ctx.seed = 5
    assert str(module) != before
    kept.restore(module, ctx)
    assert str(module) == before
    assert (list(ctx.store), ctx.seed, ctx.notes, ctx.remarks) == (["w"], 0, [], Remarks())
