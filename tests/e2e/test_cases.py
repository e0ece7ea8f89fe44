"""Small models of kinds that users bring: each compiles, runs, and agrees with onnxruntime's outputs.

What does not is listed with its reason; a case of the list that passes must be taken off it.  The quality
of each is golden, so that none becomes right by staying on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.compare.following import check_choices_and_outputs, follow
from cimc.host.choices import Recorder
from tests.conftest import ROOT
from tests.quality import CheckQuality, Metrics, of_program

CASES = sorted(p.parent for p in (ROOT.parent / "shared" / "cases").glob("*/model.onnx"))
pytestmark = pytest.mark.skipif(not CASES, reason="the cases are not here")

FAILING: dict[str, str] = {
    "qdq_sasrec": "attention of a quantised model goes to the chip in part, on coarse grids",
}
"""Case -> why it does not compile, or not agree, yet."""


def run(case: Path) -> dict[str, tuple[Metrics, list[str]]]:
    """Per mode: the metrics, and what does not agree."""
    with np.load(case / "inputs.npz") as inputs, np.load(case / "expected.npz") as outputs:
        requests, expected = dict(inputs), dict(outputs)
    program = cimc.compile(case / "model.onnx", calib=requests)
    found = {}
    for mode in ("exact", "adc"):
        recorder = Recorder()
        result = program.run(requests, mode=mode, choices=recorder)  # type: ignore[arg-type]
        reference, _ = follow(case / "model.onnx", requests, list(expected), recorder.found, Bound())
        check = check_choices_and_outputs(reference, result.outputs, Bound())
        if not check.choices:
            check = check_outputs(expected, result.outputs, Bound())
        found[mode] = (of_program(program, result.cost), check.failures)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda p: p.name)
def test_case(case: Path, request: pytest.FixtureRequest, golden_quality: CheckQuality) -> None:
    reason = FAILING.get(case.name)
    if reason is not None:
        request.applymarker(
            pytest.mark.xfail(reason=reason, strict=True, raises=(AssertionError, cimc.CimcError))
        )
    found = run(case)
    failures = {mode: texts for mode, (_, texts) in found.items() if texts}
    assert not failures
    for metrics, _ in found.values():
        golden_quality("cases", case.name, metrics)


def test_lists_are_of_these_cases(golden_names: Callable[[str, Iterable[str]], None]) -> None:
    names = [case.name for case in CASES]
    assert set(FAILING) <= set(names)
    golden_names("cases", names)
