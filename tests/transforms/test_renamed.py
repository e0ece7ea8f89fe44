"""Pipelines with the names of version 0.1 do what they did, and say what the names are now."""

from __future__ import annotations

import pytest
from xdsl.dialects.builtin import ModuleOp

from cimc.errors import PassError
from cimc.ir.context import CompilerContext
from cimc.mapping.mesh.mesh_solve import QUADRATIC_METHODS
from cimc.transforms.passes import FRONTEND, PASSES
from cimc.transforms.passes import OLD_NAMES as RENAMED
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.renamed import OPTIONS

OLD = "shard{spread=0.2},reside{policy=dram},place{spread=2.0 chips=near},schedule{homes=spread},lower"
NEW = (
    "shard{converter_parallelism=0.2},choose-adc-steps,assign-memory{policy=dram},"
    "place{array_slack=2.0 chips=near},schedule{reduction_tiles=spread},lower"
)
ADC_NOTE = "pass `shard` chooses no ADC steps now: `choose-adc-steps` runs behind it"


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
        ADC_NOTE,
    )


def test_methods_that_are_gone_mean_the_one_that_does_as_well() -> None:
    old = Pipeline.parse("place{dense=multilevel dense_sweeps=7}")
    assert old == Pipeline.parse("place{dense=anneal dense_sweeps=7}")
    assert old.notes == ("`dense=multilevel` of pass `place` is `dense=anneal` now",)
    with QUADRATIC_METHODS.restored():
        QUADRATIC_METHODS.register("multilevel", QUADRATIC_METHODS["greedy"], origin="another")
        assert Pipeline.parse("place{dense=multilevel}").notes == ()


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


def test_one_pass_that_became_nine_is_read_as_those() -> None:
    line = Pipeline.parse("canonicalize,fuse-recsys{scratchpad=0.5 vector=true also=linear},quantize")
    assert [p.name for p in line.passes] == [*FRONTEND.split(","), "quantize"]
    assert 'recognise{also="linear"}' in str(line)
    assert "demote{scratchpad=0.5 vector=true}" in str(line)
    (note,) = line.notes
    assert note == f"pass `fuse-recsys` is {FRONTEND.partition(',')[2]} now"


def test_some_recognisers_alone_left_composites_whole() -> None:
    names = [p.name for p in Pipeline.parse("fuse-recsys{only=linear,unary}").passes]
    assert names == [n for n in FRONTEND.split(",")[1:] if n not in ("expand-composites", "batch-major")]


@pytest.mark.parametrize("options", ["only=linaer", "colour=red", "scratchpad=much"])
def test_options_that_it_refused_are_refused(options: str) -> None:
    with pytest.raises(PassError) as caught:
        Pipeline.parse(f"fuse-recsys{{{options}}}")
    assert caught.value.code == "pass.bad-option"


@pytest.mark.parametrize("name", ["frontend", "fuse-recsys", *RENAMED])
def test_no_plugin_brings_a_pass_that_one_of_these_names_would_hide(name: str) -> None:
    with pytest.raises(PassError, match=f"`{name}` is no name for the pass") as caught:
        PASSES.register(name, "somewhere:Pass")
    assert caught.value.code == "plugin.duplicate"
    assert name not in PASSES


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("shard,place,schedule,lower", "shard,choose-adc-steps,place,schedule,lower"),
        ("shard{ranges=clip-free pool=read}", "shard{pool=read},choose-adc-steps{ranges=clip-free}"),
        (
            "shard{ranges=clip-free},replicate,lower",
            "shard,choose-adc-steps{ranges=clip-free},replicate,lower",
        ),
    ],
)
def test_shard_chose_adc_steps_too(old: str, new: str) -> None:
    found = Pipeline.parse(old)
    assert found == Pipeline.parse(new)
    assert found.notes == (ADC_NOTE,)
    assert Pipeline.parse(new).notes == ()


def test_shard_alone_is_shard_alone() -> None:
    """Nothing is put into a line that ends before the steps are needed, or that chooses them itself."""
    for line in ("shard", "quantize,shard,place", "shard,place,choose-adc-steps,schedule,lower"):
        found = Pipeline.parse(line)
        assert [p.name for p in found.passes] == line.split(",")
        assert found.notes == ()
    with pytest.raises(PassError) as caught:
        Pipeline.parse("shard{ranges=calibrated},choose-adc-steps,lower")
    assert caught.value.code == "pass.bad-option"


def test_frontend_stands_for_its_passes() -> None:
    found = Pipeline.parse("frontend,quantize")
    assert found == Pipeline.parse(f"{FRONTEND},quantize")
    assert found.notes == ()
    with pytest.raises(PassError, match="stands for canonicalize,") as caught:
        Pipeline.parse("frontend{vector=true}")
    assert caught.value.code == "pass.bad-option"
