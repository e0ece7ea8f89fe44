"""``cimc simulate``: how long many requests take that share the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from cimc.cli import options
from cimc.cli.number_options import POSITIVE, RATE
from cimc.cli.path_options import READ, WRITTEN, Command

_AGAINST = {"load": "CPU", "at_p99": "CPU, p99"}
"""Loads that are compared with a CPU, and the label of each."""


@click.command(
    "simulate",
    cls=Command,
    short_help="Latency and throughput of requests that share the machine.",
    epilog=options.examples(
        "cimc simulate dlrm.cimc --inputs requests.npz --in-flight 16",
        "cimc simulate dlrm.cimc --inputs requests.npz --rate 500000 --arrivals poisson --seed 1",
        "cimc simulate dlrm.cimc --inputs requests.npz --in-flight 64 --p99-us 20 --baseline cpu.json",
        "cimc simulate dlrm.cimc --inputs requests.npz --rate 2e7 --arrivals poisson --dispatch least",
        "cimc simulate dlrm.cimc --inputs requests.npz --in-flight 8 --timeline t.json --plot load.svg",
    ),
)
@click.argument("program", type=READ)
@click.option("--inputs", type=READ, required=True, metavar="REQ.npz", help="Arrays named after the inputs.")
@click.option("--in-flight", type=click.IntRange(min=1), metavar="N", help="Requests under way at any time.")
@click.option("--rate", type=RATE, metavar="R", help="Requests per second, such as 250000, 250k or 10M.")
@click.option(
    "--arrivals",
    type=click.Choice(["fixed", "poisson"]),
    help="With --rate: at equal distances (the default), or at random.",
)
@click.option(
    "--dispatch",
    type=click.Choice(["turn", "least"]),
    default="turn",
    show_default=True,
    help="Instances that a request uses: in turn, or those with the fewest requests under way.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Simulate the first N requests only.")
@click.option(
    "--scratchpad-gbps",
    type=POSITIVE,
    metavar="R",
    help="Rate of each scratchpad's port in Gb/s; without it ports make nothing wait.",
)
@click.option(
    "--link-buffer",
    type=click.IntRange(min=1),
    metavar="N",
    help="Whole messages that the buffer of each mesh link holds; without it, any number.",
)
@click.option("--timeline", type=WRITTEN, metavar="FILE", help="Write a timeline for Perfetto (JSON).")
@click.option(
    "--timeline-requests",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    metavar="N",
    help="Requests in the timeline, from the first on.",
)
@click.option("--plot", type=WRITTEN, metavar="FILE", help="Draw a map of the load on the mesh (.svg, .png).")
@click.option(
    "--p99-us",
    type=POSITIVE,
    metavar="US",
    help="Find the largest Poisson rate whose 99th percentile of latency keeps this bound.",
)
@options.baseline
@options.seed
@options.max_request_bytes
@options.host_limits
@options.details
@options.as_json
def command(
    program: Path,
    inputs: Path,
    in_flight: int | None,
    rate: float | None,
    arrivals: str | None,
    dispatch: Literal["turn", "least"],
    limit: int | None,
    scratchpad_gbps: float | None,
    link_buffer: int | None,
    timeline: Path | None,
    timeline_requests: int,
    plot: Path | None,
    p99_us: float | None,
    baseline: Path | None,
    seed: int,
    max_request_bytes: int,
    details: bool,
    as_json: bool,
) -> None:
    """Simulate requests that share the machine of PROGRAM, with the ids that they really look up.

    Every array, bus, vector unit, memory, router port, mesh link and host link serves one thing at a time,
    first come, first served; requests overlap. Prints latency percentiles, throughput, and how busy units
    are. One request at a time without --in-flight or --rate.
    """
    from cimc.api import Program
    from cimc.cli import output
    from cimc.cost import estimate
    from cimc.report.figure import require
    from cimc.report.queueing import draw_load, simulation_blocks
    from cimc.report.screen.simulate_screen import simulate_screen
    from cimc.report.summary import header_json
    from cimc.support.io.files import write_atomically
    from cimc.timing import Arrivals, simulate
    from cimc.workload.request_file import load_requests

    if rate is not None and in_flight is not None:
        raise click.UsageError("--in-flight keeps requests under way, --rate lets them arrive: choose one")
    if arrivals is not None and rate is None:
        raise click.UsageError("--arrivals goes with --rate")
    require(plot)
    how = Arrivals("closed", in_flight or 1)
    if rate is not None:
        how = Arrivals("poisson" if arrivals == "poisson" else "fixed", rate=rate, seed=seed)
    loaded = Program.load(program)
    cpu = None
    if baseline is not None:
        from cimc.study.baseline.records import Baseline

        cpu = Baseline.of_model(baseline, loaded.data.header.model_digest)
    arrays = load_requests(inputs, max_request_bytes)
    if limit is not None:
        from cimc.isa.jagged import jagged_in_program
        from cimc.workload.first_requests import first_requests

        names = [name for name, _, _ in loaded.data.header.inputs]
        arrays = first_requests(arrays, names, jagged_in_program(loaded.data), limit)
    with output.progress("requests", "requests") as advance:
        found, activity = simulate(
            loaded.data,
            loaded.target,
            arrays,
            how,
            dispatch=dispatch,
            scratchpad_gbps=scratchpad_gbps,
            link_buffer=link_buffer,
            timeline=timeline_requests if timeline is not None else 0,
            progress=lambda done, total: advance(done, total, ""),
        )
    if timeline is not None:
        from cimc.timing.timeline import timeline_text

        write_atomically(timeline, timeline_text(found))
    if plot is not None:
        draw_load(found, plot)
    cost = estimate(loaded.data, loaded.target, activity)
    payload = {
        "program": header_json(loaded.data),
        "simulation": found.to_json(),
        "analytic": {
            "latency_ns": cost.latency_ns,
            "throughput_rps": cost.throughput_rps,
            "machine_bounds": cost.to_json()["machine_bounds"],
            "bottleneck": cost.bottleneck,
        },
        "energy_pj": cost.energy_pj,
        "energy_at_load_pj": cost.energy_at_pj(found.throughput_rps),
        "static_power": cost.static.to_json(),
        "on_chip": cost.on_chip.to_json(),
    }
    blocks, bounded = simulation_blocks(found, cost), None
    beside: list[tuple[str, object]] = []
    if p99_us is not None:
        from cimc.study.baseline.bounded_load import throughput_at_p99

        with output.progress("rates", "rates") as advance:
            bounded = throughput_at_p99(
                loaded.data, loaded.target, arrays, p99_us * 1e3, cost.throughput_rps, seed, advance, dispatch
            )
        payload["at_p99"] = bounded.to_json()
        blocks += bounded.blocks()
    if cpu is not None:
        from cimc.study.baseline.ratios import load_ratios
        from cimc.study.baseline.scopes import CostTerms

        terms = CostTerms.of(cost.to_json())
        sets = load_ratios(cpu, terms, found.throughput_rps, arrays, bounded)
        payload["baseline"] = {name: each.to_json() for name, each in sets.items()}
        blocks += [block for each in sets.values() for block in each.blocks()]
        beside = [line for name, each in sets.items() for line in each.lines(_AGAINST[name])]
    kept = [] if bounded is None else bounded.lines()
    first = simulate_screen(loaded.data, found, cost, beside, kept)
    output.answered(payload, first, blocks, as_json, details)
