"""The comparison that crosses policies with factors: its cells, its draws of requests, its means."""

from __future__ import annotations

import numpy as np
import pytest

from bench.mapping.crossed import drawn, mean
from bench.mapping.factors import POLICIES, VARIANTS, Cell, crossed, pipeline
from cimc.transforms.passes import DEFAULT_PIPELINE
from cimc.transforms.pipeline import Pipeline
from cimc.workload.first_requests import JaggedInputs


def test_the_default_cell_is_the_default_pipeline() -> None:
    assert Pipeline.parse(pipeline(Cell("default"))) == Pipeline.parse(DEFAULT_PIPELINE)


def test_every_policy_meets_every_level_of_every_factor() -> None:
    for chips in (False, True):
        cells = list(crossed(chips))
        assert len(set(cells)) == len(cells) == len(POLICIES) * 8 * (1 + chips)
        assert len({pipeline(cell) for cell in cells}) == len(cells)
        for policy in POLICIES:
            others = {cell[1:] for cell in cells if cell.policy == policy}
            assert others == {cell[1:] for cell in cells}
    for cell in cells:
        Pipeline.parse(pipeline(cell))
    for variant in VARIANTS:
        assert Pipeline.parse(pipeline(Cell("default", variant=variant))) != Pipeline.parse(DEFAULT_PIPELINE)


@pytest.mark.parametrize("layout", ["offsets", "offsets_end"])
def test_drawn_requests_keep_their_bags(layout: str) -> None:
    bags = [[3, 1], [], [7], [2, 2, 9], [5]]
    ends = np.cumsum([len(bag) for bag in bags])
    requests = {
        "x": np.arange(5),
        "ids": np.concatenate(bags).astype(np.int64),
        "at": np.concatenate([[0], ends if layout == "offsets_end" else ends[:-1]]).astype(np.int32),
    }
    said = [JaggedInputs("ids", "at", "", layout)]
    first, again, other = (drawn(requests, ["x", "ids", "at"], said, 4, k) for k in (1, 1, 2))
    assert all((first[name] == again[name]).all() for name in first)
    assert first["x"].tolist() != other["x"].tolist()
    assert first["at"].dtype == np.int32
    assert len(first["at"]) == 4 + (layout == "offsets_end")
    stops = [*first["at"][1:4].tolist(), len(first["ids"])]
    for request, start, stop in zip(first["x"].tolist(), first["at"].tolist(), stops, strict=False):
        assert first["ids"][start:stop].tolist() == bags[request]


def test_the_interval_is_student_s() -> None:
    found = mean([1.0, 2.0, 3.0])
    assert found["value"] == 2.0
    assert found["high"] - 2.0 == pytest.approx(4.3027 / 3**0.5, abs=1e-4)
    assert 2.0 - found["low"] == pytest.approx(found["high"] - 2.0)
