"""Throughput at a bound on the 99th percentile of latency: the most that a machine may be offered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cimc.isa.program import Program
from cimc.report.blocks import Block, facts
from cimc.support.progress import Advance
from cimc.support.quantities import count, rate, seconds
from cimc.target.spec import Target
from cimc.timing import Arrivals, Dispatch, simulate
from cimc.workload.request_rules import Arrays

STEPS = 8
"""Bisections: the rate is known to 1/256 of the bound of the busiest unit."""


@dataclass(frozen=True)
class BoundedLoad:
    """The largest rate of Poisson arrivals whose latencies keep a bound.

    Attributes:
        bound_ns: on the 99th percentile.
        rate: requests per second; ``None`` where there is none to state: not even one request at a time
            keeps it, or the chip has nothing to do.
        p99_ns: at that rate (or of one request at a time).
        requests: that were simulated at each rate.
    """

    bound_ns: float
    rate: float | None
    p99_ns: float
    requests: int

    def _kept(self) -> str:
        if self.rate is not None:
            return rate(self.rate)
        if self.p99_ns > self.bound_ns:
            return "not even one request at a time keeps it"
        if self.p99_ns > 0:
            return "none of the rates tried keeps it, one request at a time does"
        return "none to state, as the chip has nothing to do"

    def lines(self) -> list[tuple[str, object]]:
        """In one line."""
        return [("p99 kept", f"at most {seconds(self.bound_ns)} up to: {self._kept()}")]

    def blocks(self) -> list[Block]:
        """For people."""
        lines = [
            ("bound", f"{seconds(self.bound_ns)} on the 99th percentile of latency"),
            (
                "throughput",
                f"{self._kept()}, Poisson arrivals, {count(self.requests)} requests at each rate tried",
            ),
            ("p99", seconds(self.p99_ns)),
        ]
        return [facts("Throughput at a bound on latency", lines)]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "bound_ns": self.bound_ns,
            "throughput_rps": self.rate,
            "p99_ns": self.p99_ns,
            "requests": self.requests,
        }


def throughput_at_p99(
    program: Program,
    target: Target,
    arrays: Arrays,
    bound_ns: float,
    most: float | None,
    seed: int,
    progress: Advance | None = None,
    dispatch: Dispatch = "turn",
) -> BoundedLoad:
    """Bisect the rate of Poisson arrivals (drawn from ``seed``) between 0 and ``most`` requests a second.

    ``most``: the bound of the busiest unit, which no load exceeds for long; ``None``: the chip does nothing.
    ``dispatch``: as of :func:`cimc.timing.simulate`.

    Raises:
        RequestError: when the arrays do not fit the model.
    """
    alone, _ = simulate(program, target, arrays, Arrivals("closed", 1), dispatch=dispatch)
    found, p99 = None, alone.percentile(99)
    if most is None or p99 > bound_ns:
        return BoundedLoad(bound_ns, None, p99, alone.requests)
    low, high = 0.0, most
    for step in range(STEPS):
        if progress is not None:
            progress(step, STEPS, "rates")
        middle = (low + high) / 2
        how = Arrivals("poisson", rate=middle, seed=seed)
        load, _ = simulate(program, target, arrays, how, dispatch=dispatch)
        if load.percentile(99) <= bound_ns:
            low = found = middle
            p99 = load.percentile(99)
        else:
            high = middle
    return BoundedLoad(bound_ns, found, p99, alone.requests)
