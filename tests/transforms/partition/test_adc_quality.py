"""Facts on ADC ranges: against a run of the ADC kernel, and the option that forbids clipping."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cimc
from cimc.metrics.scores import sqnr_db
from cimc.sim.kernels.dense.mvm import DenseKernel
from cimc.target import load_target
from cimc.target.cell_encoding import max_weight, phase_plan
from cimc.transforms.partition.adc_quality import layer_ranges
from cimc.transforms.partition.adc_steps import choose_ranges
from cimc.transforms.partition.shard import dense_blocks
from models.tiny import mlp, requests_for


@given(st.integers(1, 60), st.integers(1, 12), st.booleans(), st.integers(3, 8), st.integers(0, 1 << 30))
@settings(max_examples=25, deadline=None)
def test_expected_sqnr_is_that_of_the_kernel(
    rows: int, cols: int, signed: bool, bits: int, seed: int
) -> None:
    array = load_target("tsinghua28").array.model_copy(update={"adc_bits": bits, "rows": 32})
    rng = np.random.default_rng(seed)
    high = max_weight(array.encoding, array.cell_levels, 8)
    weights = rng.integers(-high, high, (rows, cols), endpoint=True).astype(np.int8)
    scales = rng.uniform(0.1, 2.0, cols).astype(np.float32)
    samples = rng.integers(*phase_plan(8, signed, array.dac_bits, array.signed_inputs).bounds, (20, rows))
    blocks, _ = dense_blocks(rows, cols, array.rows, 5, 16)
    steps = choose_ranges(samples, weights, blocks, array, 8, 8, signed)
    found = layer_ranges("l", "calibrated", samples, weights, scales, blocks, steps, array, 8, 8, signed)
    kernel = DenseKernel(weights, blocks, steps, array, 8, 8, signed)
    out = kernel.adc(samples.astype(np.int8 if signed else np.uint8), 0, len(blocks))
    exact = samples.astype(np.int64) @ weights.astype(np.int64)
    expected = sqnr_db(exact * scales.astype(np.float64), out * scales.astype(np.float64))
    if math.isinf(expected):
        assert found.sqnr_db is None or not exact.any()
    else:
        assert found.sqnr_db == pytest.approx(expected, abs=0.006)
    assert (found.step_min, found.step_max, found.samples) == (steps.min(), steps.max(), 20)
    assert 0.0 <= found.clipped < 1.0


def compiled(folder: Path, ranges: str, calib: dict[str, Any]) -> cimc.Program:
    model, _ = mlp((40, 30, 8), seed=1)
    onnx.save(model, folder / "m.onnx")
    shard = f'shard,choose-adc-steps{{ranges="{ranges}"}}'
    before = "canonicalize,recognise,demote,outline-host,quantize{weights=8 acts=8}"
    line = f"{before},{shard},place{{strategy=greedy}},schedule,lower"
    return cimc.compile(folder / "m.onnx", "tsinghua28", calib, line)


def test_clip_free_ranges_never_clip_and_calibrated_ones_lose_less(tmp_path: Path) -> None:
    model, _ = mlp((40, 30, 8), seed=1)
    calib = requests_for(model, batch=100, seed=2)
    kinds = {}
    for ranges in ("calibrated", "clip-free"):
        program = compiled(tmp_path, ranges, calib)
        found = program.data.remarks.converters.adc_ranges
        assert [each.ranges for each in found] == [ranges, ranges]
        assert program.data.header.pipeline.count(f'ranges="{ranges}"') == 1
        kinds[ranges] = found
    for loose, tight in zip(kinds["clip-free"], kinds["calibrated"], strict=True):
        assert loose.clipped == 0.0
        assert loose.step_max >= tight.step_max
        assert tight.sqnr_db > loose.sqnr_db + 3
    extreme = {"x": np.where(np.arange(40) % 2, 1e3, -1e3).astype(np.float32)[None].repeat(3, 0)}
    exact, adc = (program.run(extreme, mode).outputs["y"] for mode in ("exact", "adc"))  # type: ignore[arg-type]
    assert np.abs(exact - adc).max() < 0.2 * np.abs(exact).max()  # far outside of calibration, still no clip


def test_without_samples_the_range_is_clip_free() -> None:
    array = load_target("tsinghua28").array
    weights = np.ones((4, 2), np.int8)
    blocks, _ = dense_blocks(4, 2, array.rows, 8, 16)
    steps = choose_ranges(None, weights, blocks, array, 8, 8, False)
    found = layer_ranges(
        "l", "clip-free", None, weights, np.ones(2, np.float32), blocks, steps, array, 8, 8, False
    )
    assert (found.samples, found.sqnr_db, found.clipped) == (0, None, None)
