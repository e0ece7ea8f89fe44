"""Plain tables, and numbers with units."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.report.blocks import facts, plain, table
from cimc.support.quantities import count, engineering, joules, percent, ranges, rate, seconds, size


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1.234e-9, "J", "1.23 nJ"),
        (999.96e-9, "J", "1.00 uJ"),
        (0.0, "s", "0 s"),
        (12345.0, "Hz", "12.3 kHz"),
        (-2.5e-6, "s", "-2.50 us"),
        (1e-20, "J", "1e-05 fJ"),
        (123.0, "s", "123 s"),
        (math.inf, "dB", "inf dB"),
    ],
)
def test_engineering(value: float, unit: str, shown: str) -> None:
    assert engineering(value, unit) == shown


@given(st.floats(1e-14, 1e14))
def test_engineering_keeps_three_digits(value: float) -> None:
    text = engineering(value, "")
    number, _, prefix = text.partition(" ")
    power = {"f": -15, "p": -12, "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12}[prefix]
    assert float(number) * 10.0**power == pytest.approx(value, rel=5.1e-3)
    assert 1 <= float(number) < 1000


def test_derived_units() -> None:
    assert joules(1500) == "1.50 nJ"
    assert seconds(2370) == "2.37 us"
    assert rate(1.6e6) == "1.60 M requests/s"
    assert rate(12.0) == "12.0 requests/s"
    assert "nothing" in rate(None)
    assert percent(0.1234) == "12.3 %"
    assert (size(512), size(1536)) == ("512 B", "1.50 KiB")
    assert (count(1234567), count(12.5)) == ("1,234,567", "12.50")


@given(st.sets(st.integers(0, 60)))
def test_ranges_read_back(numbers: set[int]) -> None:
    found: set[int] = set()
    for part in filter(None, ranges(sorted(numbers)).split(", ")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    assert found == numbers


def test_plain_tables_are_aligned_and_never_cut() -> None:
    long = "x" * 300
    text = plain([table("Title", ("name", ">n"), [("a", 1), (long, 22)]), facts("", [("k", "v"), ("", "w")])])
    lines = text.split("\n")
    assert lines[0] == "Title"
    assert lines[2] == "  a" + " " * (299 + 2) + " 1"
    assert lines[3] == f"  {long}  22"
    assert lines[5:7] == ["  k  v", "     w"]
    assert "(none)" in plain([table("T", ("a",), [])])
