"""``docs/sentence.md``: verdicts and tables on invented terms, and the page's own arithmetic."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench import sentence
from bench.sentence import ALONE, BOUND, FULL, WHOLE, Study
from cimc.study.baseline.constant_sensitivity import Sensitivity
from cimc.study.baseline.published_ratios import ANCHORED, AtLoad, Reference, lines_of
from cimc.study.baseline.scopes import CostTerms
from tests.study.baseline.baselines import BASELINE

PAGE = (Path(__file__).parents[2] / "docs" / "sentence.md").read_text(encoding="utf-8")
SCOPES = ("arrays", "chip, dynamic", WHOLE)
TERMS = CostTerms(80.0, {"ADC": 80.0, "router": 20.0}, 4.0)
CPUS = (Reference("fused fp32", "fp32", 1e6, 1e5), Reference("fused fp32, 64 cores", "fp32", 3.2e7, 1e5))
LOADS = (AtLoad(BOUND, 2e8, "a link"), AtLoad(FULL, 1e8, "a queue"), AtLoad(ALONE, 1e6, "latency", True))
LINES = tuple(lines_of("m", LOADS, TERMS, 2.0, [*CPUS, ANCHORED]))
MOVED = Sensitivity("tile.x", "1 W", "assumed", (1.0, 1.0), (2.0, 0.5))
STUDY = Study("m", "one chip", BASELINE, LOADS, LINES, (MOVED,))


def test_the_verdict_names_scope_load_baseline_and_limit() -> None:
    whole, cores, hand, where = sentence.verdicts(STUDY)
    for part in ("whole to whole", WHOLE, FULL, "64 cores", "3.12x", "66x **not reached**", "a queue"):
        assert part in whole
    assert "166x the queries per joule, 181x **not reached**" in whole  # 1e8 / (0.01 + 4 + 2) / 1e5
    assert "largest term: static power (67%)" in whole
    assert "to spare -0.485 W" in whole  # 1e8 / (181 x 1e5) - 6.01
    assert "Power is 0.019 of the CPU's, 0.365 in the sentence" in whole  # 6.01 W of 64 x 5
    assert "4: 47.6x" in cores  # three more cores of 5 W: 166.4 x 6.01 / 21.01
    assert "100x the queries per second, 66x reached" in hand
    assert "in 5 of 18 rows" in where


def test_both_figures_are_reached_where_the_rows_say_so() -> None:
    where = sentence.verdicts(STUDY)[-1]
    for scope, load in (("arrays", BOUND), ("chip, dynamic", FULL), (WHOLE, BOUND)):
        assert f"{scope}, {load}: fused fp32" in where
    assert f"{WHOLE}, {FULL}" not in where


def test_all_scopes_stand_side_by_side() -> None:
    head, _, *rows = sentence.side_by_side(STUDY)
    assert all(f"x requests/J, {scope}" in head for scope in SCOPES)
    assert len(rows) == len(LOADS) * 3
    assert rows[3] == (
        f"| {FULL} | fused fp32 | fp32 | 100x reached | 125,000x reached | 100,000x reached "
        "| 166x **not reached** |"
    )


def test_a_constant_at_half_and_twice() -> None:
    row = sentence.moved_table(STUDY)[2]
    now = 2e8 / (0.02 + 4 + 2) / 1e5
    assert row.endswith(f"| {2 * now:,.0f}x | {now:,.0f}x | {now / 2:,.0f}x |")


def test_people_and_programs_get_all_rows() -> None:
    text = sentence.page([STUDY])
    assert "retrieval: not yet available" in text
    assert "repeat before quoting" in text
    assert text.count("| m |") == len(LINES) == len(STUDY.to_json()["lines"])


def test_without_a_socket_there_is_no_verdict_of_whole_to_whole() -> None:
    alone = replace(STUDY, lines=tuple(x for x in LINES if "cores" not in x.baseline))
    assert not any("whole to whole" in text for text in sentence.verdicts(alone))


def _rows() -> list[list[str]]:
    table = PAGE.split("## Every row")[1]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return [row for row in rows if row[0] != "model"]


def _number(text: str) -> float:
    found = re.match(r"([+-]?[\d.,]+)x", text)
    assert found is not None, text
    return float(found[1].replace(",", ""))


def _watts(text: str) -> float:
    value, unit = text.split()
    return float(value) * {"W": 1.0, "mW": 1e-3, "kW": 1e3}[unit]


@pytest.mark.parametrize("model", sentence.WORKLOADS)
def test_the_page_has_every_row_with_scope_load_and_baseline(model: str) -> None:
    rows = [row for row in _rows() if row[0] == model]
    kept = {(row[1], row[2], row[3]) for row in rows}
    assert len(kept) == len(rows) > 0
    assert {row[1] for row in rows} == set(SCOPES)
    assert {row[2] for row in rows} == {BOUND, FULL, ALONE}
    assert all(row[3] and row[4] for row in rows)
    assert f"**{model}, whole to whole** (scope: {WHOLE}" in PAGE


def test_marks_on_the_page_follow_from_its_figures() -> None:
    for row in _rows():
        for cell, bound in ((row[7], 66), (row[8], 181)):
            value = _number(cell)
            if "no verdict" in cell or abs(value / bound - 1) < 0.01:  # rounded away
                continue
            assert ("not reached" in cell) == (value < bound), row


def test_scopes_on_the_page_differ_by_their_power_alone() -> None:
    products: dict[tuple[str, ...], list[float]] = {}
    for row in _rows():
        key = (row[0], row[2], row[3])
        products.setdefault(key, []).append(_watts(row[6]) * _number(row[8]))
    for found in products.values():
        assert len(found) == len(SCOPES)
        assert found == pytest.approx([found[0]] * len(SCOPES), rel=0.02)
