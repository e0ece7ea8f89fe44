"""Simulating a program on requests, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.cost.cost_model import CostModel
from cimc.cost.machine_units import Unit, contents, label
from cimc.cost.on_chip import OnChip, on_chip
from cimc.errors import RequestError
from cimc.isa.program import HostSegment, Program
from cimc.sim.activity import Activity
from cimc.support.shown import Shown, counted
from cimc.target.spec import Target
from cimc.timing.arrivals import Arrivals
from cimc.timing.dispatch import Dealer, Dispatch
from cimc.timing.event_loop import OUTSIDE, UNLIMITED, Loop, Played, Spans, play
from cimc.timing.expand import expand, port_bits
from cimc.timing.steady_state import PERCENTILES, SteadyState, steady_state
from cimc.timing.template import Template, templates_of
from cimc.timing.visits import Recorder

F64 = NDArray[np.float64]
WINDOW = 512
"""Requests whose tasks are made at a time, and forgotten when they are done."""
_PER_TURN = 32
"""Those of them that use the same instances, at least: their tasks are made together."""


@dataclass(frozen=True)
class Load:
    """One unit over the whole simulation.

    Attributes:
        unit, name: which, and what it is called.
        busy_ns: time it was in use; ``utilisation``: the share of the simulated time.
        uses: tasks it served; ``wait_ns``: mean time that one waited for it; ``longest_wait_ns``.
        blocked_ns: time it stood still, as the buffer that it was to send into was full.
    """

    unit: Unit
    name: str
    busy_ns: float
    utilisation: float
    uses: int
    wait_ns: float
    longest_wait_ns: float
    blocked_ns: float


@dataclass(frozen=True, repr=False)
class Simulation(Shown):
    """Requests on a machine, times in ns.

    Attributes:
        program, target, arrivals, dispatch: what was simulated.
        turns: int64 ``[requests]``, which instances each used, see :mod:`cimc.timing.dispatch`.
        templates, played: what requests do, by the instances that they use, and what happened.
        spans: uses of units by the first requests (see ``timeline`` of :func:`simulate`), in order of time.
        unloaded: float64 ``[requests]``, the critical path of each request: its latency if no unit ever made
            it wait, not even for itself.
        scratchpad_gbps: rate of the scratchpad ports, ``None``: no limit.
        scratchpad_bits: tile -> mean bits per request through its scratchpad.
        link_buffer: whole messages that the buffer of each mesh link holds, ``None``: no limit.
        host_segments: stretches that run on the host, in no time here.
        on_chip: the share of the model's work that is simulated.
    """

    program: Program
    target: Target
    arrivals: Arrivals
    dispatch: Dispatch
    turns: NDArray[np.int64] = field(repr=False)
    templates: list[Template] = field(repr=False)
    played: Played = field(repr=False)
    spans: Spans = field(repr=False)
    unloaded: F64 = field(repr=False)
    scratchpad_gbps: float | None
    scratchpad_bits: Mapping[int, float]
    link_buffer: int | None
    host_segments: int
    on_chip: OnChip

    def _brief(self) -> str:
        found = (
            f"of {counted(self.requests, 'request')} on {self.target.name}: {self.makespan_ns:.4g} ns in all"
        )
        return found + (
            f", {counted(self.host_segments, 'host segment')} left out" if self.host_segments else ""
        )

    @property
    def requests(self) -> int:
        """How many."""
        return len(self.played.finish)

    @cached_property
    def latency(self) -> F64:
        """Of each request, from its arrival to its last result."""
        return self.played.finish - self.played.arrival

    @property
    def makespan_ns(self) -> float:
        """From the first arrival to the last completion."""
        if not self.requests:
            return 0.0
        return float(self.played.finish.max() - self.played.arrival.min())

    @cached_property
    def steady(self) -> SteadyState:
        """The steady state, or why there is none."""
        busiest = self.loads[0].utilisation if self.loads else 0.0
        return steady_state(self.arrivals, self.played.arrival, self.played.finish, busiest)

    @property
    def throughput_rps(self) -> float | None:
        """Completions per second of the steady state; of the whole run where there is none.

        ``None`` when the chip does nothing.
        """
        return None if self.steady.throughput is None else self.steady.throughput.value

    def percentile(self, share: float) -> float:
        """Latency that ``share`` percent of the steady state's requests do not exceed (an observed one)."""
        latencies = self.steady.latencies
        return float(np.quantile(latencies, share / 100, method="inverted_cdf")) if len(latencies) else 0.0

    @cached_property
    def loads(self) -> tuple[Load, ...]:
        """All units that were used, the busiest first."""
        held = contents(self.program)
        whole = self.makespan_ns
        found = []
        for number, unit in enumerate(self.templates[0].units.names()):
            busy, uses = float(self.played.busy[number]), int(self.played.served[number])
            if not busy:
                continue
            name = f"tile {unit.place} scratchpad port" if unit.kind == "scratchpad" else label(unit, held)
            wait = float(self.played.waited[number]) / uses
            share = busy / whole if whole > 0 else 0.0
            longest, blocked = float(self.played.longest[number]), float(self.played.blocked[number])
            found.append(Load(unit, name, busy, share, uses, wait, longest, blocked))
        return tuple(sorted(found, key=lambda each: (-each.busy_ns, each.unit)))

    @property
    def bottleneck(self) -> str:
        """The busiest unit; ``""`` when the chip does nothing."""
        return self.loads[0].name if self.loads else ""

    def tile_loads(self) -> dict[int, tuple[float, str]]:
        """Tile -> utilisation of its busiest unit (array, bus, vector unit, memory, router port), which."""
        found: dict[int, tuple[float, str]] = {}
        for load in self.loads:
            if load.unit.kind in ("link", "host link", "dram"):
                continue
            if load.utilisation > found.get(load.unit.place, (0.0, ""))[0]:
                found[load.unit.place] = (load.utilisation, load.name)
        return dict(sorted(found.items()))

    def link_loads(self) -> dict[tuple[int, int], float]:
        """Mesh link (from tile, to tile) -> utilisation."""
        links = [load for load in self.loads if load.unit.kind == "link"]
        return {(load.unit.place, load.unit.number): load.utilisation for load in links}

    def to_json(self) -> dict[str, Any]:
        """The figures as plain dicts, lists, numbers and text."""
        latency = self.latency
        return {
            "requests": self.requests,
            "arrivals": {
                "kind": self.arrivals.kind,
                **(
                    {"in_flight": self.arrivals.in_flight}
                    if self.arrivals.kind == "closed"
                    else {"rate_rps": self.arrivals.rate, "seed": self.arrivals.seed}
                ),
            },
            "dispatch": self.dispatch,
            "latency_ns": {
                "mean": self.steady.mean.value,
                **{f"p{p}": self.percentile(p) for p in PERCENTILES},
                "max": float(latency.max(initial=0.0)),
            },
            "unloaded_ns": {
                "mean": float(self.unloaded.mean()) if len(latency) else 0.0,
                "max": float(self.unloaded.max(initial=0.0)),
            },
            "throughput_rps": self.throughput_rps,
            "steady_state": self.steady.to_json(),
            "makespan_ns": self.makespan_ns,
            "bottleneck": self.bottleneck,
            "units": [
                {
                    "name": load.name,
                    "kind": load.unit.kind,
                    "busy_ns": load.busy_ns,
                    "utilisation": load.utilisation,
                    "uses": load.uses,
                    "mean_wait_ns": load.wait_ns,
                    "longest_wait_ns": load.longest_wait_ns,
                    "blocked_ns": load.blocked_ns,
                }
                for load in self.loads
            ],
            "tiles": {str(t): {"utilisation": u, "unit": name} for t, (u, name) in self.tile_loads().items()},
            "links": {f"{a}-{b}": u for (a, b), u in sorted(self.link_loads().items())},
            "scratchpad": {
                "gbps_limit": self.scratchpad_gbps,
                "bits_per_request": {str(t): bits for t, bits in sorted(self.scratchpad_bits.items())},
            },
            "link_buffer": self.link_buffer,
            "host_segments": self.host_segments,
            "on_chip": self.on_chip.to_json(),
        }


