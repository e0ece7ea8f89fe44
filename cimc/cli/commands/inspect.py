"""``cimc inspect``: what a model contains, and where each node would go."""

from __future__ import annotations

from pathlib import Path

import click

from cimc.cli import options
from cimc.cli.path_options import READ, WRITTEN, Command


@click.command(
    "inspect",
    cls=Command,
    short_help="What a model contains, and what goes where.",
    epilog=options.examples(
        "cimc inspect dlrm.onnx",
        "cimc inspect dlrm.onnx --nodes",
        "cimc inspect dlrm.onnx --annotate dlrm.places.onnx",
        "cimc inspect dlrm.onnx --json | jq .places",
    ),
)
@click.argument("model", type=READ)
@options.target
@options.weights
@click.option("--nodes", is_flag=True, help="Print details, and every node instead of those on the host.")
@click.option(
    "--annotate",
    "annotate",
    type=WRITTEN,
    metavar="OUT.onnx",
    help="Write the model with each node's place and reason in its metadata, for graph viewers.",
)
@options.host_limits
@options.details
@options.as_json
def command(
    model: Path,
    target: str,
    weights: str | None,
    nodes: bool,
    annotate: Path | None,
    details: bool,
    as_json: bool,
) -> None:
    """Say what MODEL (ONNX) contains, and where each node would go: arrays, vector unit or host, and why.

    Nothing is quantised or executed. For nodes that stay on the host the reason is given, and where a
    pattern nearly matched, the condition that failed.
    """
    from cimc.cli import output
    from cimc.frontend.import_graph import import_model
    from cimc.frontend.read.load_model import load_model
    from cimc.ir.text import new_context
    from cimc.report.model_content import inspect_blocks, inspect_json, read_imported
    from cimc.report.screen.inspect_screen import inspect_screen
    from cimc.target.load_target import load_target
    from cimc.transforms.passes import FRONTEND
    from cimc.transforms.pipeline import Pipeline

    chosen = load_target(target)
    loaded = load_model(model, weights=weights)
    if loaded.generated is not None:
        output.notes([loaded.generated.note])
    ctx = new_context()
    ctx.target = chosen
    module = import_model(loaded, ctx)
    ctx.model, ctx.model_digest = model.name, loaded.digest
    imported = read_imported(module, loaded)
    Pipeline.parse(FRONTEND).run(module, ctx)
    payload = inspect_json(imported, module, ctx, chosen)
    if annotate is not None:
        from cimc.report.annotate import annotated
        from cimc.support.io.files import write_atomically

        write_atomically(annotate, annotated(model, payload["nodes"]))
    blocks = inspect_blocks(payload, nodes)
    output.answered(payload, inspect_screen(payload), blocks, as_json, details or nodes)
