"""A sample of ONNX's node tests through the whole compiler; all of them: ``python -m bench.conformance``."""

from __future__ import annotations

import unittest
import warnings

import pytest

from bench.conformance.cases import Case, node_cases
from bench.conformance.judge import Outcome
from bench.conformance.run import BATCH, PARAMETERS, Row, judge_all
from bench.conformance.table import report
from cimc.backend import CimBackend

STEP = 113


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return list(judge_all(node_cases()[::STEP]))


def test_nothing_is_wrong_and_nearly_everything_passes(rows: list[Row]) -> None:
    assert [(r.name, r.bad) for r in rows if r.bad] == []
    counted = [r for r in rows if r.excluded is None]
    assert len(counted) > 0.7 * len(rows)
    assert sum(r.passed for r in counted) > 0.9 * len(counted)
    assert sum(bool(r.units) for r in counted) > 0.2 * len(counted)


def test_what_does_not_pass_says_why(rows: list[Row]) -> None:
    failed = [v for r in rows for v in r.verdicts.values() if v.outcome is not Outcome.PASSED]
    assert all(v.detail and (v.code or v.outcome is not Outcome.REFUSED) for v in failed)


def test_report_counts_every_test_once(rows: list[Row]) -> None:
    text = report(rows)
    assert f"| in all | {len(rows)} |" in text
    assert f"| **passed in all** | **{sum(r.passed for r in rows)}** |" in text


@pytest.mark.parametrize(
    "name",
    [
        "test_gemm_transposeB",
        "test_gemm_default_scalar_bias",
        "test_matmul_2d",
        "test_batchnorm_epsilon",
        "test_reduce_l2_negative_axes_keep_dims_random",
        "test_affine_grid_2d_expanded",
    ],
)
def test_chip_does_the_work(name: str) -> None:
    case = next(c for c in node_cases() if isinstance(c, Case) and c.name == name)
    (row,) = judge_all([case])
    assert row.passed
    assert row.units
    if "arrays" in row.units:
        assert {form for (form, _), v in row.verdicts.items() if "arrays" in v.units} & {PARAMETERS, BATCH}


def test_backend_passes_under_the_runner_of_onnx() -> None:
    from onnx.backend.test.runner import Runner

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner = Runner(CimBackend, __name__).include("^test_(gemm_default|softmax_axis)[^d]*_cpu$")
        suite = unittest.TestSuite(
            unittest.defaultTestLoader.loadTestsFromTestCase(runner.test_cases["OnnxBackendNodeModelTest"])
        )
        result = unittest.TestResult()
        suite.run(result)
    assert result.errors == []
    assert result.failures == []
    assert result.testsRun - len(result.skipped) >= 8
