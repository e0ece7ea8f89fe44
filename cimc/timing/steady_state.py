"""What a simulated run says of the machine at this load for ever: its steady state, with intervals.

Left out are the start, when the machine fills, and the end, when nothing arrives any more: a tenth of the
completions (in a closed loop at least as many as are in flight, which all arrived at once), and those after
the last arrival.  What remains must be long enough for ten batches: in a closed loop each at least one round
of all that are in flight; at random arrivals fifty times the requests that an M/M/1 queue takes to forget its
state, 1 / (1 - sqrt(rho))^2 (Cohen, The Single Server Queue, 1969), ``rho`` the use of the busiest unit.
And no more may complete than the busiest unit can serve for long: where more do, with the whole interval,
those that wait for it are still piling up while the others go by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.metrics.batch_means import (
    BATCHES,
    LEAST_TERMS,
    mean_estimate,
    quantile_estimate,
    rate_estimate,
    settled,
)
from cimc.metrics.intervals import Estimate
from cimc.timing.arrivals import Arrivals

F64 = NDArray[np.float64]
PERCENTILES = (50, 95, 99)

_WARM_UP = 10
"""One in so many completions."""
_MEMORIES = 50
_BEYOND, _BEYOND_MEMORIES = 15, 2
"""Latencies beyond a percentile that has an interval, at least."""


@dataclass(frozen=True)
class SteadyState:
    """Figures of the steady state.

    Attributes:
        missing: why there is none, in words; ``""`` where there is.
        warm_up, cut_at_end: completions left out.
        latencies: float64 of the completions that remain, in order of time; of all requests where there is no
            steady state.
        throughput: completions per second; of the whole run, first arrival to last completion and without
            interval, where there is no steady state; ``None`` for a machine with nothing to do.
        mean, percentiles: of ``latencies``, in ns.
    """

    missing: str
    warm_up: int
    cut_at_end: int
    latencies: F64 = field(repr=False)
    throughput: Estimate | None
    mean: Estimate
    percentiles: Mapping[int, Estimate]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        reached = not self.missing
        return {
            "reached": reached,
            "missing": self.missing or None,
            "warm_up": self.warm_up,
            "cut_at_end": self.cut_at_end,
            "requests": len(self.latencies) if reached else 0,
            "batches": BATCHES if reached else 0,
            "throughput_rps": None if self.throughput is None else self.throughput.to_json(),
            "latency_ns": {
                "mean": self.mean.to_json(),
                **{f"p{p}": each.to_json() for p, each in self.percentiles.items()},
            },
        }


def steady_state(arrivals: Arrivals, arrival: F64, finish: F64, busiest: float) -> SteadyState:
    """The steady state of a run.

    Args:
        arrivals: how requests arrived.
        arrival, finish: per request, ns.
        busiest: share of the time that the busiest unit was in use.
    """
    order = np.argsort(finish, kind="stable")
    done, latency = finish[order], (finish - arrival)[order]
    n = len(done)
    closed = arrivals.kind == "closed"
    start = max(n // _WARM_UP, arrivals.in_flight if closed else 0)
    stop = int(np.searchsorted(done, arrival.max(initial=0.0), side="right"))
    memory = 1.0 / max(1.0 - math.sqrt(min(busiest, 1.0)), 1e-3) ** 2 if arrivals.kind == "poisson" else 0.0
    kept, gaps = latency[start:stop], np.diff(done[max(start - 1, 0) : stop])
    missing = _missing(arrivals, kept, gaps, memory, busiest)
    if missing:
        whole = float(finish.max(initial=0.0) - arrival.min(initial=np.inf)) if n else 0.0
        rate = Estimate(1e9 * n / whole) if whole > 0 else None
        return SteadyState(missing, 0, 0, finish - arrival, rate, *_plain(latency))
    rates = rate_estimate(gaps * 1e-9)
    whole = float(finish.max() - arrival.min())
    if rates.low is not None and rates.low * busiest * whole > 1e9 * n * (1 + 1e-9):
        missing = "the run is too short: more complete than the busiest unit serves, whose queue still grows"
        return SteadyState(missing, 0, 0, finish - arrival, Estimate(1e9 * n / whole), *_plain(latency))
    found = {}
    for p in PERCENTILES:
        found[p] = quantile_estimate(kept, p / 100)
        if len(kept) * (1 - p / 100) < max(_BEYOND, _BEYOND_MEMORIES * memory):
            found[p] = Estimate(found[p].value)
    return SteadyState("", start, n - stop, kept, rates, mean_estimate(kept), found)


def _plain(latency: F64) -> tuple[Estimate, dict[int, Estimate]]:
    """Of latencies without a steady state."""
    if not len(latency):
        return Estimate(0.0), dict.fromkeys(PERCENTILES, Estimate(0.0))
    values = (float(np.quantile(latency, p / 100, method="inverted_cdf")) for p in PERCENTILES)
    return Estimate(float(latency.mean())), dict(zip(PERCENTILES, map(Estimate, values), strict=True))


def _missing(arrivals: Arrivals, kept: F64, gaps: F64, memory: float, busiest: float) -> str:
    """Why there is no steady state in what remains; ``""`` where there is."""
    rounds = max(LEAST_TERMS, arrivals.in_flight if arrivals.kind == "closed" else 0)
    least, why = BATCHES * rounds, f"{BATCHES} batches of {rounds}"
    if _MEMORIES * memory > least:
        least = math.ceil(_MEMORIES * memory)
        why = f"the busiest unit is in use for {busiest:.0%} of the time"
    if len(kept) < least:
        short = f"the run is too short: {len(kept)} requests are left without start and end"
        return f"{short}, {least} are needed ({why})"
    if not gaps.sum() > 0.0:
        return "the chip has nothing to do"
    if not (settled(kept) and settled(gaps)):
        return "the run is too short: it has not settled by its middle (MSER-5)"
    return ""