def simulate(
    program: Program,
    target: Target,
    requests: dict[str, NDArray[Any]],
    arrivals: Arrivals | None = None,
    *,
    dispatch: Dispatch = "turn",
    scratchpad_gbps: float | None = None,
    link_buffer: int | None = None,
    timeline: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Simulation, Activity]:
    """Simulate ``program`` on ``requests``; also what its lookups did, for :func:`cimc.cost.estimate`.

    The functional simulator executes the requests (mode ``exact``) and reports the ids of every lookup; the
    task graphs of all requests are then played against each other.

    Args:
        program: compiled for ``target``, or a target that differs in constants only.
        target: the machine.
        requests: an array per input of the model.
        arrivals: how requests arrive; one at a time by default.
        dispatch: which instances they use: one after the other (``turn``), or those with the fewest requests
            under way (``least``), see :mod:`cimc.timing.dispatch`.  Copies of rows are read in turn.
        scratchpad_gbps: rate of the port of each scratchpad; ``None``: ports never make anything wait.
        link_buffer: how many whole messages the buffer of each mesh link holds, that under way included; what
            sends to a link whose buffer is full waits, and all behind it.  ``None``: any number.
        timeline: keep what units did for the first so many requests.
        progress: called with (requests done, requests in all) of the functional simulation.

    Raises:
        CostError, ProgramError: as :func:`cimc.cost.estimate`.
        RequestError: ``simulate.bad-buffer``, ``simulate.bad-dispatch``; as
            :meth:`cimc.sim.executor.Simulator.run`.
    """
    from cimc.sim.executor import Simulator

    recorder = Recorder(program, target)
    _, activity = Simulator(program, target).run(requests, "exact", progress, observer=recorder)
    if not activity.requests:
        raise RequestError("request.none", "there are no requests to simulate", hint="give at least one")
    made = simulate_visits(
        program,
        target,
        recorder,
        activity.requests,
        arrivals or Arrivals(),
        scratchpad_gbps,
        timeline,
        link_buffer,
        dispatch,
    )
    return replace(made, on_chip=on_chip(program, activity)), activity


