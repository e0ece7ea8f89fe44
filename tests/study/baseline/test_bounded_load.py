"""What is said of the largest load that keeps a bound on latency."""

from __future__ import annotations

import pytest

from cimc.report.blocks import plain
from cimc.study.baseline.bounded_load import BoundedLoad


@pytest.mark.parametrize(
    ("rate", "p99_ns", "said"),
    [
        (5e5, 900.0, "500 k requests/s"),
        (None, 2000.0, "not even one request at a time"),
        (None, 900.0, "none of the rates tried"),
        (None, 0.0, "the chip has nothing to do"),
    ],
)
def test_why_there_is_no_rate(rate: float | None, p99_ns: float, said: str) -> None:
    assert said in plain(BoundedLoad(1000.0, rate, p99_ns, 10).blocks())
