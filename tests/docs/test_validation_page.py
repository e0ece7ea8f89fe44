"""``docs/validation.md`` is what its program gives, and what misses is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from bench.validation import __main__ as program
from bench.validation import by_hand, noise_model, queues
from bench.validation.ir_drop import nodal
from bench.validation.rows import CONTEXT, HOLDS, MISSES, Row, Section, table

PAGE = (Path(__file__).parents[2] / "docs" / "validation.md").read_text(encoding="utf-8")
MISSED = {
    "papers": ["`asscc28`: throughput, TOPS, whole system"],
    "devices": ["`wan2022`, 1 s: mean of the standard deviations over eight levels, uS"],
    "ir-drop": ["512 x 512 cells of 10.7 uS, 1.19 ohm a cell: largest d that the model takes"],
}
"""Rows that miss, by section; one that begins to hold belongs off this list."""


@pytest.mark.parametrize("name", program.SECTIONS)
def test_a_section_is_on_the_page_and_holds(name: str) -> None:
    section = program.SECTIONS[name]()
    for row in section.rows:
        assert row.verdict != MISSES or row.reason, row.what
    assert [row.what for row in section.rows if row.verdict == MISSES] == MISSED.get(name, [])
    assert all((row.verdict == CONTEXT) == (name == "silicon") for row in section.rows)
    if name == "noise":  # numpy's products may round otherwise elsewhere
        for row in section.rows:
            assert f"| {row.what} | {row.ours:.4g} |" in PAGE
        return
    assert table(section) in PAGE


def test_verdicts() -> None:
    row = Row("x", 1.19, 1.0, 0.2, "paper")
    assert row.verdict == HOLDS
    assert replace(row, ours=1.21).verdict == MISSES
    assert replace(row, ours=0.79).verdict == MISSES
    assert replace(row, tolerance=None).verdict == CONTEXT
    assert replace(row, ours=-0.1, theirs=0.0, absolute=True).verdict == HOLDS
    shown = replace(row, ours=3.0, reason="a named limit").cells()
    assert shown[3:6] == ["3 x", "20 %", "**misses**: a named limit"]


def test_a_miss_without_a_reason_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def section(reason: str) -> Section:
        return Section("s", "about", (Row("x", 2.0, 1.0, 0.2, "paper", reason=reason),))

    for reason, code in (("", 1), ("a limit", 0)):
        monkeypatch.setattr(program, "SECTIONS", {"s": lambda reason=reason: section(reason)})
        assert program.main(["--json"]) == code
        assert '"verdict": "misses"' in capsys.readouterr().out


def test_by_hand_is_a_hand_calculation() -> None:
    """Other constants give other figures: the two are no copies of each other."""
    known = by_hand.constants("tsinghua28")
    assert by_hand.layer(known) == (pytest.approx(3970.41, abs=0.01), pytest.approx(2 * 23.08))
    assert by_hand.layer({**known, "array.row_pj": 3.064})[0] - by_hand.layer(known)[0] == pytest.approx(200)


def test_the_nodal_solution_is_ohms_law() -> None:
    """1 ohm, a cell of 40 ohm and 1 ohm in series; two cells on a word line as by hand."""
    assert nodal(np.array([[25_000.0]]), np.array([1.0]), 1.0) == pytest.approx([1e6 / 42])
    first, second = nodal(np.array([[1e5, 1e5]]), np.array([1.0]), 1.0)
    behind = 1 + 10 + 1  # ohm: wire, cell, bit line of the second column
    together = 1 / (1 / 11 + 1 / behind)
    assert first == pytest.approx(1e6 / (1 + together) * together / 11)
    assert second == pytest.approx(1e6 / (1 + together) * together / behind)


def test_the_numpy_model_is_the_model() -> None:
    model = onnx.load(noise_model.MODELS / "dlrm_small.onnx")
    weights = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
    requests = noise_model.load("calib")
    names = {i.name for i in model.graph.input}
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    want = session.run(None, {k: v for k, v in requests.items() if k in names})[0].ravel()
    odds, reach = noise_model.plain(weights, requests)
    np.testing.assert_allclose(1 / (1 + np.exp(-odds)), want, atol=1e-5)
    quiet = noise_model.Dlrm(weights, reach, None, 0)(requests)
    assert np.corrcoef(quiet, odds)[0, 1] > 0.998
    cut, places = noise_model.read_alone(weights, requests)
    np.testing.assert_array_equal(noise_model.Dlrm(cut, reach, None, 0)(places), quiet)


def test_queues_are_played_in_order() -> None:
    found = queues.played(np.array([[2.0, 1.0], [2.0, 1.0]]), np.array([0.0, 0.5]))
    np.testing.assert_allclose(found.finish, [3.0, 5.0])
