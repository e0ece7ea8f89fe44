"""Small models of kinds that users bring: each compiles, runs, and agrees with onnxruntime's outputs.

What does not is listed with its reason; a case of the list that passes must be taken off it.  The share on
chip of each is golden, so that none becomes right by staying on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.cost.on_chip import OnChip
from tests.conftest import ROOT
from tests.shares import CheckShare

CASES = sorted(p.parent for p in (ROOT.parent / "shared" / "cases").glob("*/model.onnx"))
pytestmark = pytest.mark.skipif(not CASES, reason="the cases are not here")

FAILING: dict[str, str] = {
    # mended next: ids that feed two lookups
    "shared_ids_wide_deep": "one id tensor feeds a pooled and an unpooled lookup: a port of two kinds",
    "shared_ids_fm": "one id tensor feeds a pooled and an unpooled lookup: a port of two kinds",
    # mended next: calibration of sparse inputs and of models that come quantised
    "sparse_input_1e-4": "the default percentile clips an input of which hardly any element is not zero",
    "qdq_sasrec": "attention of a quantised model goes to the chip in part, on coarse grids",
    # mended next: judging ranks and codes
    "topk_retrieval": "ranks are compared one by one, near ties may trade places",
    "rqvae_codes": "a near tie of two codes flips, and all that is rebuilt from it differs",
}
"""Case -> why it does not compile, or not agree, yet."""


def run(case: Path) -> dict[str, tuple[OnChip, list[str]]]:
    """Per mode: the share on chip, and what does not agree."""
    with np.load(case / "inputs.npz") as inputs, np.load(case / "expected.npz") as outputs:
        requests, expected = dict(inputs), dict(outputs)
    program = cimc.compile(case / "model.onnx", calib=requests)
    found = {}
    for mode in ("exact", "adc"):
        result = program.run(requests, mode=mode)  # type: ignore[arg-type]
        check = check_outputs(expected, result.outputs, Bound())
        found[mode] = (result.on_chip, [f"{o.name}: {text}" for o in check.outputs for text in o.failures])
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda p: p.name)
def test_case(case: Path, request: pytest.FixtureRequest, golden_share: CheckShare) -> None:
    reason = FAILING.get(case.name)
    if reason is not None:
        request.applymarker(
            pytest.mark.xfail(reason=reason, strict=True, raises=(AssertionError, cimc.CimcError))
        )
    found = run(case)
    failures = {mode: texts for mode, (_, texts) in found.items() if texts}
    assert not failures
    for on_chip, _ in found.values():
        golden_share("cases", case.name, on_chip)


def test_lists_are_of_these_cases(golden_names: Callable[[str, Iterable[str]], None]) -> None:
    names = [case.name for case in CASES]
    assert set(FAILING) <= set(names)
    golden_names("cases", names)
