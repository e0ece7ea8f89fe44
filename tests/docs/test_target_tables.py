"""docs/targets.md says what the code says."""

from __future__ import annotations

from pathlib import Path

from tools.docs.target_tables import regenerate

TEXT = (Path(__file__).parents[2] / "docs" / "targets.md").read_text(encoding="utf-8")


def test_generated_tables_are_current():
    assert regenerate(TEXT) == TEXT, "run: python -m tools.docs.target_tables docs/targets.md"


def test_all_three_tables_are_there():
    for name in ("fields", "presets", "constants"):
        assert TEXT.count(f"<!-- generated: {name} -->") == 1


def test_a_stale_table_is_replaced():
    stale = TEXT.replace("| `array.rows` |", "| `array.height` |", 1)
    assert stale != TEXT
    assert regenerate(stale) == TEXT
