"""What ``cimc simulate`` says of a small simulation."""

from __future__ import annotations

from pathlib import Path

import pytest

from cimc.report.blocks import Block, Facts, Table
from cimc.report.queueing import draw_load, simulation_blocks
from tests.timing.test_simulation import one_layer, run


def facts_of(blocks: list[Block], title: str) -> dict[str, str]:
    (found,) = [b for b in blocks if isinstance(b, Facts) and b.title.startswith(title)]
    return dict(found.lines)


def test_a_closed_loop_of_one_request() -> None:
    blocks = simulation_blocks(run(one_layer(), 3, kind="closed", in_flight=1), None)
    said = facts_of(blocks, "Simulated time")
    assert said["requests"] == "3, 1 always in flight (closed loop)"
    assert said["latency"].startswith("mean 1.54 us")
    assert "analytic" not in said
    assert "link buffers" not in said
    (units,) = [b for b in blocks if isinstance(b, Table) and b.title.startswith("Busiest units")]
    assert len(units.rows) <= 12
    assert {len(row) for row in units.rows} == {6}


@pytest.mark.parametrize(
    ("arrivals", "text"),
    [
        ({"kind": "fixed", "rate": 1e6}, "one every 1.00 us"),
        ({"kind": "poisson", "rate": 1e6, "seed": 3}, "(Poisson, seed 3)"),
    ],
)
def test_how_requests_come(arrivals: dict[str, object], text: str) -> None:
    said = facts_of(simulation_blocks(run(one_layer(), 2, **arrivals), None), "Simulated time")  # type: ignore[arg-type]
    assert text in said["requests"]


def test_limits_that_were_set_are_named() -> None:
    blocks = simulation_blocks(run(one_layer(), 2, 64.0, 3, kind="closed", in_flight=1), None)
    assert "limited to 64 Gb/s each" in facts_of(blocks, "Scratchpads")["bandwidth"]
    assert facts_of(blocks, "Simulated time")["link buffers"].startswith("whole messages each: 3")
    free = simulation_blocks(run(one_layer(), 2, kind="closed", in_flight=1), None)
    assert "no limit was set" in facts_of(free, "Scratchpads")["bandwidth"]


def test_no_requests_have_no_rate() -> None:
    said = facts_of(
        simulation_blocks(run(one_layer(), 0, kind="closed", in_flight=1), None), "Simulated time"
    )
    assert said["throughput"] == "-"
    assert said["bottleneck"] == "-"


def test_a_map_of_the_mesh_is_drawn(tmp_path: Path) -> None:
    draw_load(run(one_layer(), 2, kind="closed", in_flight=1), tmp_path / "load.svg")
    text = (tmp_path / "load.svg").read_text()
    assert text.count("chip 0") >= 1
