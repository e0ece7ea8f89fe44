import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.errors import InfeasibleError, PassError
from cimc.mapping.kernels.hop_loops import hop_sums, hop_table
from cimc.mapping.kernels.matching_loops import assign
from cimc.mapping.mesh import (
    QuadraticProblem,
    QuadraticProposal,
    evaluate_quadratic,
    quadratic_bound,
    quadratic_methods,
    register_quadratic,
    solve_quadratic,
)
from cimc.mapping.mesh.hops import from_sides, hop_layouts
from cimc.mapping.mesh.landmarks import landmarks, relocate
from cimc.mapping.mesh.legalise import legalise
from cimc.mapping.mesh.mesh_problem import make_graph
from cimc.mapping.mesh.mesh_solve import QUADRATIC_METHODS

METHODS = ("anneal", "assignment", "greedy", "multilevel", "row_major")
FAST: dict[str, dict[str, int]] = {"anneal": {"sweeps": 500}, "multilevel": {"sweeps": 500}}


def planted(wide: int, high: int, seed: int = 0, density: float = 1.0) -> QuadraticProblem:
    """A shuffled mesh lacking some links, one block per site; the sum of the flows is its least cost."""
    random = np.random.default_rng(seed)
    number = np.arange(wide * high).reshape(wide, high)
    links = [(a, b) for a, b in zip(number[:-1].flat, number[1:].flat, strict=True)]
    links += [(a, b) for a, b in zip(number[:, :-1].flat, number[:, 1:].flat, strict=True)]
    links = [link for link in links if random.random() < density] if density < 1 else links
    return QuadraticProblem(
        pairs=random.permutation(wide * high)[np.array(links)],
        flow=random.lognormal(0.0, 1.0, len(links)),
        size=np.ones(wide * high, np.int64),
        capacity=np.ones(wide * high, np.int64),
        position=np.argwhere(number >= 0),
    )


@st.composite
def small(draw: st.DrawFn) -> QuadraticProblem:
    n, t = draw(st.integers(1, 4)), draw(st.integers(0, 2))
    sites = draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=5, unique=True)
    )
    nodes = [(a, b) for a in range(n) for b in range(n + t) if a < b]
    chosen = draw(st.lists(st.sampled_from(nodes), max_size=6)) if nodes else []
    return QuadraticProblem(
        pairs=np.array(chosen, dtype=np.int64).reshape(-1, 2),
        flow=np.array(draw(st.lists(st.floats(0, 10), min_size=len(chosen), max_size=len(chosen)))),
        size=np.array(draw(st.lists(st.integers(1, 2), min_size=n, max_size=n))),
        capacity=np.array(draw(st.lists(st.integers(0, 3), min_size=len(sites), max_size=len(sites)))),
        position=np.array(sites),
        terminals=np.array([(-1, 1), (3, 3)][:t]).reshape(-1, 2),
    )


def exhaustive(problem: QuadraticProblem) -> list[float]:
    costs = []
    for sites in itertools.product(range(problem.n_sites), repeat=problem.n_blocks):
        used = np.bincount(sites, weights=problem.size, minlength=problem.n_sites)
        if np.all(used <= problem.capacity):
            points = [*problem.position[list(sites)].tolist(), *problem.terminals.tolist()]
            costs.append(
                sum(
                    f * (abs(points[a][0] - points[b][0]) + abs(points[a][1] - points[b][1]))
                    for (a, b), f in zip(problem.pairs.tolist(), problem.flow.tolist(), strict=True)
                )
            )
    return costs


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15, deadline=None)
@given(problem=small())
def test_placements_are_valid_and_never_undercut_the_bound(method: str, problem: QuadraticProblem) -> None:
    costs = exhaustive(problem)
    if not costs:
        with pytest.raises(InfeasibleError):
            solve_quadratic(problem, method)
        return
    assert quadratic_bound(problem) <= min(costs) * (1 + 1e-9)
    found = solve_quadratic(problem, method, **FAST.get(method, {}))
    assert found.evaluation.violations == ()
    assert min(costs) <= found.evaluation.cost * (1 + 1e-9) + 1e-12
    assert found.evaluation.cost <= max(costs) * (1 + 1e-9) + 1e-12
    again = solve_quadratic(problem, method, **FAST.get(method, {}))
    assert again.sites.tobytes() == found.sites.tobytes()
    assert (again.effort, again.produced_by) == (found.effort, found.produced_by)


