"""``cimc plan``: a model by statistics, and what machine serves it."""

from __future__ import annotations

from pathlib import Path

import click

from cimc.cli import options
from cimc.cli.number_options import RATE
from cimc.cli.path_options import READ, WRITTEN, Command


@click.command(
    "plan",
    cls=Command,
    short_help="Plan a machine for a model that statistics describe.",
    epilog=options.examples(
        "cimc plan feed.yaml --rate 10M",
        "cimc plan feed.yaml --chips 16384 --target 'tsinghua28{link=ucie chip.ports=4}' --json",
        "cimc plan dlrm.onnx --trace trace.npz --save dlrm.yaml",
    ),
)
@click.argument("model", type=READ)
@options.target
@click.option(
    "--rate", type=RATE, metavar="R", help="Requests per second to serve, such as 250000, 250k or 10M."
)
@click.option("--chips", type=click.IntRange(min=1), metavar="N", help="Chips of the machine.")
@click.option(
    "--detail",
    type=click.Choice(["auto", "blocks", "classes"]),
    default="auto",
    show_default=True,
    help="Place every block of tables, or decide over classes of them.",
)
@click.option("--trace", type=READ, metavar="TRACE.npz", help="Accesses of the tables of an ONNX model.")
@click.option("--save", type=WRITTEN, metavar="OUT.yaml", help="Write the description of an ONNX model.")
@options.weights
@options.seed
@options.host_limits
@options.as_json
def command(
    model: Path,
    target: str,
    rate: float | None,
    chips: int | None,
    detail: str,
    trace: Path | None,
    save: Path | None,
    weights: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Say which machine serves MODEL: chips, copies, requests per second, watts, and what crosses.

    MODEL is a description by statistics (YAML or JSON), or an ONNX model with --trace. No row of a table is
    held. With --rate the fewest chips that serve it are looked for, or with --chips too, whether those do.
    """
    from cimc.cli import output
    from cimc.study.planning.describe_model import described, save_description
    from cimc.study.planning.machine_plan import make_plan
    from cimc.study.planning.plan_tables import plan_blocks
    from cimc.target.load_target import load_target

    for name, given in (("--trace", trace), ("--weights", weights)):
        if given is not None and model.suffix != ".onnx":
            raise click.UsageError(f"{name} goes with an ONNX model; a description says all that it needs")
    chosen = load_target(target)
    what = described(model, trace, weights)
    if save is not None:
        save_description(what, save)
    found = make_plan(what, chosen, rate=rate, chips=chips, detail=detail, seed=seed)
    output.result(found.to_json(), plan_blocks(found), as_json)
