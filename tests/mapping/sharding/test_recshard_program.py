"""The program of RecShard against all cuts of a few tables."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cimc.mapping.sharding.plan_shards import plan_shards
from cimc.mapping.sharding.recshard_program import _cuts
from tests.mapping.sharding.instances import drawn


@pytest.mark.parametrize("seed", range(5))
def test_the_best_cuts_of_small_tables_are_found(seed: int) -> None:
    problem = drawn(seed, [2, 2, 1], room=4, link=40.0)
    choices = [
        [(cut, chip) for cut in _cuts(problem, piece, 10) for chip in range(problem.chips)]
        for piece in problem.fitting()
    ]
    best = np.inf
    for chosen in itertools.product(*choices):
        chip = np.zeros(problem.table.size, np.int64)
        for cut, at in chosen:
            if cut.cold is not None:
                chip[cut.cold.blocks] = at
        if np.all(problem.used(chip) <= problem.capacity):
            best = min(best, float(problem.times(chip).max()))
    assert plan_shards(problem, "recshard").bottleneck_ns == pytest.approx(best, rel=1e-6)


def test_cuts_lie_at_steps_of_the_reads() -> None:
    problem = drawn(0, [8], room=20)
    (piece,) = problem.fitting()
    cuts = _cuts(problem, piece, 4)
    assert cuts[0].hot is None
    assert cuts[-1].cold is None
    total = problem.busy_ns.sum()
    for cut in cuts[1:-1]:
        assert cut.hot is not None
        assert cut.cold is not None
        assert problem.busy_ns[cut.hot.blocks].min() >= problem.busy_ns[cut.cold.blocks].max()
    reached = [cut.hot.busy_ns / total for cut in cuts if cut.hot]
    assert all(any(share >= k / 4 for share in reached) for k in (1, 2, 3))


@pytest.mark.parametrize("seed", range(4))
def test_a_plan_is_never_worse_than_the_tables_dealt(seed: int) -> None:
    problem = drawn(seed, [4, 3, 3, 2, 2], room=8)
    start = plan_shards(problem, "recshard", deterministic_time=0.0)
    assert plan_shards(problem, "recshard").bottleneck_ns <= start.bottleneck_ns


def test_more_choices_than_the_solver_is_asked_for_keep_the_start() -> None:
    problem = drawn(0, [40] * 60, chips=40, room=200)
    found = plan_shards(problem, "recshard")
    assert found.produced_by == "recshard: dealt (more than 20000 choices)"
