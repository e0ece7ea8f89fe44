"""The worked plan of ``docs/plan.md`` is what its program gives."""

from __future__ import annotations

from pathlib import Path

from bench.feed import feed
from bench.feed_page import cases, table

PAGE = (Path(__file__).parents[2] / "docs" / "plan.md").read_text(encoding="utf-8")


def test_the_feed_is_what_the_page_says() -> None:
    model = feed()
    assert 1.0e12 <= model.parameters < 1.0001e12
    assert sum(each.count for each in model.tables) == 800
    ids = sum(each.count * each.pooling for each in model.tables)
    assert f"{ids:,.0f} ids a request" in PAGE


def test_the_table_is_on_the_page() -> None:
    assert table(list(cases())) in PAGE
