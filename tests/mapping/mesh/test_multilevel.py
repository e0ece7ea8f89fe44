"""Multilevel placement: levels that hold the flow, points of clusters, the optimum of small meshes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from cimc.mapping.mesh.mesh_problem import QuadraticProblem, cost_of
from cimc.mapping.mesh.multilevel import coarsen, extent, multilevel, project
from tests.mapping.mesh.test_mesh import planted


def test_levels_get_smaller_and_keep_all_blocks_and_flow() -> None:
    levels = coarsen(planted(12, 12))
    sizes = [level.problem.n_blocks for level in levels]
    assert sizes[0] == 144
    assert sizes[-1] <= 64
    assert all(a > b for a, b in pairwise(sizes))
    for fine, coarse in pairwise(levels):
        assert len(fine.parent) == fine.problem.n_blocks
        np.testing.assert_array_equal(np.bincount(fine.parent, fine.weight), coarse.weight)
        apart = fine.parent[fine.problem.pairs[:, 0]] != fine.parent[fine.problem.pairs[:, 1]]
        assert coarse.problem.flow.sum() == pytest.approx(fine.problem.flow[apart].sum())
        assert coarse.problem.capacity.sum() >= coarse.problem.n_blocks
    assert all(level.weight.sum() == 144 for level in levels)
    assert levels[-1].parent.size == 0


def test_a_problem_that_is_small_has_one_level() -> None:
    (level,) = coarsen(planted(4, 4))
    assert level.problem.n_blocks == 16


def test_without_flow_no_level_is_smaller() -> None:
    bare = planted(9, 9)
    none = QuadraticProblem(
        pairs=bare.pairs[:0], flow=bare.flow[:0], size=bare.size, capacity=bare.capacity,
        position=bare.position,
    )  # fmt: skip
    assert len(coarsen(none)) == 1
    found = multilevel(none, seed=0)
    assert "no flow" in found.produced_by


def test_blocks_lean_to_what_they_exchange_data_with() -> None:
    fine, coarse, *_ = coarsen(planted(12, 12))
    points = project(fine, coarse, np.arange(coarse.problem.n_blocks))
    assert points.shape == (144, 2)
    assert (points >= 0).all()
    assert (points <= 1).all()


def test_extent_is_that_of_the_positions() -> None:
    problem = planted(3, 5)
    assert extent(problem) == (3, 5)


@pytest.mark.parametrize("shape", [(3, 3), (2, 7)])
def test_small_meshes_are_found_again(shape: tuple[int, int]) -> None:
    problem = planted(*shape, seed=1)
    found = multilevel(problem, seed=0, sweeps=2000)
    assert cost_of(problem, found.sites) == pytest.approx(problem.flow.sum(), rel=0.05)
    again = multilevel(problem, seed=0, sweeps=2000)
    np.testing.assert_array_equal(again.sites, found.sites)
    assert sorted(found.sites.tolist()) == list(range(shape[0] * shape[1]))
