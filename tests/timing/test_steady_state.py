"""The steady state of simulated runs: intervals that hold the truth, and runs that have none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cimc.isa.instructions import Ref, instr
from cimc.timing import Arrivals
from cimc.timing.steady_state import SteadyState, steady_state
from tests.cost.cost_programs import program
from tests.timing.test_dispatch import looks_up
from tests.timing.test_dispatch import run as looked_up
from tests.timing.test_simulation import chain, run

SERVICE = 100.0


def served(arrival: np.ndarray, work: np.ndarray) -> np.ndarray:
    """When one unit has done the work of each request, in order (Lindley)."""
    done = np.cumsum(work)
    return done + np.maximum.accumulate(arrival - done + work)


def one_unit(load: float, requests: int, seed: int) -> SteadyState:
    """A unit that serves for 100 ns, under random arrivals: an M/D/1 queue."""
    made = program({0: [instr("fill", dst=Ref(0), value=0.0, n=3200)]})
    return run(made, requests, kind="poisson", rate=load / SERVICE * 1e9, seed=seed).steady


@pytest.mark.parametrize(("load", "requests"), [(0.3, 2000), (0.6, 3000)])
def test_a_queue_at_random_arrivals(load: float, requests: int) -> None:
    """Throughput is the rate of arrivals, mean latency that of Pollaczek and Khinchine; 300 seeds."""
    mean = SERVICE * (1 + load / (2 * (1 - load)))
    latency = throughput = settled = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        arrival = np.cumsum(rng.exponential(SERVICE / load, requests))
        found = steady_state(
            Arrivals("poisson", rate=1.0), arrival, served(arrival, np.full(requests, SERVICE)), load
        )
        if found.missing:
            continue
        settled += 1
        assert found.throughput is not None
        assert found.throughput.low is not None
        assert found.throughput.high is not None
        assert found.mean.low is not None
        assert found.mean.high is not None
        throughput += found.throughput.low <= load / SERVICE * 1e9 <= found.throughput.high
        latency += found.mean.low <= mean <= found.mean.high
    assert settled > 270
    assert 0.92 <= throughput / settled <= 0.98
    assert 0.92 <= latency / settled <= 0.98


def test_percentiles_of_a_queue_with_exponential_service() -> None:
    """M/M/1: latencies are exponential with mean S / (1 - rho)."""
    load, requests = 0.3, 4000
    held, settled = dict.fromkeys((50, 95, 99), 0), 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        arrival = np.cumsum(rng.exponential(1 / load, requests))
        finish = served(arrival, rng.exponential(1.0, requests))
        found = steady_state(Arrivals("poisson", rate=1e9 * load), arrival, finish, load)
        if found.missing:
            continue
        settled += 1
        for p in held:
            truth = -math.log(1 - p / 100) / (1 - load)
            low, high = found.percentiles[p].low, found.percentiles[p].high
            assert low is not None
            assert high is not None
            held[p] += low <= truth <= high
    assert settled > 180
    assert all(0.92 <= each / settled <= 0.98 for each in held.values()), held


@pytest.mark.parametrize("in_flight", [8, 64, 512])
def test_a_closed_loop_exceeds_its_bound_only_within_its_interval(in_flight: int) -> None:
    """Service of random length: bound and truth are 1 / mean.  A short run must not claim more."""
    rng, settled = np.random.default_rng(7), 0
    for _ in range(20):
        work = rng.exponential(SERVICE, 2048)
        finish = np.cumsum(work)  # one unit, never idle
        arrival = np.concatenate([np.zeros(in_flight), finish[: 2048 - in_flight]])
        found = steady_state(Arrivals("closed", in_flight), arrival, finish, 1.0)
        assert found.throughput is not None
        bound = 1e9 / work.mean()
        assert (found.throughput.low or found.throughput.value) <= bound * (1 + 1e-12)
        settled += not found.missing
    assert settled >= 15 if in_flight < 512 else not settled


def test_too_many_in_flight_are_said_in_words() -> None:
    found = run(chain((0, 9, 18)), 2048, in_flight=512)
    assert found.steady.missing.startswith("the run is too short: 1024 requests are left")
    assert "5120" in found.steady.missing
    told = found.to_json()["steady_state"]
    assert (told["reached"], told["batches"], told["missing"]) == (False, 0, found.steady.missing)
    assert told["throughput_rps"]["low"] is None
    assert found.throughput_rps == pytest.approx(1e9 * 2048 / found.makespan_ns)


def test_more_than_the_machine_can_do_never_settles() -> None:
    made = program({0: [instr("fill", dst=Ref(0), value=0.0, n=3200)]})
    assert run(made, 2000, kind="fixed", rate=1.2e7).steady.missing.endswith("(MSER-5)")
    assert "the busiest unit is in use for 100%" in one_unit(1.2, 2000, 0).missing
    assert run(made, 2000, kind="fixed", rate=0.8e7).steady.missing == ""


def test_start_and_end_are_left_out() -> None:
    found = run(chain((0, 9)), 1000, in_flight=30).steady
    assert (found.warm_up, found.cut_at_end) == (100, 30)
    assert len(found.latencies) == 870
    assert found.to_json()["requests"] == 870


def test_a_chip_with_nothing_to_do() -> None:
    found = run(program({}), 500, in_flight=2).steady
    assert (found.missing, found.throughput) == ("the chip has nothing to do", None)
    assert found.to_json()["throughput_rps"] is None


def test_a_queue_that_still_grows_is_no_steady_state() -> None:
    """Long requests pile up at one of twelve instances; while others go by, more complete than it serves."""
    lengths = np.where(np.arange(1500) % 12 == 1, 40, 1)
    found = looked_up(looks_up({0: 12, 1: 12}), lengths, "turn", in_flight=100)
    bound = found.requests * 1e9 / found.loads[0].busy_ns
    low = found.steady.throughput.low if found.steady.throughput else None
    assert low is None or low <= bound
    assert "queue still grows" in found.steady.missing
    assert found.throughput_rps == pytest.approx(found.requests * 1e9 / found.makespan_ns)
    assert found.throughput_rps <= bound
