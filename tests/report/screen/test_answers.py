"""Lines that first screens share, and how a screen keeps to its length."""

from __future__ import annotations

from dataclasses import replace

from cimc.cost.on_chip import OnChip, Split
from cimc.report.screen.answers import LONGEST, constants, done_on_chip, fits, screen, served, spent
from tests.report.test_summary import COST


def test_what_to_try_gives_way_and_a_note_always_stays() -> None:
    answers = [(f"a{n}", "x") for n in range(LONGEST - 3)]
    shown = screen("t", answers, ["n1", "n2", "n3"], [("c", "one"), ("d", "two"), ("e", "three")])
    assert 1 + len(shown.lines) == LONGEST
    assert shown.lines[: len(answers)] == tuple(answers)
    assert [line for line in shown.lines if line[0] == "to try"] == [("to try", "c: one")]
    notes = [text for label, text in shown.lines if label == "assumed"]
    assert notes == ["n1 (and 2 more notes: --details)"]


def test_many_notes_are_counted() -> None:
    shown = dict(screen("t", [], [f"n{i}" for i in range(9)], []).lines)
    assert shown["assumed"] == "n0"
    assert shown[""] == "n2 (and 6 more notes: --details)"


def test_what_a_machine_holds() -> None:
    label, text = fits({"chips": 1, "chips_used": 1, "arrays": 512, "arrays_used": 7, "cells_used": 0.25})
    assert (label, text) == ("fits", "1 of 1 chip, 7 of 512 arrays, 25.0 % of their cells")


def test_shares_on_chip_with_the_node_at_fault() -> None:
    found = OnChip(Split(3.0, 0.0, 1.0), Split(0.0, 0.0, 0.0), 5, ("x (F): why",), ("n", "Op", "reason"))
    texts = [text for _, text in done_on_chip(found)]
    assert texts[0] == "75.0 % of MACs"  # nothing is looked up: no share of it
    assert texts[1] == "node 'n' (Op) works on the host: reason"
    assert texts[2] == "time, energy and power are of the part on chip"
    assert texts[3] == "not counted: x (F): why"
    unknown = OnChip(Split(None, 0.0, None), Split(1.0, 0.0, 0.0))
    assert done_on_chip(unknown)[0] == ("on chip", "MACs not known, 100.0 % of looked-up values")


def test_throughput_with_its_limit_and_energy_by_scope() -> None:
    lines = dict(served(COST))
    assert COST.bottleneck in str(lines["throughput"])
    assert "could do" in str(lines[""])
    energy, power = (str(text) for _, text in spent(COST, 1e6, "at that rate")[:2])
    assert [part in energy for part in ("arrays and ADCs", "dynamic", "static")] == [True] * 3
    assert "at that rate" in power
    assert "idle" in power
    alone = str(spent(COST, None, "")[1][1])
    assert alone.endswith("idle")
    assert ";" not in alone


def test_what_figures_rest_on() -> None:
    (texts,) = constants(COST)
    assert "assumed" in texts
    hosted = constants(replace(COST, host_segments=2))
    assert "2 host segments in no figure of time, energy and power" in hosted
