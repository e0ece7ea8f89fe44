"""Defaults of the compiler hold on the requests that were set apart to choose them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

import cimc
from cimc.metrics.scores import sqnr_db
from cimc.transforms.passes import DEFAULT_PIPELINE

MODELS = Path(__file__).parents[2] / "models"


def arrays(part: str) -> dict[str, np.ndarray]:
    with np.load(MODELS / f"twotower_small.{part}.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    session = ort.InferenceSession(str(MODELS / "twotower_small.onnx"), providers=["CPUExecutionProvider"])
    names = {i.name for i in session.get_inputs()}
    found: np.ndarray = session.run(["score"], {k: v for k, v in arrays("tuning").items() if k in names})[0]
    return found


def quality(line: str, reference: np.ndarray, target: str = "tsinghua28") -> float:
    program = cimc.compile(MODELS / "twotower_small.onnx", target, arrays("calib"), line)
    return sqnr_db(reference, program.run(arrays("tuning"), "adc").outputs["score"])


def test_no_other_percentile_is_clearly_better(reference: np.ndarray) -> None:
    default = quality(DEFAULT_PIPELINE, reference)
    for percentile in (99, 99.9, 100):
        line = DEFAULT_PIPELINE.replace("quantize{", f"quantize{{percentile={percentile} ")
        assert quality(line, reference) < default + 0.5


def test_calibrated_ranges_and_sign_phases_are_better(reference: np.ndarray) -> None:
    default = quality(DEFAULT_PIPELINE, reference)
    free = DEFAULT_PIPELINE.replace("choose-adc-steps", "choose-adc-steps{ranges=clip-free}")
    assert quality(free, reference) < default - 5
    offset = "tsinghua28{array.signed_inputs=offset}"
    assert quality(DEFAULT_PIPELINE, reference, offset) < default - 2
