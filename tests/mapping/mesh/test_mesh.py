import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.errors import InfeasibleError, PassError
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
from cimc.mapping.mesh.mesh_solve import QUADRATIC_METHODS

METHODS = ("anneal", "greedy", "row_major")
FAST: dict[str, dict[str, int]] = {"anneal": {"sweeps": 500}}


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


def test_annealing_beats_greedy_on_layers() -> None:
    width, layers = 10, 5
    blocks = width * layers
    pairs = [(a, b) for a in range(blocks - width) for b in range(blocks) if b // width == a // width + 1]
    problem = QuadraticProblem(
        pairs=np.array(pairs),
        flow=np.ones(len(pairs)),
        size=np.ones(blocks, np.int64),
        capacity=np.full(16, 4),
        position=np.argwhere(np.ones((4, 4), dtype=bool)),
    )
    greedy, anneal = (solve_quadratic(problem, m).evaluation.cost for m in ("greedy", "anneal"))
    assert anneal < 0.99 * greedy


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
        solve_quadratic(good, "multilevel")
    assert caught.value.code == "mapping.unknown-strategy"
    assert "`anneal` does what `multilevel`" in str(caught.value.hint)
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
