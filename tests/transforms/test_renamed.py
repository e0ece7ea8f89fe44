"""Pipelines with the names of version 0.1 do what they did, and say what the names are now."""

from __future__ import annotations

import pytest
from xdsl.dialects.builtin import ModuleOp

from cimc.errors import PassError
from cimc.ir.context import CompilerContext
from cimc.transforms.passes import PASSES
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.renamed import OPTIONS
from cimc.transforms.renamed import PASSES as RENAMED

OLD = "shard{spread=0.2},reside{policy=dram},place{spread=2.0 chips=near},schedule{homes=spread},lower"
NEW = (
    "shard{converter_parallelism=0.2},assign-memory{policy=dram},place{array_slack=2.0 chips=near},"
    "schedule{reduction_tiles=spread},lower"
)


def test_old_names_mean_the_new_ones_and_are_noted() -> None:
    old, new = Pipeline.parse(OLD), Pipeline.parse(NEW)
    assert old == new
    assert str(old) == str(new)
    assert new.notes == ()
    assert old.notes == (
        "option `spread` of pass `shard` is called `converter_parallelism` now",
        "pass `reside` is called `assign-memory` now",
        "option `spread` of pass `place` is called `array_slack` now",
        "option `homes` of pass `schedule` is called `reduction_tiles` now",
    )


def test_a_run_notes_them() -> None:
    ctx = CompilerContext()
    Pipeline(()).run(ModuleOp([]), ctx)
    assert ctx.notes == []
    Pipeline((), ("an old name",)).run(ModuleOp([]), ctx)
    assert ctx.notes == ["an old name"]


def test_both_names_at_once_are_refused() -> None:
    with pytest.raises(PassError) as caught:
        Pipeline.parse("schedule{homes=spread reduction_tiles=consumer}")
    assert caught.value.code == "pass.bad-option"


def test_new_names_are_names_of_today() -> None:
    assert set(RENAMED.values()) | set(OPTIONS) <= set(PASSES.names())
    assert not set(RENAMED) & set(PASSES.names())
    for name, options in OPTIONS.items():
        assert set(options.values()) <= set(PASSES[name].__dataclass_fields__)
