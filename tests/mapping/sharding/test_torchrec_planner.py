"""Options, proposers and the partitioner of TorchRec's planner."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cimc.mapping.sharding import torchrec_planner
from cimc.mapping.sharding.plan_shards import plan_shards
from tests.mapping.sharding.instances import drawn


def test_options_of_a_table() -> None:
    problem = drawn(0, [4, 1], columns=True)
    whole, single = problem.whole()
    found = torchrec_planner._options(problem, whole)
    assert {kind: [p.blocks.tolist() for p in pieces] for kind, pieces in found.items()} == {
        "whole": [[0, 1, 2, 3]],
        "columns": [[0, 2], [1, 3]],
        "rows": [[0, 1], [2], [3]],
    }
    assert list(torchrec_planner._options(problem, single)) == ["whole"]


@pytest.mark.parametrize("seed", range(5))
def test_the_grid_is_the_best_of_all_combinations(seed: int) -> None:
    problem = drawn(seed, [3, 3, 2])
    tables = [torchrec_planner._options(problem, piece) for piece in problem.whole()]
    placed = [torchrec_planner._partition(problem, tables, kinds) for kinds in itertools.product(*tables)]
    best = min(each[0] for each in placed if each is not None)
    found = plan_shards(problem, "torchrec")
    assert found.produced_by == "torchrec: grid"
    assert found.bottleneck_ns <= best * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_other_proposers_hold_the_uniform_ones_and_come_near_the_grid(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = drawn(seed, [3, 3, 2, 4], room=6)
    grid = plan_shards(problem, "torchrec").bottleneck_ns
    monkeypatch.setattr(torchrec_planner, "_GRID", 0)
    found = plan_shards(problem, "torchrec")
    assert "grid" not in found.produced_by
    assert grid <= found.bottleneck_ns <= 1.5 * grid
    tables = [torchrec_planner._options(problem, piece) for piece in problem.whole()]
    for kind in ("whole", "rows"):
        placed = torchrec_planner._partition(problem, tables, (kind,) * 4)
        assert placed is None or found.bottleneck_ns <= placed[0] * (1 + 1e-12)


def test_the_dynamic_program_has_the_least_total_within_its_storage() -> None:
    problem = drawn(3, [3, 3, 2], room=6)
    tables = [torchrec_planner._options(problem, piece) for piece in problem.whole()]

    def total(kinds: tuple[str, ...]) -> float:
        pairs = zip(tables, kinds, strict=True)
        return sum(torchrec_planner._cost(problem, options[kind], True) for options, kind in pairs)

    first = next(torchrec_planner._least_totals(problem, tables, 100))
    assert total(first) == pytest.approx(min(map(total, itertools.product(*tables))))


def test_the_greedy_proposer_moves_the_table_with_most_storage_on() -> None:
    problem = drawn(0, [3, 1, 2])
    tables = [torchrec_planner._options(problem, piece) for piece in problem.whole()]
    found = list(torchrec_planner._greedy(problem, tables, True))
    changed = [[t for t in range(3) if a[t] != b[t]] for a, b in itertools.pairwise(found)]
    assert changed == [[0], [2]]


def test_larger_shards_are_placed_first() -> None:
    problem = drawn(5, [1, 4], room=4, chips=2)
    tables = [torchrec_planner._options(problem, piece) for piece in problem.whole()]
    placed = torchrec_planner._partition(problem, tables, ("whole", "whole"))
    assert placed is not None
    assert placed[1].tolist() == [1, 0, 0, 0, 0]
    assert np.all(problem.used(placed[1]) <= problem.capacity)
