"""Seconds and memory of every run of a pass."""

from __future__ import annotations

import pytest
from xdsl.dialects.builtin import ModuleOp

from cimc.instrument import Timing, Timings, timings
from cimc.ir.text import new_context
from cimc.transforms.pipeline import Pipeline
from tests.transforms.stand_ins import Ask, Hold, Mark


def test_every_run_has_a_row_and_what_did_not_fit_says_so() -> None:
    times = Timings()
    line = Pipeline((Mark("first"), Ask("ask", 4), Hold("hold")))
    line.run(ModuleOp([]), new_context(), [times])
    rows = [("mark", True), ("ask", True), ("hold", False), ("ask#2", True), ("hold#2", True)]
    assert [(row.name, row.fitted) for row in times.rows] == rows
    assert all(row.seconds > 0 for row in times.rows)
    assert times.to_json() == {
        "timings": {row.name: row.seconds for row in times.rows},
        "peak_growth": {row.name: row.peak_growth for row in times.rows},
    }
    line.run(ModuleOp([]), new_context(), [times])  # a new run, new rows
    assert len(times.rows) == 5


def test_the_table() -> None:
    times = Timings()
    times.rows = [Timing("canonicalize", 0.25, 0), Timing("quantize", 1.5, 2_000_000, fitted=False)]
    assert times.table().splitlines() == [
        "    0.250 s  canonicalize           +0 B",
        "    1.500 s  quantize          +1.91 MiB  does not fit",
        "    1.750 s  all passes        +1.91 MiB",
    ]


def test_memory_is_that_of_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = iter([100, 100, 100, 170, 175, 160])  # the system's count may even fall a little
    monkeypatch.setattr(timings, "peak_bytes", lambda: next(peaks))
    times = Timings()
    Pipeline((Mark("x"), Ask("y"), Mark("z"))).run(ModuleOp([]), new_context(), [times])
    assert times.to_json()["peak_growth"] == {"mark": 0, "ask": 70, "mark#2": 0}