@settings(max_examples=25, deadline=None)
@given(small())
def test_annealing_finds_the_optimum_of_tiny_problems(problem: QuadraticProblem) -> None:
    costs = exhaustive(problem)
    if costs and np.all(problem.size == problem.size[0]):
        found = solve_quadratic(problem, "anneal", sweeps=3000).evaluation.cost
        assert found <= min(costs) * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize(("seed", "density"), [(0, 1.0), (1, 1.0), (2, 1.0), (0, 0.85), (1, 0.85), (2, 0.85)])
def test_planted_optima_are_found_at_eight_by_eight(seed: int, density: float) -> None:
    problem = planted(8, 8, seed, density)
    found = solve_quadratic(problem, "multilevel")
    assert found.evaluation.cost == pytest.approx(float(problem.flow.sum()))
    assert found.evaluation.gap == pytest.approx(0.0, abs=1e-9)


def test_several_levels_beat_annealing_alone() -> None:
    problem = planted(11, 6, density=0.8)
    several = solve_quadratic(problem, "multilevel", sweeps=600)
    assert several.effort["levels"] > 1
    alone = solve_quadratic(problem, "anneal", sweeps=600)
    assert several.evaluation.cost < alone.evaluation.cost
    assert alone.evaluation.cost < solve_quadratic(problem, "greedy").evaluation.cost


@pytest.mark.parametrize(("wide", "high"), [(9, 9), (16, 5), (5, 16), (1, 12)])
def test_hop_distances_lay_out_a_whole_mesh(wide: int, high: int) -> None:
    problem = planted(wide, high)
    found = solve_quadratic(problem, "multilevel")
    assert found.produced_by == "layout by hop distances"
    assert found.effort["proposals"] == 0
    assert found.evaluation.cost == pytest.approx(float(problem.flow.sum()))


def test_a_layout_turns_its_side_to_the_terminal() -> None:
    mesh = planted(6, 6)
    corner = int(np.argmin(np.bincount(mesh.pairs.reshape(-1))))  # two neighbours
    problem = QuadraticProblem(
        pairs=np.concatenate((mesh.pairs, [[corner, 36]])),
        flow=np.concatenate((mesh.flow, [1000.0])),
        size=mesh.size,
        capacity=mesh.capacity,
        position=mesh.position,
        terminals=np.array([[6, 5]]),
    )
    (best, *_) = hop_layouts(problem, landmarks(problem))
    assert problem.position[best[corner]].tolist() == [5, 5]
    assert evaluate_quadratic(problem, best).cost == pytest.approx(float(problem.flow.sum()))


def test_sides_give_a_whole_mesh_back() -> None:
    problem = planted(7, 5)
    (sites, *_) = hop_layouts(problem, landmarks(problem))
    assert legalise(problem, from_sides(problem, sites)).tolist() == sites.tolist()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=14), st.data())
def test_sums_of_hop_distances(n: int, links: list[tuple[int, int]], data: st.DataObject) -> None:
    pairs = np.array([(a % n, b % n) for a, b in links if a % n != b % n], np.int64).reshape(-1, 2)
    graph = make_graph(n, pairs, np.ones(len(pairs)))
    sources = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=3))
    apart = np.where(np.eye(n, dtype=bool), 0.0, np.inf)
    apart[pairs[:, 0], pairs[:, 1]] = apart[pairs[:, 1], pairs[:, 0]] = 1.0
    for k in range(n):
        apart = np.minimum(apart, apart[:, [k]] + apart[[k]])
    reached = np.where(np.isinf(apart), -1.0, apart)
    apart = np.where(np.isinf(apart), reached.max(axis=1, keepdims=True) + 1, apart)
    found = hop_sums(graph.start, graph.neighbour, np.array(sources), n)
    np.testing.assert_array_equal(found, apart[sources].sum(axis=0))
    table = hop_table(graph.start, graph.neighbour, np.array(sources), n)
    np.testing.assert_array_equal(table, np.where(reached[sources] < 0, -1, apart[sources]))


@settings(max_examples=40, deadline=None)
@given(small(), st.data())
def test_relocated_blocks_keep_the_capacities(problem: QuadraticProblem, data: st.DataObject) -> None:
    start = data.draw(st.lists(st.integers(0, problem.n_sites - 1), min_size=4, max_size=4))
    found = relocate(problem, landmarks(problem), np.array(start[: problem.n_blocks]))
    assert found is None or evaluate_quadratic(problem, found).violations == ()
    if problem.capacity.min() >= problem.size.sum():
        assert found is not None


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_landmarks_mend_layouts_of_meshes_with_missing_links(seed: int) -> None:
    """A part of the mesh is one place off, as where missing links bend a layout; most of it comes back."""
    side = 16
    problem = planted(side, side, seed, 0.85)
    # the same draws as in `planted` give the hidden arrangement
    random = np.random.default_rng(seed)
    for _ in range(2 * side * (side - 1)):
        random.random()
    hidden = random.permutation(side * side)
    least = float(problem.flow.sum())
    sites = np.empty(side * side, np.int64)
    sites[hidden] = np.arange(side * side)
    assert evaluate_quadratic(problem, sites).cost == pytest.approx(least)
    x, y = np.divmod(sites, side)
    part = (x < 10) & (y >= 5)
    wrong = np.where(part, (x + 1) % 10 * side + y, sites)
    off = evaluate_quadratic(problem, wrong).cost / least - 1
    found = relocate(problem, landmarks(problem), wrong)
    assert found is not None
    assert evaluate_quadratic(problem, found).cost / least - 1 < 0.5 * off


