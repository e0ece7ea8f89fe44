"""Models as exporters wrote them: all compile, run and agree with onnxruntime's recorded outputs.

A model that is right because the host does it, or at any price, is no success: the quality of each is golden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

import cimc
from cimc.compare.check import Bound, check_outputs
from tests.conftest import CORPUS
from tests.quality import CheckQuality, of_program

FILES = sorted(CORPUS.glob("*.onnx"))
pytestmark = pytest.mark.skipif(not FILES, reason="the corpus of exported models is not here")


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_compiles_runs_and_agrees(path: Path, golden_quality: CheckQuality) -> None:
    with np.load(path.with_suffix(".npz")) as arrays:
        inputs = {k.removeprefix("in__"): arrays[k] for k in arrays if k.startswith("in__")}
        outputs = {k.removeprefix("out__"): arrays[k] for k in arrays if k.startswith("out__")}
    program = cimc.compile(path, calib=inputs)
    for mode in ("exact", "adc"):
        result = program.run(inputs, mode=mode)
        assert set(result.outputs) == set(outputs)
        check = check_outputs(outputs, result.outputs, Bound())
        assert check.passed, (mode, [o.failures for o in check.outputs])
        for name, expected in outputs.items():
            assert result.outputs[name].shape == expected.shape
            assert result.outputs[name].dtype == expected.dtype
    golden_quality("corpus", path.stem, of_program(program, result.cost))


def test_golden_metrics_are_of_these_models(golden_names: Callable[[str, Iterable[str]], None]) -> None:
    golden_names("corpus", [path.stem for path in FILES])
