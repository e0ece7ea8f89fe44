"""NeuroShard's beam search."""

from __future__ import annotations

import pytest

from cimc.mapping.sharding.neuroshard_beam import _halved
from cimc.mapping.sharding.plan_shards import plan_shards
from tests.mapping.sharding.instances import drawn


@pytest.mark.parametrize("seed", range(4))
def test_more_steps_and_a_wider_beam_are_never_worse_than_none(seed: int) -> None:
    problem = drawn(seed, [4, 3, 3, 2], room=10)
    start = plan_shards(problem, "neuroshard", steps=0)
    some = plan_shards(problem, "neuroshard", steps=3)
    assert some.bottleneck_ns <= start.bottleneck_ns * (1 + 1e-12)
    assert some.effort["sets"] > start.effort["sets"] == 1


def test_one_heavy_table_is_halved() -> None:
    problem = drawn(0, [8], chips=2, room=10, link=1e12)
    start = plan_shards(problem, "neuroshard", steps=0)
    found = plan_shards(problem, "neuroshard")
    assert found.bottleneck_ns < 0.75 * start.bottleneck_ns


def test_column_tiles_are_halved_before_rows() -> None:
    problem = drawn(0, [4], columns=True)
    (whole,) = problem.whole()
    left, right = _halved(problem, whole)
    assert (left.blocks.tolist(), right.blocks.tolist()) == ([0, 2], [1, 3])
    assert [p.blocks.tolist() for p in _halved(problem, left)] == [[0], [2]]
    assert len(_halved(problem, problem.piece(0, left.blocks[:1]))) == 1
