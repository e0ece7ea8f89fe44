"""The project's own trained models on every preset: agreement, accuracy, determinism."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.host.runtime import run_onnx
from cimc.isa.artifact import to_bytes
from cimc.isa.program import HostSegment
from cimc.metrics.scores import auc
from tests.quality import CheckQuality, of_program

MODELS = Path(__file__).parents[2] / "models"
PRESETS = ("tsinghua28", "isaac32", "neurram130", "hermes14")


@cache
def recorded(model: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """Requests, onnxruntime's outputs on them, labels."""
    with np.load(MODELS / f"{model}.requests.npz") as arrays:
        requests = dict(arrays)
    labels = requests.pop("labels")
    return requests, run_onnx(MODELS / f"{model}.onnx", requests), labels


@cache
def calibration(model: str) -> dict[str, np.ndarray]:
    with np.load(MODELS / f"{model}.calib.npz") as arrays:
        return dict(arrays)


@cache
def compiled(model: str, target: str = "tsinghua28") -> cimc.Program:
    return cimc.compile(MODELS / f"{model}.onnx", target, calibration(model))


@pytest.mark.parametrize("target", PRESETS)
@pytest.mark.parametrize(("model", "score"), [("dlrm_small", "prob"), ("twotower_small", "score")])
def test_every_preset_passes_the_check(
    model: str, score: str, target: str, golden_quality: CheckQuality
) -> None:
    requests, reference, labels = recorded(model)
    program = compiled(model, target)
    result = program.run(requests, mode="adc")
    check = check_outputs(reference, result.outputs, Bound(), labels)
    assert check.passed, [o.failures for o in check.outputs]
    if target == "tsinghua28":
        lost = auc(labels, reference[score].ravel()) - auc(labels, result.outputs[score].ravel())
        assert lost <= 0.005
    name = model if target == "tsinghua28" else f"{model}, {target}"
    golden_quality("models", name, of_program(program, result.cost))


@pytest.mark.parametrize("model", ["dlrm_small", "twotower_small"])
def test_everything_of_the_models_is_on_the_chip(model: str) -> None:
    assert not [s for s in compiled(model).data.segments if isinstance(s, HostSegment)]


def test_two_compilations_are_byte_identical() -> None:
    path = MODELS / "twotower_small.onnx"
    again = cimc.compile(path, calib=calibration("twotower_small"))
    assert to_bytes(again.data) == to_bytes(compiled("twotower_small").data)


def test_cost_of_a_run_is_complete() -> None:
    requests, _, _ = recorded("twotower_small")
    cost = compiled("twotower_small").run(requests, mode="adc").cost
    assert cost.latency_ns > 0
    assert cost.throughput_rps > 0
    assert cost.bottleneck
    assert sum(item["pj"] for item in cost.to_json()["energy"].values()) == pytest.approx(cost.energy_pj)
    assert cost.events
    assert cost.requests == 2048
