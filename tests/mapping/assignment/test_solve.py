from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings

from cimc.errors import InfeasibleError, PassError
from cimc.mapping import PlacementProblem, Proposal, evaluate, register, solve, strategies
from cimc.mapping.assignment.strategy_registry import STRATEGIES
from tests.mapping.assignment.placement_instances import exhaustive, planted, problems, zipf

BUILT_IN = ("anneal", "first_fit", "greedy", "ortools", "round_robin")
ROUNDING = 1 + 1e-9


def unit_items(n: int, capacity: list[int], **changes: object) -> PlacementProblem:
    fields: dict[str, object] = {
        "load": np.ones(n),
        "size": np.ones(n, dtype=np.int64),
        "traffic": np.ones(n),
        "capacity": np.array(capacity),
        "distance": np.arange(len(capacity), dtype=np.float64),
    }
    return PlacementProblem(**(fields | changes))  # type: ignore[arg-type]


def test_the_built_in_strategies_are_listed() -> None:
    assert set(BUILT_IN) <= set(strategies())


FAST = {"anneal": {"sweeps": 150}, "ortools": {"sweeps": 150}}


@pytest.mark.parametrize("strategy", BUILT_IN)
@settings(max_examples=60, deadline=None)
@given(problem=problems(max_items=5, max_bins=3))
def test_answers_exactly_when_there_is_an_answer(strategy: str, problem: PlacementProblem) -> None:
    assignments, bottleneck, hops = exhaustive(problem)
    if len(assignments) == 0:
        with pytest.raises(InfeasibleError) as caught:
            solve(problem, strategy)
        assert caught.value.shortage.demand > caught.value.shortage.bound
        assert caught.value.shortage.levers
        return
    solution = solve(problem, strategy, **FAST.get(strategy, {}))
    found = solution.evaluation
    assert solution.assignment.tolist() in assignments.tolist()
    assert found.violations == ()
    assert found.bottleneck_bound <= bottleneck.min() * ROUNDING
    assert bottleneck.min() <= found.bottleneck * ROUNDING
    assert found.hops_bound <= hops.min() * ROUNDING
    assert hops.min() <= found.hops * ROUNDING
    if solution.certificate:
        within = hops[bottleneck <= solution.certificate.limit]
        assert solution.certificate.hops_bound <= within.min() * ROUNDING


@pytest.mark.parametrize("strategy", BUILT_IN)
@settings(max_examples=20, deadline=None)
@given(problem=problems(max_items=60, max_bins=20, roomy=True))
def test_larger_problems_are_placed_whole_and_reproducibly(strategy: str, problem: PlacementProblem) -> None:
    solution = solve(problem, strategy, seed=3, **FAST.get(strategy, {}))
    assert evaluate(problem, solution.assignment) == solution.evaluation
    assert solution.evaluation.bottleneck_bound <= solution.evaluation.bottleneck
    assert solution.evaluation.hops_bound <= solution.evaluation.hops
    again = solve(problem, strategy, seed=3, **FAST.get(strategy, {}))
    assert again.assignment.tobytes() == solution.assignment.tobytes()
    assert (again.effort, again.produced_by) == (solution.effort, solution.produced_by)


@pytest.mark.parametrize("strategy", BUILT_IN)
@pytest.mark.parametrize(
    "problem",
    [
        unit_items(0, [3, 3]),
        unit_items(1, [3, 3, 3]),
        unit_items(3, [3]),
        unit_items(5, [3, 3], load=np.zeros(5)),
        unit_items(5, [3, 3], traffic=np.zeros(5)),
        unit_items(5, [3, 3], load=np.zeros(5), traffic=np.zeros(5)),
        unit_items(5, [3, 3], distance=np.zeros(2)),
        unit_items(4, [0, 4, 0]),
        unit_items(2, [2**60, 2**60], size=np.array([2**60, 2**60])),
        unit_items(6, [2, 2, 2], load=np.array([1e-300, 1e300, 1.0, 0.0, 5e-324, 1e150])),
    ],
    ids=[
        "no items",
        "fewer items than bins",
        "one bin",
        "no load",
        "no traffic",
        "neither",
        "one ring",
        "bins without room",
        "huge sizes",
        "extreme loads",
    ],
)
def test_degenerate_problems(strategy: str, problem: PlacementProblem) -> None:
    solution = solve(problem, strategy)
    assert solution.evaluation.violations == ()
    assert solution.assignment.shape == (problem.n_items,)


