"""What was tried, as a table."""

from __future__ import annotations

from dataclasses import replace

from cimc.remarks import EstimatedFigures, SearchRemarks, SimulatedFigures, TriedPipeline
from cimc.report import search_table

GUESS = EstimatedFigures(2e6, 1500.0, None, None, None)
PLAYED = SimulatedFigures(1.5e6, 1700.0, 2100.0, 4e5, 666.7, 1024, True)
SAID = SearchRemarks(
    "energy",
    64,
    None,
    5000.0,
    (
        TriedPipeline("", "a,b", 8, None, GUESS, PLAYED, True),
        TriedPipeline("place{tiles=2}", "a,c", 0, "no room " * 20, None, None, False),
        TriedPipeline("copy{places=1}", "a,d", 4, None, replace(GUESS, energy_pj=9.0), None, False),
    ),
)


def test_every_candidate_has_a_row() -> None:
    (block,) = search_table.blocks(SAID)
    assert block.title == "Search: energy with 64 in flight, p99 at most 5.00 us"
    best, failed, other = [list(row) for row in block.rows]
    assert best[:3] == ["*", "as given", "8"]
    assert best[3:6] == ["2.00 M requests/s", "1.50 us", "-"]
    assert best[7:9] == ["1.70 us", "2.10 us"]
    assert failed[2].startswith("failed: no room")
    assert len(failed[2]) < 80
    assert other[5] == "9.00 pJ"
    assert other[6:] == ["-"] * 4
    assert len({len(block.columns), *map(len, block.rows)}) == 1
    (at_a_rate,) = search_table.blocks(replace(SAID, rate_rps=2e6, p99_ns=None))
    assert at_a_rate.title == "Search: energy with 2.00 M requests/s arriving"
    assert search_table.blocks(None) == []
