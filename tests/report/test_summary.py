"""What a run prints, from a small program and made-up checks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from cimc.compare.check import Bound, Check, OutputCheck
from cimc.cost import estimate
from cimc.report.blocks import Facts, Table, plain
from cimc.report.summary import (
    Run,
    check_blocks,
    cost_blocks,
    header_json,
    output_block,
    plugin_lines,
    program_block,
    run_blocks,
    run_json,
    static_block,
)
from cimc.sim.activity import Activity
from tests.cost.cost_programs import TSINGHUA, dense, layer, load, mvm, program, quant, store

MADE = program(
    {9: [load(512), quant(512, 0, 2048), mvm(2048, 4096), store(64, 4096)]},
    [(layer("w", 512, 64), [(0, 512, 0, 64, 9, 0, 0)])],
    inputs=[dense(512)],
    outputs=[dense(64)],
)
COST = estimate(MADE, TSINGHUA, Activity(requests=1))
GOOD = OutputCheck("y", 31.2, 0.01, 2.0, 0.5, 0, None, None, None, ())


def run(check: Check | None = None) -> Run:
    outputs = {"y": np.zeros((3, 64), np.float32)}
    return Run(MADE, TSINGHUA, "adc", 3, outputs, COST, 0.5, 0.1, check)


def test_what_identifies_a_program() -> None:
    header = replace(MADE.header, notes=("a note",), plugins=(("mine", "1", "abc"),))
    made = replace(MADE, header=header)
    found = header_json(made)
    assert found["target"] == "tsinghua28"
    assert found["notes"] == ["a note"]
    assert list(found["plugins"][0].values()) == ["mine", "1", "abc"]
    assert len(plugin_lines(made)) == 1
    text = plain([program_block(made)])
    assert "a note" in text


def test_a_run_says_mode_speed_and_cost() -> None:
    text = plain(run_blocks(run()))
    assert "3 in mode adc" in text
    assert "0.500 s on this machine" in text
    assert "Accuracy" not in text
    assert "Accuracy: mode adc" in plain(run_blocks(run(Check(Bound(), (GOOD,)))))


def test_json_has_a_part_for_everything() -> None:
    found = run_json(run())
    assert set(found) == {
        "program", "mode", "requests", "outputs", "check", "placement", "on_chip", "cost", "simulation",
    }  # fmt: skip
    assert found["outputs"]["y"]["shape"] == [3, 64]
    assert found["check"] is None
    assert run_json(run(Check(Bound(), (GOOD,))))["check"] is not None


def test_outputs_by_type_and_shape() -> None:
    block = output_block({"y": np.zeros((3, 2), np.float32), "n": np.zeros(3, np.int64)})
    assert isinstance(block, Table)
    assert [row[:2] for row in block.rows] == [("y", "float32"), ("n", "int64")]


def test_a_check_shows_what_is_beyond_the_bound() -> None:
    bad = replace(
        GOOD, name="z", sqnr_db=math.nan, auc_reference=0.81234, auc=0.8, not_finite=4, failures=("far off",)
    )
    rows, lines = check_blocks(Check(Bound(), (GOOD, bad), ("a note",)), "")
    assert isinstance(rows, Table)
    assert isinstance(lines, Facts)
    assert rows.rows[0] == ("y", "0.01", "2", "31.2 dB", "-", "-", "-", "passes")
    assert rows.rows[1][3:] == ("-", "0.8123", "0.8000", "-", "FAILS: far off")
    assert ("note", "a note") in lines.lines
    assert any("'z': 4 elements not finite" in text for _, text in lines.lines)


def test_figures_say_what_they_include() -> None:
    text = plain(cost_blocks(COST))
    for part in ("Time", "Energy by component", "Static power", "Area", "docs/cost.md", "weakest constant"):
        assert part in text


def test_static_energy_depends_on_the_load() -> None:
    busy, idle = (plain([static_block(COST, load, "at this load")]) for load in (1e6, None))
    assert "at this load" in busy
    assert "at this load" not in idle
