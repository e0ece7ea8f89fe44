"""Headline figures and every constant, as JSON and for people."""

from __future__ import annotations

from typing import NamedTuple

from cimc.cli.constants_listing import blocks, payload


class Row(NamedTuple):
    path: str
    value: object
    unit: str
    basis: str
    source: str


ROWS = [
    Row("array.rows", 512, "", "stated", "a paper"),
    Row("array.step_ns", 23.0833333, "ns", "derived", "-"),
]


def test_json_has_every_field() -> None:
    found = payload({"name": "x"}, ROWS)
    assert found["name"] == "x"
    assert found["fields"][1] == ROWS[1]._asdict()


def test_people_get_six_digits() -> None:
    head, every = blocks("title", [("step", 23.0833333), ("rows", 512)], ROWS)
    assert head.title == "title"
    assert head.lines == (("step", "23.0833"), ("rows", "512"))
    assert [row[:2] for row in every.rows] == [("array.rows", "512"), ("array.step_ns", "23.0833")]
