import numpy as np
import pytest

from cimc.errors import PassError
from cimc.mapping import PlacementProblem, solve, strategies
from cimc.mapping.grouping import groupings
from cimc.mapping.replication import replications
from cimc.study.named_pipelines import strategy
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.presets.policies import Bundle, bundle, bundles, register_bundle

PUBLISHED = ("pimcomp_sequential", "log_copies", "frequency_deal", "lpt_by_cost")


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
        register_bundle(Bundle("log_copies", "in_order", "none", "rram", "greedy"))
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
    found = solve(problem([6.0, 5, 4, 3, 2, 1], [2, 2, 2]), "frequency_deal")
    assert found.assignment.tolist() == [0, 1, 2, 2, 1, 0]
    assert found.evaluation.gap == 0.0


def test_the_planner_weighs_transfers_against_compute() -> None:
    # By compute alone items 0 and 1 are heaviest; with transfers, item 2.
    case = problem([4.0, 3.0, 2.0, 1.0], [2, 2], [0.0, 0.0, 10.0, 0.0])
    assert solve(case, "lpt_by_cost", transfer_weight=0.0).assignment.tolist() == [0, 1, 1, 0]
    weighed = solve(case, "lpt_by_cost").assignment
    assert weighed[0] == weighed[1] != weighed[2]


def test_replicated_groups_go_to_the_idlest_tile_and_the_busiest_nearest() -> None:
    found = solve(problem([1.0, 1.0, 1.0], [1, 1, 1], [1.0, 3.0, 2.0]), "hottest_to_idlest")
    assert found.assignment.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("old", "placement", "name"),
    [
        ("rerec", "frequency_deal", "frequency_deal"),
        ("recross", "hottest_to_idlest", "log_copies"),
        ("torchrec_greedy", "lpt_by_cost", "lpt_by_cost"),
    ],
)
def test_names_of_version_0_1_still_work(
    old: str, placement: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old not in strategies()
    assert old not in bundles()
    assert bundle(old) == bundle(name)
    case = problem([6.0, 5, 4, 3, 2, 1], [2, 2, 2])
    assert solve(case, old).assignment.tolist() == solve(case, placement).assignment.tolist()
    parsed = Pipeline.parse(f"place{{strategy={old}}}")
    assert f'strategy="{placement}"' in str(parsed)
    assert any(f"`strategy={placement}` now" in note for note in parsed.notes)
    assert strategy(f"{old}{{chips=near}}").pipeline == strategy(f"{name}{{chips=near}}").pipeline
    assert f"`{old}` is called `{name}`" in capsys.readouterr().err


def test_stand_ins_say_what_they_are_written_from() -> None:
    assert {bundle(name).known for name in PUBLISHED} == {"abstract", "code"}
    assert bundle("best").known == ""
