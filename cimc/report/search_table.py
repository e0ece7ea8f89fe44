"""What a search tried, as a table: the candidates, their figures, and why some have none."""

from __future__ import annotations

from cimc.remarks import SearchRemarks, TriedPipeline
from cimc.report.blocks import Block, table
from cimc.support.quantities import count, joules, rate, seconds

_HEADS = (
    "", "changed", "instances",
    "estimated: requests", "alone", "energy", "simulated: requests", "mean", "p99", "energy",
)  # fmt: skip
_LONG = 60


def blocks(said: SearchRemarks | None) -> list[Block]:
    """Nothing where nothing was tried."""
    if said is None:
        return []
    load = (
        f"{count(said.in_flight)} in flight" if said.rate_rps is None else f"{rate(said.rate_rps)} arriving"
    )
    bound = "" if said.p99_ns is None else f", p99 at most {seconds(said.p99_ns)}"
    title = f"Search: {said.objective} with {load}{bound}"
    return [table(title, _HEADS, [_row(each) for each in said.tried])]


def _row(each: TriedPipeline) -> list[str]:
    mark, what = "*" if each.chosen else "", each.changes or "as given"
    if each.failed is not None:
        why = each.failed if len(each.failed) <= _LONG else f"{each.failed[:_LONG]}..."
        return [mark, what, f"failed: {why}", *[""] * 7]
    e, s = each.estimated, each.simulated
    expected = (
        ["-"] * 3 if e is None else [rate(e.throughput_rps), seconds(e.latency_ns), _joules(e.energy_pj)]
    )
    played = (
        ["-"] * 4
        if s is None
        else [rate(s.throughput_rps), seconds(s.latency_ns), seconds(s.p99_ns), joules(s.energy_pj)]
    )
    return [mark, what, count(each.instances), *expected, *played]


def _joules(picojoules: float | None) -> str:
    return "-" if picojoules is None else joules(picojoules)
