"""Options of what a pass lets the user choose are options of the pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cimc.errors import CimcError
from cimc.mapping import Proposal
from cimc.mapping.assignment.strategy_registry import STRATEGIES
from cimc.study.named_pipelines import strategy
from cimc.study.sweep_axes import with_option
from cimc.support.keyword_options import keyword_options
from cimc.transforms.chosen_options import own_options
from cimc.transforms.partition.group_rows import Group
from cimc.transforms.partition.replicate import Replicate
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.place.place import Place


@pytest.mark.parametrize(
    "text",
    [
        "place{strategy=ortools eps=0.1 sweeps=3}",
        "place{dense=anneal dense_sweeps=7}",
        "place{strategy=anneal sweeps=5 dense=anneal dense_sweeps=7}",
        "replicate{policy=bottleneck floor=0.5}",
    ],
)
def test_they_parse_and_print_and_round_trip(text: str) -> None:
    line = Pipeline.parse(text)
    assert str(Pipeline.parse(str(line))) == str(line)
    assert Pipeline.parse(str(line)) == line
    for word in text.partition("{")[2].rstrip("}").split():
        assert word in str(line).replace('"', "")


def test_those_not_given_are_not_spelled_out() -> None:
    assert str(Place()) == "place"
    assert str(Pipeline((Place(),))).endswith('chips="flat"}')


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("place{strategy=ortools no=1}", "mapping.unknown-option", "eps, max_iterations, max_rings"),
        (
            "place{eps=0.1}",
            "mapping.unknown-option",
            "effort, target_gap; of pass 'place': array_slack, chips",
        ),
        ("place{strategy=ortools eps=hello}", "mapping.bad-option", "must be a number, it is 'hello'"),
        ("place{strategy=ortools eps=1,2}", "pass.bad-option", "takes one value"),
        ("place{dense_sweeps=7}", "mapping.unknown-option", "dense=together has no option `sweeps`"),
        ("place{dense=anneal dense_rounds=7}", "mapping.unknown-option", "effort, sweeps"),
        ("place{strategy=none}", "mapping.unknown-strategy", "known: anneal"),
        ("group{policy=frequency x=1}", "mapping.unknown-option", "its options: none"),
        ("place{options=1}", "mapping.unknown-option", "no option `options`"),
    ],
)
def test_others_are_refused_with_what_there_is(text: str, code: str, says: str) -> None:
    with pytest.raises(CimcError) as caught:
        Pipeline.parse(text)
    assert caught.value.code == code
    assert says in str(caught.value)


def test_no_built_in_option_hides_behind_one_of_the_pass() -> None:
    for each in (Place, Group, Replicate):
        for choice in each.choices:
            for name in choice.registry:
                theirs = {choice.prefix + o for o in keyword_options(choice.registry[name])}
                assert not theirs & own_options(each), (each.name, name)


def test_a_strategy_whose_option_hides_is_refused() -> None:
    def hiding(problem: Any, /, *, seed: int, chips: int = 1) -> Proposal:
        return Proposal(np.zeros(0, np.int64))

    with STRATEGIES.restored():
        STRATEGIES.register("hiding", hiding)  # type: ignore[call-overload]
        with pytest.raises(CimcError, match="an option `chips`, which is one of pass 'place' already"):
            Place(strategy="hiding")


def _spread(problem: Any, /, *, seed: int, spread: int = 1) -> Proposal:
    return Proposal(np.zeros(problem.n_items, np.int64))


def _dense(problem: Any, /, *, seed: int, dense_sweeps: int = 1) -> Proposal:
    return Proposal(np.zeros(problem.n_items, np.int64))


def _moved(problem: Any, /, *, seed: int, reduction_tiles: int = 1, budget: int = 1) -> Proposal:
    return Proposal(np.zeros(problem.n_items, np.int64))


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (_spread, "`spread`, which is the old name of `array_slack` of pass 'place'"),
        (_dense, "`dense_sweeps`, which would be one of what `dense` of pass 'place' names"),
    ],
)
def test_an_option_that_would_be_read_as_another_is_refused(function: Any, why: str) -> None:
    with STRATEGIES.restored():
        STRATEGIES.register("mine", function)
        with pytest.raises(CimcError, match=why) as caught:
            Pipeline.parse("place{strategy=mine}")
    assert caught.value.code == "plugin.unfit"


def test_in_a_study_an_option_is_of_the_strategy_unless_its_bundle_has_it() -> None:
    with STRATEGIES.restored():
        STRATEGIES.register("mine", _moved)
        assert "budget=3" in strategy("mine{budget=3}").pipeline
        with pytest.raises(CimcError, match="`reduction_tiles`, which another pass has") as caught:
            strategy("mine{reduction_tiles=3}")
    assert caught.value.code == "plugin.unfit"
    assert "budget=0.3" in strategy("log_copies{budget=0.3}").pipeline
    for text in ("greedy{budget=0.3}", "lpt_by_cost{sram=2.0}"):  # which would do nothing
        with pytest.raises(CimcError) as caught:
            strategy(text)
        assert caught.value.code == "mapping.unknown-option"


def test_in_a_study_a_name_has_one_meaning() -> None:
    with STRATEGIES.restored():
        STRATEGIES.register("best", _moved)
        with pytest.raises(CimcError, match="places with `ortools`, and a placement strategy") as caught:
            strategy("best")
        assert caught.value.code == "mapping.duplicate-strategy"
        with pytest.raises(CimcError, match="it stands for the default pipeline") as caught:
            STRATEGIES.register("default", _moved)
        assert caught.value.code == "mapping.duplicate-strategy"


def test_studies_and_sweeps_name_them() -> None:
    assert "eps=0.1" in strategy("ortools{eps=0.1 chips=near}").pipeline
    line = with_option(Pipeline.parse("place{strategy=ortools}"), "place", "eps", 0.2)
    assert "eps=0.2" in str(line)
    with pytest.raises(CimcError, match="has no option `nosuch`"):
        strategy("ortools{nosuch=1}")
    with pytest.raises(CimcError, match="has no option `nosuch`"):
        with_option(line, "place", "nosuch", 1)
    with pytest.raises(CimcError, match="pass 'schedule' has no option 'nosuch'"):
        with_option(Pipeline.parse("schedule"), "schedule", "nosuch", 1)
