"""Reports as HTML: everything from a model is escaped."""

from __future__ import annotations

from xml.etree import ElementTree

from cimc.report.blocks import facts, table
from cimc.report.html import page


def test_tables_and_facts() -> None:
    made = page([table("Loads", ("name", ">share"), [("a", 1), ("b", 2)]), facts("", [("seed", 7)])])
    root = ElementTree.fromstring(made)
    assert [e.text for e in root.iter("h4")] == ["Loads"]
    rows = [[cell.text for cell in row] for row in root.iter("tr")]
    assert rows == [["name", "share"], ["a", "1"], ["b", "2"], ["seed", "7"]]
    assert [e.get("style") for e in root.iter("th")] == ["text-align:left", "text-align:right"]


def test_names_are_escaped() -> None:
    evil = "<script>alert('x & y')</script>\x1b[31m"
    made = page([table(evil, (evil,), [(evil,)]), facts(evil, [(evil, evil)])])
    assert "<script" not in made
    assert "\x1b" not in made
    assert ElementTree.fromstring(made).find("h4") is not None


def test_endless_names_are_cut() -> None:
    assert len(page([facts("", [("a" * 10_000, 1)])])) < 3000


def test_no_blocks_are_an_empty_page() -> None:
    assert page([]) == "<div></div>"
