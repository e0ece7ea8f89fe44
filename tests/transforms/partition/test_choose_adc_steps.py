"""ADC steps as a step of its own: what it needs, what it leaves, on two layers by hand."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from cimc.errors import PassError
from cimc.ir import cim
from cimc.ir.context import CompilerContext
from cimc.ir.text import new_context, parse_ir
from cimc.isa.certificate import certify
from cimc.target import load_target
from cimc.transforms.partition.choose_adc_steps import ChooseAdcSteps

TEXT = """
cim.weights "w" rows 40 cols 3 bits 8 data @w.int scales @w.scales inputs 8 signed 1
cim.shards @w slices 2 blocks <[[0, 30, 0, 2], [0, 30, 2, 1], [30, 10, 0, 2], [30, 10, 2, 1]]>
cim.weights "v" rows 2 cols 1 bits 8 data @v.int scales @v.scales inputs 8 signed 0
cim.shards @v slices 2 blocks <[[0, 2, 0, 1]]>
"""


def context() -> CompilerContext:
    rng = np.random.default_rng(0)
    ctx = new_context()
    ctx.target = load_target("tsinghua28")
    for name, shape in (("w", (40, 3)), ("v", (2, 1))):
        ctx.store.put(f"{name}.int", rng.integers(-100, 101, shape).astype(np.int8))
        ctx.store.put(f"{name}.scales", np.ones(shape[1], np.float32))
    ctx.samples["w"] = rng.integers(-20, 21, (50, 40)).astype(np.int32)
    return ctx


def layers(ctx: CompilerContext, text: str = TEXT, **options: str) -> list[cim.WeightsOp]:
    module = parse_ir(text, ctx)
    ChooseAdcSteps(**options).apply(ctx, module)
    module.verify()
    return cast("list[cim.WeightsOp]", cim.matrices_of(module))


def test_every_layer_gets_a_step_by_block_slice_and_phase() -> None:
    ctx = context()
    w, v = layers(ctx)
    assert w.adc().steps.shape == (4, 2, 4)  # signed inputs of a unipolar driver: twice the phases
    assert v.adc().steps.shape == (1, 2, 2)
    assert (w.adc().kind.data, v.adc().kind.data) == ("calibrated", "clip-free")
    assert [each.layer for each in ctx.remarks.converters.adc_ranges] == ["w", "v"]
    assert [each.samples for each in ctx.remarks.converters.adc_ranges] == [50, 0]


def test_the_certificate_is_that_of_cells_and_steps() -> None:
    ctx = context()
    for layer in layers(ctx, ranges="clip-free"):
        bits, signed = layer.inputs
        steps = layer.adc().steps.array(ctx.store, np.int32)
        found = layer.adc().certificate.array(ctx.store, np.uint8)
        blocks = layer.block_table(ctx.store)
        weights = ctx.store[f"{layer.symbol}.int"]
        wanted = certify(weights, blocks, steps, ctx.target.array, 8, bits, signed)
        np.testing.assert_array_equal(found, wanted)


def test_clip_free_leaves_samples_alone() -> None:
    with_samples, without = context(), context()
    del without.samples["w"]
    found = [
        layers(ctx, ranges=ranges)[0].adc().steps.array(ctx.store, np.int32)
        for ctx, ranges in ((with_samples, "clip-free"), (without, "calibrated"))
    ]
    np.testing.assert_array_equal(*found)
    assert (layers(context())[0].adc().steps.array(with_samples.store, np.int32) <= found[0]).all()


def test_no_samples_at_all_count_as_none() -> None:
    ctx = context()
    ctx.samples["w"] = np.zeros((0, 40), np.int32)
    assert layers(ctx)[0].adc().kind.data == "clip-free"


def test_nothing_is_decided_of_a_module_that_is_refused() -> None:
    ctx = context()
    module = parse_ir(TEXT.replace("cim.shards @v slices 2 blocks <[[0, 2, 0, 1]]>", ""), ctx)
    with pytest.raises(PassError) as caught:
        ChooseAdcSteps().apply(ctx, module)
    assert caught.value.code == "pass.needs-shard"
    assert not any(isinstance(op, cim.AdcOp) for op in module.walk())
    assert ctx.remarks.converters is None


def test_a_module_without_layers_has_an_empty_remark() -> None:
    ctx = context()
    assert layers(ctx, "builtin.module {}") == []
    assert ctx.remarks.converters.adc_ranges == ()
