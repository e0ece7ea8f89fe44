"""The host deals requests to instances: in turn, or to those with the fewest under way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cimc.errors import RequestError
from cimc.interpreter.bags import Bags
from cimc.isa.instructions import Ref, instr
from cimc.isa.program import Port, Program
from cimc.target.overrides import with_overrides
from cimc.timing import Arrivals, Simulation
from cimc.timing.dispatch import Dealer, Dispatch
from cimc.timing.simulation import simulate_visits
from cimc.timing.timeline import trace_events
from cimc.timing.visits import Recorder
from tests.copied import copied
from tests.cost.cost_programs import TSINGHUA, program, table

TARGET = with_overrides(TSINGHUA, {"tile.vector_lanes": 1})
"""Its vector units take far longer over a row than the array that all instances share."""


def looks_up(counts: dict[int, int]) -> Program:
    """Weighted bags on tile 0, and a vector operation on tile 1, in so many instances each."""
    port = Port("ids", "bag", "i32", "int64", (), "offsets", "offsets", "w")
    bag = instr("bag", dst=Ref(0), port=0, matrix=0, mode="sum", scale=1.0, idbits=8)
    streams = {0: [bag], 1: [instr("fill", dst=Ref(0), value=0.0, n=300)]}
    rows = [(0, 192, 0, 64, 9, 0, 0)]
    one = program(
        streams, [(table("t", 192, 64, block_rows=192, pool_rows=4), rows)], inputs=[port], target=TARGET
    )
    return copied(one, TARGET, counts)


def run(made: Program, lengths: np.ndarray, dispatch: Dispatch, **more: Any) -> Simulation:
    """Requests whose bags have these lengths."""
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    ids = np.arange(starts[-1]) * 37 % 192
    recorder = Recorder(made, TARGET)
    bags = Bags(ids, starts, np.ones(len(ids), np.float32), (len(lengths),))
    recorder((0, 0, 0), 0, 0, made.matrices[0], bags, "sum")
    timeline = more.pop("timeline", 0)
    return simulate_visits(
        made, TARGET, recorder, len(lengths), Arrivals(**more), timeline=timeline, dispatch=dispatch
    )


def fewest(found: Simulation, counts: tuple[int, ...]) -> list[int]:
    """The turn that each request should have taken, from what happened."""
    arrival, finish, turns = found.played.arrival, found.played.finish, found.turns
    expected = []
    for k in range(found.requests):
        before = [int(turns[j]) for j in range(k) if finish[j] > arrival[k]]
        loads = [
            sum(other % r == turn % r for other in before for r in counts)
            for turn in range(int(np.lcm.reduce(counts)))
        ]
        expected.append(loads.index(min(loads)))
    return expected


LENGTHS = np.random.default_rng(3).choice([1, 2, 40], 160, p=[0.5, 0.3, 0.2])


@pytest.mark.parametrize("counts", [(3,), (2, 3), (2, 4)])
@pytest.mark.parametrize(
    "how", [{"in_flight": 7}, {"kind": "poisson", "rate": 4e5, "seed": 2}, {"kind": "fixed", "rate": 1e6}]
)
def test_each_takes_the_instances_with_the_fewest_under_way(
    counts: tuple[int, ...], how: dict[str, Any]
) -> None:
    made = looks_up(dict(enumerate(counts)))
    found = run(made, LENGTHS, "least", **how)
    assert found.turns.tolist() == fewest(found, counts)
    assert found.turns.tolist() != list(np.arange(160) % made.period)
    assert run(made, LENGTHS, "turn", **how).turns.tolist() == list(np.arange(160) % made.period)


@pytest.mark.parametrize("how", [{"in_flight": 6}, {"kind": "poisson", "rate": 2.5e5, "seed": 1}])
def test_requests_that_differ_wait_less(how: dict[str, Any]) -> None:
    """Every other request is long: in turn they all meet on one of two instances."""
    made = looks_up({0: 2, 1: 2})
    lengths = np.where(np.arange(600) % 2, 20, 1)
    turn, least = (run(made, lengths, dispatch, **how) for dispatch in ("turn", "least"))
    assert least.percentile(99) < 0.8 * turn.percentile(99)
    for kind in ("vector", "array", "router in", "bus"):
        one, other = (sum(x.busy_ns for x in f.loads if x.unit.kind == kind) for f in (turn, least))
        assert one == pytest.approx(other)
    assert least.to_json()["dispatch"] == "least"
    assert turn.to_json()["dispatch"] == "turn"


def test_nothing_changes_where_nothing_is_copied() -> None:
    made = looks_up({})
    one, other = (run(made, LENGTHS, dispatch, in_flight=5) for dispatch in ("turn", "least"))
    assert np.array_equal(one.played.finish, other.played.finish)


def test_one_request_at_a_time_stays_on_the_first_instance() -> None:
    found = run(looks_up({0: 4, 1: 4}), LENGTHS[:20], "least", in_flight=1)
    assert not found.turns.any()


def test_a_timeline_names_the_tiles_that_were_used() -> None:
    made = looks_up({0: 2, 1: 2})
    found = run(made, np.array([5, 1, 1, 5, 1, 1]), "least", in_flight=2, timeline=6)
    places = {t: found.program.chip_segments[0].places(t) for t in (0, 1)}
    shown = [e["args"] for e in trace_events(found)["traceEvents"] if "instruction" in e.get("args", {})]
    of = {(a["request"], a["tile"]) for a in shown}
    assert of == {(k, places[t][found.turns[k] % 2]) for k in range(6) for t in (0, 1)}


def test_dealing_by_hand() -> None:
    dealer = Dealer("least", [2, 3], 8)
    assert dealer.period == 6
    # on 0 of both; 1 of both; 0 of two and 2 of three; then 1 of two is emptier, and all of three are equal
    assert dealer.deal(4, np.zeros(0, bool)).tolist() == [0, 1, 2, 1]
    # the first and the third are under way: instance 1 of two and 1 of three are free
    assert dealer.deal(1, np.array([True, False, True, False])).tolist() == [1]
    # the second one alone: instance 0 of two and 0 of three are free
    assert dealer.deal(1, np.array([False, True, False, False, False])).tolist() == [0]
    assert dealer.turns.tolist() == [0, 1, 2, 1, 1, 0]
    assert Dealer("turn", [2, 3], 8).deal(8, np.zeros(0, bool)).tolist() == [0, 1, 2, 3, 4, 5, 0, 1]


def test_other_words_are_refused() -> None:
    with pytest.raises(RequestError) as error:
        Dealer("random", [2], 1)  # type: ignore[arg-type]
    assert error.value.code == "simulate.bad-dispatch"