@pytest.mark.parametrize(
    ("problem", "demand", "bound", "words"),
    [
        (unit_items(7, [3, 3]), 7, 6, "the model needs 7 arrays of crossbar storage, the target has 6"),
        (
            unit_items(2, [4, 4], size=np.array([5, 1]), labels=("hot", "cold"), item_unit="columns"),
            5,
            4,
            "hot needs 5 columns of crossbar storage in one bin, the target has 4",
        ),
        (
            unit_items(3, [5, 5], size=np.full(3, 3)),
            3,
            2,
            "the model needs 3 places of 3 or more arrays of crossbar storage, the target has 2",
        ),
        (
            unit_items(4, [7, 7], size=np.array([5, 3, 3, 3])),
            14,
            11,
            "no packing exists",
        ),
    ],
)
def test_infeasible_problems_are_explained(
    problem: PlacementProblem, demand: int, bound: int, words: str
) -> None:
    for strategy in BUILT_IN:
        with pytest.raises(InfeasibleError) as caught:
            solve(problem, strategy)
        shortage = caught.value.shortage
        assert (shortage.demand, shortage.bound) == (demand, bound)
        assert words in caught.value.message
        assert any("smaller shards" in lever or "larger" in lever for lever in shortage.levers)
        assert caught.value.hint


def test_baselines_do_what_their_names_say() -> None:
    problem = unit_items(5, [2, 1, 4])
    assert solve(problem, "round_robin").assignment.tolist() == [0, 1, 2, 0, 2]
    assert solve(problem, "first_fit").assignment.tolist() == [0, 0, 1, 2, 2]
    assert solve(problem, "round_robin").produced_by == "round_robin"
    assert solve(problem, "first_fit").produced_by == "first_fit"


def test_baselines_say_when_another_method_had_to_help() -> None:
    turns = solve(unit_items(3, [2, 2], size=np.array([1, 1, 2])), "round_robin")
    assert "round-robin found no room for item 2" in turns.produced_by
    harder = solve(unit_items(6, [10, 10], size=np.array([5, 4, 4, 3, 2, 2])), "first_fit")
    assert harder.produced_by == "minimum bin slack (first-fit decreasing does not fit)"


@pytest.mark.parametrize("seed", range(3))
def test_greedy_comes_within_a_hundredth_of_a_percent_of_planted_optima(seed: int) -> None:
    found = solve(planted(16, 12, spare=6, seed=seed)).evaluation
    assert found.bottleneck_bound == pytest.approx(10_000.0)
    assert found.gap <= 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_greedy_balances_a_completely_full_packing(seed: int) -> None:
    problem = planted(16, 12, spare=0, seed=seed)
    found = solve(problem).evaluation
    assert found.utilisation == 1.0
    assert found.gap < 0.25 * solve(problem, "first_fit").evaluation.gap


def test_greedy_puts_the_busiest_contents_nearest() -> None:
    problem = unit_items(3, [1, 1, 1], traffic=np.array([1.0, 3.0, 2.0]), distance=np.array([5.0, 1.0, 9.0]))
    assert solve(problem).assignment.tolist() == [2, 1, 0]


@pytest.mark.parametrize(("items", "bins"), [(300, 25), (1_000, 60)])
def test_the_ring_program_saves_hops_within_the_balance_limit(items: int, bins: int) -> None:
    problem = zipf(items, bins)
    greedy, rings = solve(problem, "greedy"), solve(problem, "ortools", eps=0.05, sweeps=1_000)
    assert rings.produced_by == "ring program prices, annealing"
    assert rings.evaluation.gap <= 0.05 * ROUNDING
    assert rings.evaluation.hops < 0.8 * greedy.evaluation.hops
    assert rings.certificate is not None
    assert rings.evaluation.hops <= 1.01 * rings.certificate.hops_bound


def test_annealing_keeps_the_limit_and_comes_close_to_the_bound() -> None:
    problem = zipf(300, 25)
    certificate = solve(problem, "ortools", sweeps=1_000).certificate
    assert certificate is not None
    for seed in range(2):
        found = solve(problem, "anneal", seed=seed, sweeps=1_000)
        assert found.produced_by == "annealing"
        assert found.evaluation.bottleneck <= certificate.limit
        assert found.evaluation.hops <= 1.01 * certificate.hops_bound


@pytest.mark.parametrize("spare", [0, 2])
def test_annealing_respects_capacities_of_bins_that_are_nearly_full(spare: int) -> None:
    problem = planted(12, 8, spare=spare)
    greedy, found = solve(problem, "greedy"), solve(problem, "anneal", eps=0.1, sweeps=2_000)
    assert found.evaluation.violations == ()
    assert found.evaluation.bottleneck <= found.effort["balance_limit"]
    assert found.evaluation.hops < greedy.evaluation.hops


