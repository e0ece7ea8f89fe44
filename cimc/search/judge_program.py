"""Figures of a program at a load: by the cost model, or by simulation."""

from __future__ import annotations

import math

import numpy as np

from cimc.cost import Cost, estimate
from cimc.errors import CimcError
from cimc.ir.context import Requests
from cimc.isa.jagged import jagged_in_program
from cimc.isa.program import Program
from cimc.mapping.allocation.goal import Goal
from cimc.remarks.search_remarks import EstimatedFigures, SimulatedFigures
from cimc.sim.executor import Simulator
from cimc.target.spec import Target
from cimc.timing import Arrivals, Simulation, simulate
from cimc.workload.first_requests import first_requests
from cimc.workload.repeat_requests import repeat_requests

SAMPLE = 256
"""Calibration requests that the cost model looks at; fewer than instances are repeated."""
_ROUNDS = 24
"""So many times the requests in flight are simulated, for a steady state, and at least :data:`_LEAST`."""
_LEAST = 1024
_MOST = 262_144
"""More are not simulated: they take minutes, and memory for all their ids."""


def estimated(program: Program, target: Target, requests: Requests, goal: Goal) -> EstimatedFigures:
    """What the cost model expects at the load of ``goal``."""
    sample = _of_size(program, requests, SAMPLE, SAMPLE)
    _, activity = Simulator(program, target).run(sample, "exact")
    cost = estimate(program, target, activity)
    busy = 1e9 / cost.throughput_rps if cost.throughput_rps else 0.0
    each = goal.request_ns(busy, cost.latency_ns)
    value = goal.value(busy, cost.latency_ns, cost.energy_pj, 1e3 * cost.static.used_watts)
    energy = cost.energy_pj + 1e3 * cost.static.used_watts * each
    return EstimatedFigures(
        throughput_rps=cost.throughput_rps or 0.0,
        latency_ns=cost.latency_ns,
        p99_ns=_finite(cost.latency_ns + goal.waits_p99(busy)),
        energy_pj=_finite(energy),
        value=_finite(value),
    )


def simulated(
    program: Program, target: Target, requests: Requests, goal: Goal, seed: int
) -> SimulatedFigures:
    """What a simulation of calibration requests, as many as it takes, shows at the load of ``goal``.

    Raises:
        CimcError: ``candidates.load``: a steady state takes more requests than are simulated.
    """
    least = max(_LEAST, _ROUNDS * goal.in_flight)
    if least > _MOST:
        raise CimcError(
            "candidates.load",
            f"{goal.in_flight:,} requests in flight is more than is simulated, {_MOST // _ROUNDS:,}",
            hint="give a lower --load or --rate, or leave out --p99-us and --search",
        )
    arrivals = (
        Arrivals("poisson", rate=goal.rate * 1e9, seed=seed)
        if goal.rate
        else Arrivals(in_flight=goal.in_flight)
    )
    found, activity = simulate(program, target, _of_size(program, requests, least, least), arrivals)
    return _figures(found, estimate(program, target, activity), goal)


def _figures(found: Simulation, cost: Cost, goal: Goal) -> SimulatedFigures:
    rate = found.throughput_rps or 0.0
    latency = float(np.mean(found.steady.latencies)) if len(found.steady.latencies) else 0.0
    energy = cost.energy_pj + (cost.static.per_request_pj(rate, used=True) or 0.0)
    values = {
        "throughput": 1e9 / rate if rate else 0.0,
        "latency": latency,
        "energy": energy,
        "edp": energy * latency,
    }
    return SimulatedFigures(
        throughput_rps=rate,
        latency_ns=latency,
        p99_ns=found.percentile(99),
        energy_pj=energy,
        value=values[goal.objective],
        requests=found.requests,
        steady=not found.steady.missing,
    )


def _of_size(program: Program, requests: Requests, least: int, most: int) -> Requests:
    """At least and at most so many of the requests, repeated where there are fewer."""
    bags = list(jagged_in_program(program))
    names = [name for name, _, _ in program.header.inputs]
    return first_requests(repeat_requests(requests, names, bags, least), names, bags, most)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
