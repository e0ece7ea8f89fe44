"""The event loop against queueing theory: single queues, tandems, closed networks, and laws of all of them.

Task graphs are made here, with service times of known distributions; nothing of how programs become tasks is
used.  Where theory is about means of random series, 400,000 requests are played from a fixed seed.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bench.validation.rows import ROUNDING, Row, Section
from cimc.timing.event_loop import UNLIMITED, Played, play
from cimc.timing.task_graph import END, Builder, Graph

F64 = NDArray[np.float64]
REQUESTS = 400_000
NOTHING = -1
UTILISATION = "utilisation law: U = X S (Denning and Buzen, ACM Computing Surveys 10, 1978)"
ASYMPTOTES = "asymptotic bounds, met where nothing is random (Denning and Buzen, 1978)"


def network(holds: F64) -> Graph:
    """Requests that visit units 0, 1, ... in order; ``holds [requests, units]``: how long at each."""
    requests, units = holds.shape
    builder = Builder()
    whose = np.arange(requests)
    tasks = units + 1  # the first one stands for the arrival
    builder.add(
        np.tile(np.arange(-1, units), requests),
        np.column_stack([np.zeros(requests), holds]).ravel(),
        np.repeat(whose, tasks),
        np.full(requests * tasks, NOTHING),
    )
    for visit in range(units):
        builder.link(whose * tasks + visit, whose * tasks + visit + 1, END)
    return builder.graph(whose * tasks)


def played(holds: F64, arrivals: F64 | None, in_flight: int = 1) -> Played:
    """What the event loop makes of it."""
    return play(network(holds), np.full(holds.shape[1], UNLIMITED, np.int32), arrivals, in_flight)


def _poisson(rng: np.random.Generator, load: float, requests: int = REQUESTS) -> F64:
    """Arrivals at a unit of mean service 1."""
    return np.asarray(np.cumsum(rng.exponential(1 / load, requests)), np.float64)


def _single(load: float, squared: float, name: str, source: str, rng: np.random.Generator) -> list[Row]:
    """One unit of mean service 1 whose service times have this squared coefficient of variation."""
    works = {0.0: np.ones(REQUESTS), 1.0: rng.exponential(1.0, REQUESTS)}
    if squared > 1:  # two exponentials of balanced means
        share = (1 - math.sqrt((squared - 1) / (squared + 1))) / 2
        first = rng.random(REQUESTS) < share
        means = np.where(first, 1 / (2 * share), 1 / (2 * (1 - share)))
        works[squared] = rng.exponential(1.0, REQUESTS) * means
    found = played(works[squared][:, np.newaxis], _poisson(rng, load))
    wait = load * (1 + squared) / (2 * (1 - load))
    rows = [
        Row(
            f"{name} at {load:.0%} load: mean wait, in services",
            found.waited[0] / REQUESTS,
            wait,
            0.05,
            source,
        )
    ]
    if squared == 1.0:
        tail = -math.log(0.01) / (1 - load)
        ours = float(np.quantile(found.finish - found.arrival, 0.99))
        rows.append(Row(f"{name} at {load:.0%} load: 99th percentile of latency", ours, tail, 0.05,
                        "latency is exponential with mean 1 / (1 - rho)"))  # fmt: skip
    return rows


def _laws(rng: np.random.Generator) -> list[Row]:
    """Little's law and the utilisation law, exact for any run that begins and ends empty."""
    holds = rng.exponential((0.5, 1.0, 0.7), (20_000, 3))
    found = played(holds, _poisson(rng, 0.8, 20_000))
    span = float(found.finish.max())
    # the number in the system, integrated over time from the list of arrivals and completions
    times = np.concatenate([found.arrival, found.finish])
    change = np.repeat([1, -1], len(found.arrival))
    order = np.argsort(times, kind="stable")
    inside = np.cumsum(change[order])[:-1]
    number = float((inside * np.diff(times[order])).sum()) / span
    latency = float((found.finish - found.arrival).mean())
    rows = [
        Row("tandem of three: mean number of requests inside", number, latency * 20_000 / span, ROUNDING,
            "Little's law: L = lambda W (Operations Research 9, 1961)"),
    ]  # fmt: skip
    for unit in range(3):
        law = float(holds[:, unit].mean()) * 20_000 / span
        rows.append(
            Row(f"tandem of three: use of unit {unit}", found.busy[unit] / span, law, ROUNDING, UTILISATION)
        )
    return rows


def _tandem(rng: np.random.Generator) -> Row:
    """Exponential units in a row are independent M/M/1 queues."""
    holds = rng.exponential((0.5, 1.0, 0.7), (REQUESTS, 3))
    found = played(holds, _poisson(rng, 0.6))
    latency = sum(s / (1 - 0.6 * s) for s in (0.5, 1.0, 0.7))
    return Row("three exponential units in a row, 60 % load: mean latency",
               float((found.finish - found.arrival).mean()), latency, 0.03,
               "Jackson, Operations Research 5, 1957: sum of M/M/1 latencies")  # fmt: skip


def _closed(in_flight: int, units: int, rng: np.random.Generator) -> Row:
    """Balanced exponential units in a ring, always so many inside: X = N / (N + K - 1)."""
    requests = 200_000
    found = played(rng.exponential(1.0, (requests, units)), None, in_flight)
    done = np.sort(found.finish)
    cut = requests // 10
    ours = (requests - 2 * cut - 1) / float(done[-1 - cut] - done[cut])
    return Row(f"closed loop of {units} exponential units, {in_flight} in flight: throughput",
               ours, in_flight / (in_flight + units - 1), 0.02,
               "Gordon and Newell, Operations Research 15, 1967")  # fmt: skip


def _asymptotes() -> list[Row]:
    """Fixed service times: throughput is the least of N / (sum of services) and 1 / (longest service)."""
    services, rows = np.array([2.0, 5.0, 1.0]), []
    for in_flight in (1, 2, 16):
        found = played(np.tile(services, (5000, 1)), None, in_flight)
        done = np.sort(found.finish)
        ours = 3000 / float(done[4000] - done[1000])
        bound = 1 / max(float(services.sum()) / in_flight, float(services.max()))
        name = f"closed loop of services 2, 5, 1, {in_flight} in flight: throughput"
        rows.append(Row(name, ours, bound, 1e-3, ASYMPTOTES))
    return rows


def section() -> Section:
    """All of it."""
    rng = np.random.default_rng(0)
    khinchine = "Pollaczek and Khinchine: rho (1 + c2) / (2 (1 - rho))"
    rows = []
    for load in (0.5, 0.8, 0.9):
        rows += _single(load, 0.0, "M/D/1", khinchine, rng)
    for load in (0.5, 0.8):
        rows += _single(load, 1.0, "M/M/1", khinchine, rng)
    rows += _single(0.6, 4.0, "M/H2/1 with c2 = 4", khinchine, rng)
    rows += _laws(rng)
    rows.append(_tandem(rng))
    for in_flight, units in ((1, 3), (4, 3), (20, 5)):
        rows.append(_closed(in_flight, units, rng))
    rows += _asymptotes()
    about = (
        f"The event loop of `cimc simulate` plays {REQUESTS:,} requests with service times of known "
        "distributions, from a fixed seed; times in units of the mean service."
    )
    return Section("Queueing laws", about, tuple(rows))