def test_a_mesh_with_missing_links_is_solved_beyond_one_level() -> None:
    problem = planted(16, 16, 3, 0.85)
    found = solve_quadratic(problem, "multilevel", sweeps=4000)
    assert found.effort["levels"] > 1
    assert found.evaluation.gap == pytest.approx(0.0, abs=1e-6)


def test_assignment_moves_never_raise_the_cost() -> None:
    problem = planted(9, 7)
    moves, greedy = (solve_quadratic(problem, m).evaluation.cost for m in ("assignment", "greedy"))
    assert moves < greedy


def test_blocks_gather_at_their_terminal() -> None:
    problem = QuadraticProblem(
        pairs=np.array([[0, 2], [1, 2]]),
        flow=np.array([5.0, 1.0]),
        size=np.ones(2, np.int64),
        capacity=np.ones(9, np.int64),
        position=np.argwhere(np.ones((3, 3), dtype=bool)),
        terminals=np.array([[-1, 1]]),
    )
    found = solve_quadratic(problem, "anneal")
    assert problem.position[found.sites[0]].tolist() == [0, 1]
    assert found.evaluation.cost == 7.0
    assert found.evaluation.bound == pytest.approx(7.0)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_assign_is_exact_and_its_duals_prove_it(rows: int, more: int, seed: int) -> None:
    cost = np.random.default_rng(seed).integers(0, 20, (rows, rows + more)).astype(np.float64)
    u, v = np.zeros(rows), np.zeros(rows + more)
    column = assign(cost, u, v)
    assert len(set(column.tolist())) == rows
    least = min(
        cost[np.arange(rows), list(p)].sum() for p in itertools.permutations(range(rows + more), rows)
    )
    assert cost[np.arange(rows), column].sum() == pytest.approx(least)
    assert u.sum() + v.sum() == pytest.approx(least)
    assert np.all(u[:, None] + v <= cost + 1e-9)
    assert np.all(v <= 1e-12)


def test_legalising_places_of_a_placement_gives_it_back() -> None:
    problem = planted(6, 5)
    sites = np.random.default_rng(0).permutation(30)
    points = (problem.position[sites] + 0.5) / np.array([6, 5])
    assert legalise(problem, points).tolist() == sites.tolist()


def test_bad_problems_methods_and_answers_are_refused() -> None:
    good = planted(2, 2)
    for change in (
        {"pairs": np.array([[0, 0]] * 4)},
        {"pairs": np.array([[0, 9]] * 4)},
        {"flow": -good.flow},
        {"position": np.zeros((4, 2), np.int64)},
        {"size": np.ones(3, np.int64)},
    ):
        fields = {n: getattr(good, n) for n in ("pairs", "flow", "size", "capacity", "position")} | change
        with pytest.raises(PassError) as caught:
            QuadraticProblem(**fields)
        assert caught.value.code == "mapping.bad-problem"
    with pytest.raises(PassError) as caught:
        solve_quadratic(good, "magic")
    assert caught.value.code == "mapping.unknown-strategy"
    with pytest.raises(PassError) as caught:
        evaluate_quadratic(good, np.zeros(3, np.int64))
    assert caught.value.code == "mapping.bad-assignment"
    with pytest.raises(PassError) as caught:
        solve_quadratic(good, "anneal", sweeps=-1)
    assert caught.value.code == "mapping.bad-option"

    def all_on_one(problem: QuadraticProblem, /, *, seed: int) -> QuadraticProposal:
        return QuadraticProposal(np.zeros(problem.n_blocks, dtype=np.int64))

    with QUADRATIC_METHODS.restored():
        register_quadratic("all_on_one_for_test")(all_on_one)
        with pytest.raises(PassError) as caught:
            solve_quadratic(good, "all_on_one_for_test")
    assert caught.value.code == "mapping.invalid-solution"
    assert set(METHODS) <= set(quadratic_methods())