def test_few_bins_that_hold_many_and_some_heavy_items_are_placed_within_the_limit() -> None:
    random = np.random.default_rng(1)
    problem = unit_items(800, [112] * 8, load=random.pareto(1.2, 800), traffic=random.random(800))
    solution = solve(problem, "ortools", sweeps=1_000)
    assert solution.produced_by == "ring program prices, annealing"
    assert solution.certificate is not None
    assert solution.evaluation.bottleneck <= solution.certificate.limit
    assert solution.evaluation.hops <= 1.02 * solution.certificate.hops_bound


def test_a_looser_balance_never_needs_more_hops_by_its_bound() -> None:
    problem = zipf(300, 25)
    tight, loose = (solve(problem, "ortools", eps=eps, sweeps=1_000) for eps in (0.02, 0.2))
    assert tight.certificate is not None
    assert loose.certificate is not None
    assert loose.certificate.hops_bound < tight.certificate.hops_bound
    assert loose.evaluation.hops < tight.evaluation.hops


def test_the_solver_without_iterations_leaves_the_swaps() -> None:
    problem = zipf(300, 25)
    solution = solve(problem, "ortools", max_iterations=1)
    assert solution.produced_by.startswith("annealing (the ring program ended: ")
    assert solution.certificate is None
    assert solution.evaluation.hops < solve(problem, "greedy").evaluation.hops


def test_without_traffic_greedy_stands_and_says_why() -> None:
    solution = solve(unit_items(5, [3, 3], traffic=np.zeros(5)), "ortools")
    assert solution.produced_by == "greedy (there is no traffic)"


def test_options_are_checked() -> None:
    problem = unit_items(2, [2])
    for strategy, options, code in (
        ("nothing", {}, "mapping.unknown-strategy"),
        ("greedy", {"eps": 0.1}, "mapping.unknown-option"),
        ("ortools", {"eps": -0.1}, "mapping.bad-option"),
        ("ortools", {"eps": float("nan")}, "mapping.bad-option"),
        ("ortools", {"eps": "wide"}, "mapping.bad-option"),
        ("ortools", {"sweeps": 1.5}, "mapping.bad-option"),
        ("ortools", {"max_iterations": 0}, "mapping.bad-option"),
        ("greedy", {"effort": -1}, "mapping.bad-option"),
        ("greedy", {"seed": -1}, "mapping.bad-option"),
    ):
        with pytest.raises(PassError) as caught:
            solve(problem, strategy, **options)  # type: ignore[arg-type]
        assert caught.value.code == code
    with pytest.raises(PassError, match="no placement strategy") as caught:
        solve(problem, "nothing")
    assert all(name in (caught.value.hint or "") for name in BUILT_IN)


@pytest.fixture
def clean_registry() -> Iterator[None]:
    with STRATEGIES.restored():
        yield


@pytest.mark.usefixtures("clean_registry")
def test_a_strategy_of_ones_own() -> None:
    @register("last_bin")
    def last_bin(problem: PlacementProblem, /, *, seed: int, back: int = 0) -> Proposal:
        return Proposal(np.full(problem.n_items, problem.n_bins - 1 - back), effort={"steps": 1})

    assert "last_bin" in strategies()
    solution = solve(unit_items(2, [2, 2]), "last_bin", back=1)
    assert solution.assignment.tolist() == [0, 0]
    assert (solution.strategy, solution.produced_by, solution.effort) == (
        "last_bin",
        "last_bin",
        {"steps": 1},
    )
    with pytest.raises(PassError, match="bin 1 holds 3 arrays") as caught:
        solve(unit_items(3, [2, 2]), "last_bin")
    assert caught.value.code == "mapping.invalid-solution"


@pytest.mark.usefixtures("clean_registry")
def test_names_are_not_taken_over() -> None:
    def mine(problem: PlacementProblem, /, *, seed: int) -> Proposal:
        return Proposal(np.zeros(problem.n_items, dtype=np.int64))

    def yours(problem: PlacementProblem, /, *, seed: int) -> Proposal:
        return Proposal(np.zeros(problem.n_items, dtype=np.int64))

    register("mine")(mine)
    register("mine")(mine)  # a module that is loaded again
    for name in ("mine", "greedy"):
        with pytest.raises(PassError) as caught:
            register(name)(yours)
        assert caught.value.code == "mapping.duplicate-strategy"
