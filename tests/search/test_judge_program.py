"""Figures that candidates are judged by are those of the cost model and of the simulation."""

from __future__ import annotations

import pytest

from cimc.api import Program
from cimc.errors import CimcError
from cimc.mapping.allocation.goal import Goal
from cimc.search.judge_program import estimated, simulated
from cimc.timing import Arrivals
from cimc.transforms.pipeline import Pipeline
from tests.build import dlrm, dlrm_requests

LINE = "quantize,group,allocate{most=4},shard,copy,place,schedule,lower"


def test_figures() -> None:
    module, ctx = dlrm()
    Pipeline.parse(LINE).run(module, ctx)
    program, requests = Program(ctx.program, ctx.target), dlrm_requests(1024, 1)
    closed = Goal("throughput", 16)
    guess = estimated(program.data, program.target, requests, closed)
    cost = program.run(dlrm_requests(256, 1), "exact").cost
    assert cost.throughput_rps is not None
    assert guess.latency_ns == pytest.approx(cost.latency_ns, rel=0.02)
    assert guess.throughput_rps == pytest.approx(cost.throughput_rps, rel=0.1)
    assert guess.value == pytest.approx(guess.latency_ns + 15 * 1e9 / guess.throughput_rps)
    played = simulated(program.data, program.target, requests, closed, 0)
    run = program.simulate(requests, Arrivals(in_flight=16))
    assert played.requests == 1024
    assert played.throughput_rps == run.throughput_rps
    assert played.p99_ns == run.percentile(99)
    assert played.value == pytest.approx(1e9 / played.throughput_rps)
    assert played.energy_pj > cost.energy_pj
    open_loop = simulated(program.data, program.target, requests, Goal("edp", rate=1e-4), 0)
    assert open_loop.value == pytest.approx(open_loop.energy_pj * open_loop.latency_ns)
    assert open_loop.energy_pj > played.energy_pj  # leaks for longer
    late = estimated(program.data, program.target, requests, Goal("latency", rate=1.0))
    assert (late.value, late.p99_ns) == (None, None)


def test_loads_that_no_simulation_settles_are_refused() -> None:
    module, ctx = dlrm()
    Pipeline.parse(LINE).run(module, ctx)
    with pytest.raises(CimcError, match="1,000,000,000,000 requests in flight is more") as caught:
        simulated(ctx.program, ctx.target, dlrm_requests(4, 1), Goal("throughput", 10**12), 0)  # type: ignore[arg-type]
    assert caught.value.code == "candidates.load"