def simulate_visits(
    program: Program,
    target: Target,
    recorder: Recorder,
    requests: int,
    arrivals: Arrivals,
    scratchpad_gbps: float | None = None,
    timeline: int = 0,
    link_buffer: int | None = None,
    dispatch: Dispatch = "turn",
) -> Simulation:
    """Simulate ``requests`` requests whose lookups ``recorder`` has seen."""
    if link_buffer is not None and link_buffer < 1:
        raise RequestError("simulate.bad-buffer", "the buffer of a mesh link holds at least one message")
    dealer = Dealer(dispatch, (g.count for s in program.chip_segments for g in s.copies), requests)
    templates = templates_of(CostModel(program, target, None), scratchpad_gbps)
    window = max(WINDOW, _PER_TURN * len(templates))
    step = window if dealer.at_once else 1
    loop = Loop(requests, arrivals.times(requests), arrivals.in_flight)
    unloaded: list[F64] = [np.zeros(0)]
    nothing = np.zeros(0, np.int32)
    spans = [Spans(nothing, nothing, nothing, np.zeros(0), np.zeros(0))]
    while loop.loaded < requests:
        first = loop.loaded
        stop = min(requests, first + max(step, arrivals.in_flight if not first else 0))
        turns = dealer.deal(stop - first, loop.under_way)
        graph = expand(templates, recorder, first, stop, target, scratchpad_gbps, turns)
        places = _places(templates[0], link_buffer)
        loop.play(graph, places)
        if timeline:
            spans.append(loop.spans(timeline))
        alone = replace(graph, request=graph.request - np.int32(first))
        unloaded.append(play(alone, places, np.zeros(stop - first), 1, contention=False).finish)
    bits = _scratchpad_bits(templates, recorder, dealer.turns)
    hosts = sum(isinstance(s, HostSegment) for s in program.segments)
    return Simulation(
        program,
        target,
        arrivals,
        dispatch,
        dealer.turns,
        templates,
        loop.result(_places(templates[0], link_buffer)),
        Spans.together(spans),
        np.concatenate(unloaded),
        scratchpad_gbps,
        bits,
        link_buffer,
        hosts,
        on_chip(program),
    )


def _scratchpad_bits(
    templates: list[Template], recorder: Recorder, turns: NDArray[np.int64]
) -> dict[int, float]:
    """Tile -> mean bits per request through its scratchpad."""
    bits: dict[int, float] = {}
    requests = max(len(turns), 1)
    for turn, template in enumerate(templates):
        mine = np.flatnonzero(turns == turn)
        for tile, amount in template.scratchpad_bits.items():
            bits[tile] = bits.get(tile, 0.0) + amount * len(mine) / requests
        for site in template.sites:
            total = float(port_bits(site, recorder.of(site.key))[mine].sum())
            bits[site.home] = bits.get(site.home, 0.0) + total / requests
    return bits


def _places(template: Template, of_link: int | None) -> NDArray[np.int32]:
    """Places before each unit.

    Only mesh links have a limit.  A message that has come over the last one lies in the memory of its tile,
    or of the host, which always takes it; one from the host link waits at the edge of the chip.  Links of X-Y
    routes never wait for each other in a ring, so nothing waits for ever.
    """

    def of(unit: Unit) -> int:
        if unit.kind == "link" and of_link is not None:
            return of_link
        return UNLIMITED if unit.kind in ("link", "router out") else OUTSIDE

    return np.array([of(unit) for unit in template.units.names()], np.int32)
