"""The first screen of a compilation."""

from __future__ import annotations

from pathlib import Path

import pytest

from cimc.cost.on_chip import OnChip, Split, on_chip
from cimc.report import placement
from cimc.report.screen.program_screen import program_screen
from tests.cost.cost_programs import TSINGHUA
from tests.report.test_summary import MADE


def lines_of(tmp_path: Path, found: OnChip, calibrated: bool) -> list[tuple[str, str]]:
    path = tmp_path / "p.cimc"
    path.write_bytes(b"123")
    return list(program_screen(MADE, TSINGHUA, found, path, calibrated).lines)


def test_what_was_written_and_what_it_holds(tmp_path: Path) -> None:
    lines = dict(lines_of(tmp_path, on_chip(MADE), True))
    assert lines["written"].endswith("p.cimc (3 B)")
    assert lines["layers"] == "1: 32,768 weights of 4 bits"
    assert lines["instances"] == "1"
    assert lines["to try"].startswith("cimc run ")


def test_invented_requests_and_a_host_part_are_pointed_out(tmp_path: Path) -> None:
    partly = OnChip(Split(1.0, 0.0, 1.0), Split(0.0, 0.0, 0.0), first=("n", "Op", "why"))
    texts = [text for _, text in lines_of(tmp_path, partly, False)]
    assert any(text.startswith("cimc inspect") for text in texts)
    assert any(text.startswith("--calib") for text in texts)


def test_what_the_host_does_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosted = [{"segment": 0, "nodes": 2, "reasons": ["why"]}]
    monkeypatch.setattr(placement, "hosts", lambda program: hosted)
    lines = dict(lines_of(tmp_path, on_chip(MADE), True))
    assert lines["host"] == "2 ONNX nodes in 1 segment, in no figure of time and energy"
