"""``cimc accuracy``: what a mapping costs in AUC, log loss and recall, over modes, widths, devices, ages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cimc.cli import options
from cimc.cli.path_options import NAMED_OR_READ, READ, WRITTEN, Command

if TYPE_CHECKING:
    from cimc.study.accuracy_measures import Study


@click.command(
    "accuracy",
    cls=Command,
    short_help="What a mapping costs in AUC, log loss and recall.",
    epilog=options.examples(
        "cimc accuracy dlrm.cimc --inputs requests.npz --reference dlrm.onnx --mode exact --mode adc",
        "cimc accuracy dlrm.onnx --calib calib.npz --inputs requests.npz \\",
        "    --sweep adc_bits=4,5,6,7,8 --sweep ranges=calibrated,clip-free --plot auc.svg",
        "cimc accuracy dlrm.onnx --calib calib.npz --inputs requests.npz --sweep weights=4,6,8 --json",
        "cimc accuracy dlrm.cimc --inputs requests.npz --mode noisy --device wan2022 \\",
        "    --age 1,86400,172800 --seeds 5 --csv ages.csv --plot ages.svg",
        "cimc accuracy twotower.onnx --calib calib.npz --inputs requests.npz --items items.npz \\",
        "    --recall-at 10 --query user_vec --item item_vec --relevant item_id",
    ),
)
@click.argument("model", type=READ)
@click.option("--inputs", type=READ, required=True, metavar="REQ.npz", help="Requests, with their labels.")
@click.option("--labels", default="", metavar="NAME", help="Array of labels in REQ.npz ('labels' if absent).")
@click.option("--output", default="", metavar="NAME", help="Output with the score (the only fitting one).")
@click.option("--logits", is_flag=True, help="Scores are log-odds: log loss takes their sigmoid.")
@click.option("--reference", type=READ, metavar="MODEL.onnx", help="Float model that a program came from.")
@options.target
@click.option("--calib", type=READ, metavar="REQ.npz", help="Calibration requests for compiling MODEL.onnx.")
@click.option("--pipeline", metavar="P", help="Passes with options; the default one if absent.")
@click.option(
    "--sweep",
    multiple=True,
    metavar="KEY=V,V,...",
    help="Compile for each value: adc_bits, weights, acts, ranges, pool, target, PASS.OPTION, array.FIELD.",
)
@click.option(
    "--mode",
    "modes",
    type=click.Choice(["exact", "adc", "noisy"]),
    multiple=True,
    default=("adc",),
    show_default=True,
    help="How it is simulated; may be repeated.",
)
@click.option(
    "--device",
    "devices",
    type=NAMED_OR_READ,
    multiple=True,
    metavar="NAME|FILE",
    help="Cells of mode noisy; repeatable.",
)
@click.option(
    "--age", "ages", default="0", show_default=True, metavar="S,S,...", help="Seconds since writing."
)
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Chips to average.")
@options.seed
@click.option(
    "--recall-at", multiple=True, type=click.IntRange(min=1), metavar="K", help="Recall; repeatable."
)
@click.option("--query", default="", metavar="OUTPUT", help="Vector of a query.")
@click.option("--item", default="", metavar="OUTPUT", help="Vector of an item; scored by inner product.")
@click.option("--scores", default="", metavar="OUTPUT", help="Instead: a score for every item.")
@click.option("--relevant", default="", metavar="NAME", help="Array with the right item of each request.")
@click.option("--items", type=READ, metavar="ITEMS.npz", help="All items (else those of the requests).")
@click.option("--item-program", type=READ, metavar="PROGRAM", help="Item tower, where MODEL is a program.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Take the first N requests only.")
@click.option("--csv", "csv_path", type=WRITTEN, metavar="FILE", help="Write a line per point.")
@click.option("--plot", type=WRITTEN, metavar="FILE", help="Draw it (.svg or .png; needs matplotlib).")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="What --plot shows; repeatable.")
@click.option("--x", metavar="KEY", help="Horizontal axis of --plot.")
@options.threads
@options.max_request_bytes
@options.host_limits
@options.as_json
def command(
    model: Path,
    inputs: Path,
    labels: str,
    output: str,
    logits: bool,
    reference: Path | None,
    target: str,
    calib: Path | None,
    pipeline: str | None,
    sweep: tuple[str, ...],
    modes: tuple[str, ...],
    devices: tuple[str, ...],
    ages: str,
    seeds: int,
    seed: int,
    recall_at: tuple[int, ...],
    query: str,
    item: str,
    scores: str,
    relevant: str,
    items: Path | None,
    item_program: Path | None,
    limit: int | None,
    csv_path: Path | None,
    plot: Path | None,
    metrics: tuple[str, ...],
    x: str | None,
    threads: int,
    max_request_bytes: int,
    as_json: bool,
) -> None:
    """Measure MODEL (ONNX, or a program) on labelled requests, against the float model.

    An ONNX file is compiled for every combination of --sweep; a program is taken as it is. Every
    combination is simulated in every mode, and in mode noisy on every device, at every age, with every seed.
    """
    from cimc.cli import output as out
    from cimc.frontend.read.load_model import load_model
    from cimc.report import figure
    from cimc.study.accuracy_sweep import Sources, runs, study
    from cimc.study.accuracy_task import Asked
    from cimc.study.accuracy_view import as_csv, blocks, draw
    from cimc.study.sweep_axes import check_horizontal, parse_axes
    from cimc.support.io.files import write_atomically
    from cimc.support.plugins.origin import Origin, noting, records

    asked = Asked(labels, output, logits, tuple(recall_at), query, item, scores, relevant)
    asked.check(items is not None)
    if plot is None and (metrics or x):
        raise click.UsageError("--metric and --x say what --plot draws, which is missing")
    asked.check_metrics(metrics)
    check_horizontal(x, parse_axes(sweep))
    figure.require(plot)
    sources = Sources(
        model, inputs, items, reference, item_program, target, calib, pipeline, tuple(sweep), seed, limit,
        max_request_bytes, threads,
    )  # fmt: skip
    sources.check()
    if reference is not None and (csv_path or plot):
        load_model(reference)  # its data files are inputs, too: known before the work
    used: dict[Origin, None] = {}
    with noting(used), out.progress("accuracy", "requests") as advance:
        chosen = runs(modes, devices, ages, seed, seeds)
        result: Study = study(sources, asked, chosen, advance)
    plugins = records(used)
    out.notes([f"plug-in: {each}" for each in plugins])
    if csv_path is not None:  # first: it is complete, whatever can be drawn
        write_atomically(csv_path, as_csv(result))
    if plot is not None:
        draw(result, plot, metrics, x)
    payload = {**result.to_json(), "plugins": [each._asdict() for each in plugins]}
    out.result(payload, blocks(result), as_json)
