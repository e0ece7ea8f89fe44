"""The first screen of ``cimc simulate``."""

from __future__ import annotations

from collections.abc import Sequence

from cimc.cost import Cost
from cimc.isa.program import Program
from cimc.report.blocks import Facts
from cimc.report.queueing import between, load_of
from cimc.report.screen.answers import Line, Next, constants, done_on_chip, fits, screen, spent
from cimc.report.summary import machine_lines
from cimc.support.quantities import count, percent, rate, seconds
from cimc.timing import Simulation

_WAITS = 2.0
"""A 99th percentile of so many times the unloaded latency: requests wait for one another."""


def simulate_screen(
    program: Program, found: Simulation, cost: Cost, beside: Sequence[Line] = (), bounded: Sequence[Line] = ()
) -> Facts:
    """Requests per second and latencies at the load, what limits them, and for what power.

    Args:
        program: what was simulated.
        found: the simulation.
        cost: of the same requests.
        beside: ratios to a CPU.
        bounded: the largest load that keeps a bound on latency.
    """
    steady, how = found.steady, found.arrivals
    achieved = steady.throughput.value if steady.throughput else None
    alone = float(found.unloaded.mean()) if found.requests else 0.0
    closed = (min(how.in_flight, found.requests), alone) if how.kind == "closed" else None
    p99 = steady.percentiles.get(99)
    lines: list[Line] = [
        ("load", load_of(found) + _options(found)),
        fits(cost.area.counts),
        *done_on_chip(found.on_chip),
        ("throughput", between(steady.throughput, rate) if steady.throughput else "-"),
        *(("", text) for _, text in machine_lines(cost, achieved, closed)),
        ("busiest", _busiest(found)),
        ("latency", f"mean {between(steady.mean, seconds)}; {seconds(alone)} where nobody waits"),
        *([] if p99 is None else [("", f"p99 {between(p99, seconds)}")]),
        *bounded,
        *spent(cost, achieved, "at that throughput"),
        *beside,
    ]
    notes = (
        [] if not steady.missing else [f"figures are of the whole run, without intervals: {steady.missing}"]
    )
    nexts: list[Next] = []
    if how.kind == "closed" and how.in_flight == 1:
        nexts.append(("--in-flight 64", "requests that share the machine"))
    elif p99 is not None and alone > 0 and p99.value > _WAITS * alone:
        nexts.append((f"--p99-us {alone * 2e-3:.3g}", "the largest load that keeps this bound on latency"))
    nexts += [
        ("--timeline T.json", "what each unit does, request by request"),
        ("cimc compile --search 20", "other mappings, judged at a load"),
    ]
    title = f"{program.header.model} on {program.header.target}, simulated"
    return screen(title, lines, [*notes, *constants(cost), *program.header.notes], nexts)


def _options(found: Simulation) -> str:
    """What was chosen beside the load."""
    chosen = [", to the instance with the fewest"] if found.dispatch == "least" else []
    if found.link_buffer is not None:
        chosen.append(f", links buffer {count(found.link_buffer)} messages")
    return "".join(chosen)


def _busiest(found: Simulation) -> str:
    if not found.bottleneck:
        return "-"
    busiest = found.loads[0]
    return f"{busiest.name}, busy {percent(busiest.utilisation)} of the time"
