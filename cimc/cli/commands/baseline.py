"""``cimc baseline``: what the CPU at hand does with a model and requests."""

from __future__ import annotations

from pathlib import Path

import click

from cimc.cli import options
from cimc.cli.number_options import POSITIVE
from cimc.cli.path_options import READ, WRITTEN, Command


@click.command(
    "baseline",
    cls=Command,
    short_help="Measure the CPU at hand on a model and requests.",
    epilog=options.examples(
        "cimc baseline dlrm.onnx --inputs requests.npz --save cpu.json",
        "cimc baseline dlrm.onnx --inputs requests.npz --seconds 300 --batch 1 --batch 512",
        "cimc run dlrm.cimc --inputs requests.npz --baseline cpu.json",
    ),
)
@click.argument("model", type=READ)
@click.option("--inputs", type=READ, required=True, metavar="REQ.npz", help="Arrays named after the inputs.")
@click.option(
    "--seconds",
    type=POSITIVE,
    default=60.0,
    show_default=True,
    metavar="S",
    help="Time for all rows together; each takes an equal share, and six calls at least.",
)
@click.option(
    "--batch",
    "batches",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1, 16, 256, 2048),
    show_default=True,
    metavar="N",
    help="Requests of a call, at most those given; may be repeated.",
)
@click.option(
    "--engine",
    "engines",
    type=click.Choice(["fp32", "int8", "fused"]),
    multiple=True,
    default=("fp32", "int8", "fused"),
    show_default=True,
    help="onnxruntime in fp32 or int8, or the fused reference (fp32); may be repeated.",
)
@click.option(
    "--cores",
    type=click.IntRange(min=1),
    metavar="N",
    help="Use 1, 2, 4, ... and at most N cores.  [default: all]",
)
@click.option(
    "--watts-per-core",
    type=POSITIVE,
    metavar="W",
    help="Power of a core that works.  [default: energy counters, or else a cited figure]",
)
@click.option("--save", type=WRITTEN, metavar="FILE", help="Write the baseline for --baseline (JSON).")
@options.max_request_bytes
@options.host_limits
@options.as_json
def command(
    model: Path,
    inputs: Path,
    seconds: float,
    batches: tuple[int, ...],
    engines: tuple[str, ...],
    cores: int | None,
    watts_per_core: float | None,
    save: Path | None,
    max_request_bytes: int,
    as_json: bool,
) -> None:
    """Measure how fast this machine's CPU computes MODEL (ONNX) on recorded requests, and at what power.

    onnxruntime in fp32 and int8, and a reference whose embedding bags are fused, over batch sizes and cores;
    with the ids as recorded, and with one request again and again. Nothing else should run meanwhile.
    """
    from cimc.cli import output
    from cimc.study.baseline.measure import measure_baseline
    from cimc.study.baseline.measured_table import baseline_blocks
    from cimc.workload.request_file import load_requests

    arrays = load_requests(inputs, max_request_bytes)
    with output.progress("rows", "rows") as advance:
        found = measure_baseline(
            model,
            arrays,
            seconds=seconds,
            batches=batches,
            engines=[f"onnxruntime {name}" if name != "fused" else "fused fp32" for name in engines],
            cores=cores,
            watts_per_core=watts_per_core,
            progress=advance,
        )
    if save is not None:
        found.save(save)
    output.result(found.to_json(), baseline_blocks(found), as_json)
