import numpy as np
import pytest

from cimc.errors import PassError
from cimc.mapping import PlacementProblem, solve, strategies
from cimc.mapping.grouping import groupings
from cimc.mapping.replication import replications
from cimc.transforms.presets.policies import Bundle, bundle, bundles, register_bundle

PUBLISHED = ("pimcomp_sequential", "recross", "rerec", "torchrec_greedy")


def problem(load: list[float], capacity: list[int], traffic: list[float] | None = None) -> PlacementProblem:
    n, m = len(load), len(capacity)
    return PlacementProblem(
        load=np.array(load),
        size=np.ones(n, np.int64),
        traffic=np.array(traffic or [0.0] * n),
        capacity=np.array(capacity),
        distance=np.arange(m, dtype=np.float64),
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_bundles_name_policies_that_exist(name: str) -> None:
    assert name in strategies()
    found = bundle(name)
    assert found.grouping in groupings()
    assert found.replication in replications()
    assert found.placement in strategies()
    assert found.source


def test_a_strategy_alone_is_a_bundle_without_extras() -> None:
    assert bundle("greedy") == Bundle("greedy", "in_order", "none", "rram", "greedy")
    with pytest.raises(PassError) as caught:
        bundle("nothing")
    assert caught.value.code == "mapping.unknown-strategy"
    with pytest.raises(PassError) as caught:
        register_bundle(Bundle("recross", "in_order", "none", "rram", "greedy"))
    assert caught.value.code == "mapping.duplicate-strategy"
    assert set(PUBLISHED) <= set(bundles())


def test_sequential_filling_keeps_the_order_and_fills_each_tile() -> None:
    assert solve(problem([1.0] * 6, [2, 3, 4]), "pimcomp_sequential").assignment.tolist() == [
        0,
        0,
        1,
        1,
        1,
        2,
    ]


def test_dealing_by_frequency_goes_back_and_forth() -> None:
    found = solve(problem([6.0, 5, 4, 3, 2, 1], [2, 2, 2]), "rerec")
    assert found.assignment.tolist() == [0, 1, 2, 2, 1, 0]
    assert found.evaluation.gap == 0.0


def test_the_planner_weighs_transfers_against_compute() -> None:
    # By compute alone items 0 and 1 are heaviest; with transfers, item 2.
    case = problem([4.0, 3.0, 2.0, 1.0], [2, 2], [0.0, 0.0, 10.0, 0.0])
    assert solve(case, "torchrec_greedy", transfer_weight=0.0).assignment.tolist() == [0, 1, 1, 0]
    weighed = solve(case, "torchrec_greedy").assignment
    assert weighed[0] == weighed[1] != weighed[2]


def test_replicated_groups_go_to_the_idlest_tile_and_the_busiest_nearest() -> None:
    found = solve(problem([1.0, 1.0, 1.0], [1, 1, 1], [1.0, 3.0, 2.0]), "recross")
    assert found.assignment.tolist() == [2, 0, 1]
