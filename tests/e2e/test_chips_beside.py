"""Instances on some of the chips: the others reduce lookups for them, with the same results."""

from __future__ import annotations

from functools import cache

import pytest

from cimc.api import Program
from cimc.target.overrides import with_overrides
from cimc.timing import Arrivals
from cimc.transforms.pipeline import Pipeline
from tests.build import dlrm, dlrm_requests


@cache
def made(chips: int, instances: int, reduction_tiles: str) -> Program:
    """With chips so small that rows are on all of them, and links so slow that routers are the busiest."""
    module, ctx = dlrm()
    assert ctx.target is not None
    small = {"array.rows": 32, "array.physical_rows": 32, "array.cols": 64, "tile.arrays": 2}
    ctx.target = with_overrides(
        ctx.target, {"system.chips": chips, "chip.mesh": (2, 1), "tile.link_gbps": 1.0, **small}
    )
    line = "quantize,group,shard,copy{instances=%d},place,schedule{reduction_tiles=%s},lower"
    Pipeline.parse(line % (instances, reduction_tiles)).run(module, ctx)
    return Program(ctx.program, ctx.target)


def test_lookups_go_to_chips_without_an_instance() -> None:
    spread, consumer = (made(30, 8, each) for each in ("spread", "consumer"))
    (group,) = spread.data.chip_segments[0].copies
    for number, tiles in enumerate(group.instances):
        chips = {tile // 2 for tile in tiles}
        assert {number} < chips <= {number, number + 8, number + 16}
    (group,) = consumer.data.chip_segments[0].copies
    assert [{tile // 2 for tile in tiles} for tiles in group.instances] == [{n} for n in range(8)]
    requests = dlrm_requests(200, 1)
    into = [
        max(program.run(requests, "exact").cost.busy.get(f"tile {t} router input", 0.0) for t in (0, 1))
        for program in (spread, consumer)
    ]
    assert into[0] < 0.8 * into[1]
    assert spread.remarks.schedule is not None
    moved = spread.remarks.schedule.reduction_tiles
    assert moved is not None
    assert moved.moved > 0


@pytest.mark.parametrize("mode", ["exact", "adc"])
def test_results_are_the_same(mode: str) -> None:
    requests = dlrm_requests(50, 2)
    one, *others = (
        p.run(requests, mode).outputs  # type: ignore[arg-type]
        for p in (
            made(30, 1, "consumer"),
            made(30, 8, "spread"),
            made(30, 8, "consumer"),
            made(30, 5, "spread"),
        )
    )
    for other in others:
        assert all(value.tobytes() == other[name].tobytes() for name, value in one.items())


def test_the_simulation_sees_what_the_cost_model_says() -> None:
    program, requests = made(30, 8, "spread"), dlrm_requests(100, 3)
    busy = program.run(requests, "exact").cost.busy
    found = program.simulate(requests, Arrivals(in_flight=8))
    seen = {load.name: load.busy_ns / found.requests for load in found.loads}
    assert seen.keys() == busy.keys()
    for unit, ns in busy.items():
        if "vector unit" not in unit:  # an empty bag saves an addition that it never had
            assert seen[unit] == pytest.approx(ns), unit
