"""The first screen of a run."""

from __future__ import annotations

from dataclasses import replace

from cimc.compare.check import Bound, Check
from cimc.report.screen.answers import LONGEST
from cimc.report.screen.run_screen import run_screen
from tests.report.test_summary import GOOD, run


def test_every_question_has_an_answer() -> None:
    shown = run_screen(run(Check(Bound(), (GOOD,))), "p.cimc", "r.npz", [("CPU", "2x its requests/s")])
    labels = [label for label, _ in shown.lines]
    for label in (
        "requests",
        "fits",
        "on chip",
        "accuracy",
        "throughput",
        "latency",
        "energy",
        "power",
        "CPU",
        "assumed",
        "to try",
    ):
        assert label in labels
    assert 1 + len(shown.lines) <= LONGEST


def test_what_to_try_depends_on_what_was_given() -> None:
    bare = [text for _, text in run_screen(run(), "p.cimc", "r.npz").lines]
    assert any(text.startswith("--check") for text in bare)
    assert any(text.startswith("cimc baseline") for text in bare)
    full = [
        text for _, text in run_screen(run(Check(Bound(), (GOOD,))), "p.cimc", "r.npz", [("CPU", "")]).lines
    ]
    assert not any(text.startswith(("--check", "cimc baseline")) for text in full)
    assert any(text.startswith("cimc simulate p.cimc --inputs r.npz") for text in full)


def test_a_failed_check_says_what_may_help_first() -> None:
    bad = Check(Bound(), (replace(GOOD, failures=("far off",)),))
    lines = dict(run_screen(run(bad), "p.cimc", "r.npz", remedies=["use more bits"]).lines)
    assert lines["accuracy"] == "FAILS: output 'y': far off"
    assert lines["to try"] == "cimc compile: use more bits"
