"""The parts of placement on a mesh, each by hand or against all possibilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from cimc.errors import PassError
from cimc.mapping.assignment.packing import UNPLACED
from cimc.mapping.kernels.mesh_loops import total_cost
from cimc.mapping.mesh.mesh_anneal import anneal, start_of
from cimc.mapping.mesh.mesh_bounds import quadratic_bound
from cimc.mapping.mesh.mesh_evaluation import evaluate_quadratic
from cimc.mapping.mesh.mesh_problem import QuadraticProblem, cost_of
from cimc.mapping.mesh.simple import build_greedily, greedy, row_major
from cimc.mapping.mesh.state import Mesh
from cimc.support.random.splitmix_jit import state_of
from tests.mapping.mesh.test_mesh import exhaustive, planted, small


def line(sites: int, size: list[int], pairs: list[tuple[int, int]], capacity: int = 1) -> QuadraticProblem:
    """Sites in a row, all flows 1."""
    return QuadraticProblem(
        pairs=np.array(pairs, np.int64).reshape(-1, 2),
        flow=np.ones(len(pairs)),
        size=np.array(size),
        capacity=np.full(sites, capacity),
        position=np.stack([np.arange(sites), np.zeros(sites, np.int64)], axis=1),
    )


@settings(max_examples=40)
@given(small())
def test_no_placement_is_below_the_bound(problem: QuadraticProblem) -> None:
    costs = exhaustive(problem)
    if costs:
        assert quadratic_bound(problem) <= min(costs) * (1 + 1e-9)


def test_the_bound_is_met_where_one_can_be_proved() -> None:
    pair = line(3, [1, 1], [(0, 1)])
    assert quadratic_bound(pair) == pytest.approx(1)
    star = line(5, [1] * 4, [(0, 1), (0, 2), (0, 3)])
    assert quadratic_bound(star) <= min(exhaustive(star)) == 4
    assert quadratic_bound(line(3, [1, 1], [])) == 0


def test_evaluation_by_hand() -> None:
    problem = line(3, [1, 1], [(0, 1)])
    far = evaluate_quadratic(problem, np.array([0, 2]))
    assert (far.cost, far.sites_used, far.violations) == (2.0, 2, ())
    assert far.gap == pytest.approx(1.0)
    assert far.utilisation == pytest.approx(2 / 3)
    both = evaluate_quadratic(problem, np.array([1, 1]))
    assert both.violations == ("site 1 holds 2 units, it has 1",)
    lost = evaluate_quadratic(problem, np.array([1, 7]))
    assert lost.violations == ("block 1 is on no site",)
    assert lost.cost == 0
    with pytest.raises(PassError, match="2 integers"):
        evaluate_quadratic(problem, np.array([1.0, 2.0]))


def test_row_major_goes_along_rows_and_packs_what_is_left() -> None:
    found = row_major(planted(3, 2), seed=0)
    problem = planted(3, 2)
    points = problem.position[found.sites]
    assert points.tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]
    leaves = row_major(line(2, [1, 2, 1], [], capacity=2), seed=0)
    assert leaves.produced_by == "packing by size (row-major leaves blocks over)"
    assert sorted(np.bincount(leaves.sites).tolist()) == [1, 2]


def test_greedy_keeps_partners_together() -> None:
    problem = line(6, [1] * 4, [(0, 1), (1, 2), (2, 3)])
    found = greedy(problem, seed=0)
    assert (found.produced_by, cost_of(problem, found.sites)) == ("greedy", 3.0)
    full = line(1, [1, 1], [(0, 1)])
    assert build_greedily(full).tolist().count(UNPLACED) == 1


def test_annealing_starts_within_the_capacities_and_does_not_lose_by_it() -> None:
    problem = planted(5, 4, seed=2)
    sites, how = start_of(problem)
    assert (how, sorted(sites.tolist())) == ("greedy", list(range(20)))
    found = anneal(problem, seed=0, sweeps=100)
    assert found.effort["accepted"] > 0
    assert cost_of(problem, found.sites) < cost_of(problem, sites)
    still = anneal(line(2, [1, 1], []), seed=0)
    assert still.produced_by == "greedy (there is no flow)"


def test_a_search_keeps_its_books() -> None:
    problem = planted(4, 3, seed=5)
    mesh = Mesh(problem, np.arange(12))
    assert mesh.sites.tolist() == list(range(12))
    assert mesh.cost() == pytest.approx(cost_of(problem, np.arange(12)))
    assert mesh.unit() == pytest.approx(2 * problem.flow.sum() / 12)
    accepted = mesh.anneal(mesh.unit(), 2, 500, state_of(1))
    assert 0 < accepted <= 500
    sites = mesh.sites
    assert sorted(sites.tolist()) == list(range(12))
    assert total_cost(*problem.graph, mesh.x, mesh.y, 12) == pytest.approx(cost_of(problem, sites))
    assert mesh.held[mesh.slot].tolist() == list(range(12))
    before = mesh.cost()
    mesh.anneal(0.0, 2, 500, state_of(2))
    assert mesh.cost() <= before  # without heat no move is uphill
