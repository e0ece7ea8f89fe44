"""Measures of a task, points over seeds, and how a sweep is shown."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cimc.errors import CimcError
from cimc.metrics import scores
from cimc.metrics.intervals import DELONG, Estimate
from cimc.metrics.two_way import TWO_WAY, Sample
from cimc.report.blocks import plain
from cimc.study.accuracy_measures import Answers, Point, Retrieval, Study, Task, measure, over, sample
from cimc.study.accuracy_view import as_csv, blocks, draw

RNG = np.random.default_rng(3)
LABELS = np.arange(40) % 3 == 0
ODDS = RNG.normal(LABELS, 1.0)[:, None].astype(np.float32)
SCORES = (1 / (1 + np.exp(-ODDS))).astype(np.float32)


def test_clicks_are_measured_by_the_definitions() -> None:
    noisy = np.clip(SCORES + RNG.normal(0, 0.05, SCORES.shape), 0, 1).astype(np.float32)
    found = measure(Task("y", LABELS), Answers({"y": noisy}), Answers({"y": SCORES}))
    assert list(found) == ["auc", "auc_drop", "log_loss", "ne", "sqnr_db"]
    assert found["auc"].value == scores.auc(LABELS, noisy)
    assert found["auc"].method == DELONG
    assert found["auc_drop"].value == scores.auc(LABELS, SCORES) - scores.auc(LABELS, noisy)
    assert found["log_loss"].value == pytest.approx(scores.log_loss(LABELS, noisy), rel=1e-12)
    assert found["ne"].value == pytest.approx(scores.normalised_entropy(LABELS, noisy), rel=1e-12)
    assert found["sqnr_db"].value == scores.sqnr_db(SCORES, noisy)


def test_log_odds_need_to_be_called_so() -> None:
    plain_scores = measure(Task("y", LABELS), Answers({"y": ODDS}), None)
    assert list(plain_scores) == ["auc"]  # not probabilities: no log loss
    called = measure(Task("y", LABELS, logits=True), Answers({"y": ODDS}), None)
    assert called["log_loss"].value == pytest.approx(scores.log_loss(LABELS, SCORES), rel=1e-5)


def retrieval(**changes: Any) -> Retrieval:
    fields: dict[str, Any] = {
        "query": "q", "item": "i", "scores": "", "ks": (1, 2), "queries": np.array([0, 2]),
        "relevant": np.array([7, 9]), "ids": np.array([7, 8, 9]), "rows": np.array([0, 1, 2]),
    }  # fmt: skip
    return Retrieval(**(fields | changes))


def test_recall_within_the_requests_by_vectors_and_by_scores() -> None:
    vectors = np.eye(3, dtype=np.float32)
    queries = np.array([[3, 2, 1], [0, 0, 0], [1, 2, 0]], np.float32)  # the third finds 8, 7, 9
    outputs = {"q": queries, "i": vectors}
    found = measure(Task("q", retrieval=retrieval()), Answers(outputs), None)
    assert [found[f"recall@{k}"].value for k in (1, 2)] == [0.5, 0.5]
    by_scores = retrieval(query="", item="", scores="s", rows=None)
    task = Task("s", retrieval=by_scores)
    assert task.outputs == ("s",)
    assert measure(task, Answers({"s": queries @ vectors.T}), None)["recall@2"] == found["recall@2"]
    corpus = retrieval(rows=None)
    assert Task("q", retrieval=corpus).outputs == ("q",)
    assert measure(Task("q", retrieval=corpus), Answers(outputs, vectors), None) == found


def test_overlap_with_the_reference() -> None:
    vectors = np.eye(3, dtype=np.float32)
    right = {"q": np.array([[3, 2, 1], [0, 0, 0], [1, 2, 0]], np.float32), "i": vectors}
    wrong = {"q": np.array([[3, 1, 2], [0, 0, 0], [1, 2, 0]], np.float32), "i": vectors}
    found = measure(Task("q", retrieval=retrieval()), Answers(wrong), Answers(right))
    assert found["overlap@1"].value == 1.0
    assert found["overlap@2"].value == 0.75


def test_scores_that_are_not_finite_are_refused() -> None:
    broken = SCORES.copy()
    broken[3] = np.nan
    with pytest.raises(CimcError) as caught:
        measure(Task("y", LABELS), Answers({"y": broken}), None)
    assert caught.value.code == "accuracy.not-finite"


def test_several_seeds_become_means_with_their_own_interval() -> None:
    rng = np.random.default_rng(0)
    chips = [np.clip(SCORES + rng.normal(0, 0.1, SCORES.shape), 0, 1) for _ in range(3)]
    task, reference = Task("y", LABELS), Answers({"y": SCORES})
    found = over([sample(task, Answers({"y": chip}), reference) for chip in chips])
    alone = [measure(task, Answers({"y": chip}), reference) for chip in chips]
    for name in ("auc", "auc_drop", "log_loss", "ne", "sqnr_db"):
        assert found[name].value == pytest.approx(np.mean([each[name].value for each in alone]))
        assert found[name].method == TWO_WAY
    # requests count, not chips alone
    assert found["auc"].high - found["auc"].low > 0.7 * (alone[0]["auc"].high - alone[0]["auc"].low)  # type: ignore[operator]


def sweep() -> Study:
    def metric(value: float) -> dict[str, Estimate]:
        return {"auc": Estimate(value, value - 0.01, value + 0.01, DELONG), "sqnr_db": Estimate(float("inf"))}

    points = [
        Point({"adc_bits": bits, "mode": mode}, metric(0.6 + 0.01 * bits))
        for bits in (4, 6)
        for mode in ("exact", "adc")
    ]
    failed = {"code": "shard.adc-range", "message": "out of reach"}
    points.append(Point({"adc_bits": 8, "mode": "adc"}, {}, error=failed))
    about = {
        "model": "m.onnx",
        "target": "t",
        "requests": 40,
        "positives": 14,
        "queries": None,
        "items": None,
    }
    axes = {"adc_bits": (4, 6, 8), "mode": ("exact", "adc")}
    reference = {"auc": Estimate(0.9, 0.8, 1.0, DELONG)}
    return Study(about, reference, tuple(points), axes, ("a note",))


def test_the_table_says_what_is_not_possible() -> None:
    text = plain(blocks(sweep()))
    assert "float model" in text
    assert "0.6400 [0.6300, 0.6500]" in text
    assert "adc_bits 8, mode adc: out of reach" in text
    assert f"95 %, {DELONG}: AUC" in text
    assert "a note" in text


def test_csv_has_a_line_per_point() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(sweep()))))
    assert [row["adc_bits"] for row in rows] == ["float", "4", "4", "6", "6", "8"]
    assert rows[1]["auc"] == "0.64"
    assert rows[1]["auc_low"] == repr(0.64 - 0.01)
    assert rows[1]["sqnr_db"] == "inf"
    assert rows[-1]["error"] == "shard.adc-range"


def test_figures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        draw(sweep(), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    draw(sweep(), tmp_path / "mode.svg", x="mode")
    assert (tmp_path / "mode.svg").read_bytes() != (tmp_path / "a.svg").read_bytes()
    with pytest.raises(CimcError, match="not measured") as caught:
        draw(sweep(), tmp_path / "c.svg", ["recall@10"])
    assert caught.value.code == "accuracy.no-metric"
    with pytest.raises(CimcError, match="does not vary") as caught:
        draw(sweep(), tmp_path / "c.svg", x="age")
    assert caught.value.code == "accuracy.no-axis"


def test_a_figure_over_ages_draws_modes_without_age_as_lines(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    metric = {"auc": Estimate(0.7)}
    points = [Point({"mode": "adc", "device": None, "age": None}, metric)]
    points += [
        Point({"mode": "noisy", "device": "d", "age": age}, metric, (0,)) for age in (0.0, 1.0, 86400.0)
    ]
    axes = {"mode": ("adc", "noisy"), "age": (None, 0.0, 1.0, 86400.0)}
    draw(
        Study({"model": "m", "target": "t", "requests": 3}, {}, tuple(points), axes),
        tmp_path / "a.svg",
        x="age",
    )
    assert (tmp_path / "a.svg").stat().st_size > 1000


def test_a_measure_that_a_seed_lacks_is_left_out_and_shares_stay_within_bounds() -> None:
    each = np.linspace(0, 1, 9), np.linspace(0.9, 1, 9)
    few = {"auc": Sample(0.99, each, DELONG, bounded=True), "log_loss": Sample(0.3, each, "")}
    found = over([few, {"auc": Sample(0.9, each, DELONG, bounded=True)}])
    assert list(found) == ["auc"]
    assert found["auc"].high == 1.0


def test_a_figure_of_a_single_point(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    about = {"model": "m", "target": "t", "requests": 2}
    alone = Study(about, {}, (Point({"mode": "adc"}, {"auc": Estimate(0.5, 0.4, 0.6, DELONG)}),))
    draw(alone, tmp_path / "one.svg")
    assert (tmp_path / "one.svg").stat().st_size > 1000
