"""Descriptions: what is wrong with one is said, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cimc.study.planning.describe_model import describe_model, described, measured_steps, save_description
from cimc.study.planning.description import PlanError, load_description, parse_description
from cimc.workload.traces import Trace
from cimc.workload.traces.trace import TableTrace
from tests.cli.tiny_files import call

GOOD = """
name: small
dense: {features: 13, bottom: [64, 16], top: [32, 1]}
tables:
  - {name: a, count: 2, rows: 1000, dim: 16, pooling: 4, skew: 0.9}
  - {name: b, rows: 10, dim: 16, cdf: [[1, 0.5], [10, 1.0]]}
"""
MODELS = Path(__file__).parents[3] / "models"


def test_sizes_follow() -> None:
    found = parse_description(GOOD, "x.yaml")
    assert found.width == 16 + 4 * 3 // 2
    assert found.parameters == 2010 * 16 + 13 * 64 + 64 * 16 + 22 * 32 + 32
    assert [each.varying for each in found.tables] == [False, False]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("skew: 0.9", "skew: 0.9, heat: 3", "heat (line 5): is not a known key"),
        ("rows: 1000", "rows: -5", "rows (line 5): input should be greater than or equal to 1, got -5"),
        ("skew: 0.9", "skew: 7", "skew (line 5): input should be less than or equal to 4"),
        ("skew: 0.9", "", "either skew or cdf"),
        ("[1, 0.5], ", "[20, 0.5], ", "ascends, in rows and in shares"),
        ("[10, 1.0]", "[10, 0.9]", "ends in [10, 1.0]"),
        ("name: b", "name: a", "two classes of tables are called a"),
        ("dim: 16, cdf", "dim: 8, cdf", "vectors of one length"),
        ("bottom: [64, 16]", "bottom: []", "bottom"),
        ("pooling: 4", "pooling: .inf", "pooling"),
        ("pooling: 4", "pooling: 4.5, lengths: fixed", "not all alike"),
        ("pooling: 4", "pooling: 4, lengths: [[1, 0.5], [9, 0.5]]", "their mean is 5, not 4"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, said: str) -> None:
    with pytest.raises(PlanError) as refused:
        parse_description(GOOD.replace(old, new), "x.yaml")
    assert refused.value.code == "plan.invalid"
    assert said in str(refused.value)


def test_no_yaml_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"plan\.syntax"):
        parse_description("tables: [", "x.yaml")
    with pytest.raises(PlanError, match=r"plan\.unreadable"):
        load_description(tmp_path / "missing.yaml")


def test_a_model_at_hand_is_described(tmp_path: Path) -> None:
    model, trace = MODELS / "dlrm_small.onnx", MODELS / "dlrm_small.trace.npz"
    found = described(model, trace)
    assert (found.dense.bottom, found.dense.top) == ((64, 32, 16), (64, 32, 1))
    assert (found.interaction, len(found.tables)) == ("dot", 26)
    heavy = found.tables[2]
    assert (heavy.rows, heavy.varying, heavy.mode) == (100_000, True, "sum")
    assert heavy.pooling == pytest.approx(10.28, abs=0.01)
    save_description(found, tmp_path / "out.yaml")
    assert load_description(tmp_path / "out.yaml") == found


def test_a_trace_that_says_nothing() -> None:
    with pytest.raises(PlanError, match=r"the trace says nothing of table .* \[plan\.not-described\]"):
        describe_model(MODELS / "dlrm_small.onnx", Trace({}))


def test_an_onnx_model_needs_a_trace() -> None:
    found = call("plan", MODELS / "dlrm_small.onnx", "--json")
    assert (found.code, found.json["error"]["code"]) == (2, "plan.no-trace")


def test_another_kind_of_model_is_refused() -> None:
    found = call(
        "plan", MODELS / "twotower_small.onnx", "--trace", MODELS / "twotower_small.trace.npz", "--json"
    )
    assert (found.code, found.json["error"]["code"]) == (2, "plan.not-described")


def test_measured_steps_end_in_all_rows() -> None:
    import numpy as np

    seen = TableTrace("t", 50, 10, np.array([3, 5, 9]), np.array([1, 6, 3]))
    steps = measured_steps(seen, 50)
    assert steps[0] == (1.0, 0.54)
    assert steps[-2:] == ((3.0, 0.9), (50.0, 1.0))
