"""The table of a baseline says what was measured, and what was not."""

from __future__ import annotations

from cimc.report.blocks import plain
from cimc.study.baseline.measured_table import baseline_blocks
from tests.study.baseline.baselines import BASELINE


def test_rows_power_and_notes_are_shown() -> None:
    text = plain(baseline_blocks(BASELINE))
    assert "20,000 requests/s: fused fp32, batch 16, 1 thread" in text
    assert "no row of onnxruntime int8: not installed" in text
    assert "power of the CPU is not measured: no counters" in text
    assert text.count("onnxruntime fp32  ") == 3
