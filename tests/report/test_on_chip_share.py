"""The share of the chip, for people."""

from __future__ import annotations

from cimc.cost.on_chip import OnChip, Split
from cimc.report.blocks import Facts
from cimc.report.on_chip_share import on_chip_blocks, part

NOTHING = Split(0, 0, 0)


def lines(found: OnChip) -> list[tuple[str, str]]:
    (block,) = on_chip_blocks(found)
    assert isinstance(block, Facts)
    return list(block.lines)


def shares(macs: Split, requests: int = 10, not_counted: tuple[str, ...] = ()) -> OnChip:
    return OnChip(macs, NOTHING, requests, not_counted, None)


def test_who_does_how_much() -> None:
    shown = dict(lines(shares(Split(3000, 0, 1000))))
    assert shown["MACs"] == "75.0 %: 3.00 k by arrays, 1.00 k on the host"
    assert shown[""] == "per request, means of 10 requests"
    assert "vector" not in shown["MACs"]
    shown = dict(lines(shares(Split(3000, 500, 0), requests=0)))
    assert "500 by the vector unit" in shown["MACs"]
    assert shown[""] == "per request, from shapes, before any request"


def test_what_is_not_known_is_said() -> None:
    shown = dict(lines(shares(Split(3000, 0, None))))
    assert "an unknown number on the host" in shown["MACs"]


def test_only_the_first_nodes_that_are_not_counted_are_named() -> None:
    shown = lines(shares(Split(1, 0, None), not_counted=tuple(f"node {k}" for k in range(8))))
    assert [text for label, text in shown if label == "not counted"] == [f"node {k}" for k in range(5)]
    assert ("", "and 3 more nodes") in shown


def test_headings_say_when_figures_are_of_a_part() -> None:
    assert part(shares(Split(10, 0, 0))) == ""
    assert part(shares(Split(10, 0, 10))) == " of the part on chip"
