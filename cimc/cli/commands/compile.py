"""``cimc compile``: an ONNX model becomes a program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cimc.cli import options
from cimc.cli.number_options import POSITIVE, RATE
from cimc.cli.path_options import READ, WRITTEN, Command, WrittenFolder

if TYPE_CHECKING:
    from cimc.api import Program
    from cimc.report.blocks import Block
    from cimc.transforms.instrumentation import Instrument


@click.command(
    "compile",
    cls=Command,
    short_help="Turn an ONNX model into a program.",
    epilog=options.examples(
        "cimc compile dlrm.onnx -o dlrm.cimc --calib requests.npz",
        "cimc compile dlrm.onnx -o dlrm.cimc --calib requests.npz --trace dlrm.trace.npz",
        "cimc compile dlrm.onnx -o dlrm.cimc --target isaac32 --check-each",
        "cimc compile dlrm.onnx -o dlrm.cimc --dump-ir ir/ --print-ir-after=recognise",
        "cimc compile graph_only.onnx -o dlrm.cimc --weights generated:0",
        "cimc compile twotower.onnx -o user.cimc --calib requests.npz --select user_vec",
        "cimc compile dlrm.onnx -o dlrm.cimc --calib requests.npz --objective energy --rate 2000000",
        "cimc compile dlrm.onnx -o dlrm.cimc --calib requests.npz --load 128 --p99-us 5 --search 20",
        "cimc compile twotower.onnx -o feed.cimc --select user_vec --corpus items.npy --top-k 100",
        "cimc compile dlrm.onnx -o dlrm.cimc \\",
        "    --pipeline 'frontend,quantize{weights=4 acts=8},shard,choose-adc-steps,place,schedule,lower'",
    ),
)
@click.argument("model", type=READ)
@click.option(
    "-o", "--output", "path", type=WRITTEN, required=True, metavar="OUT", help="The program to write."
)
@options.target
@click.option(
    "--calib",
    type=READ,
    metavar="REQ.npz",
    help="Requests that set quantisation and ADC ranges; invented if absent, with a note.",
)
@click.option(
    "--trace",
    type=READ,
    metavar="TRACE.npz",
    help="Accesses of the tables (see 'cimc trace'); those of the calibration requests if absent.",
)
@click.option("--pipeline", metavar="P", help="Passes with options; the default one if absent.")
@click.option(
    "--objective",
    type=click.Choice(["throughput", "latency", "energy", "edp"]),
    help="What decides how much is copied; edp: energy times latency.  [default: throughput]",
)
@click.option(
    "--load",
    type=click.IntRange(min=1),
    metavar="N",
    help="Requests in flight that it is for.  [default: 64; of latency 1]",
)
@click.option(
    "--rate", type=RATE, metavar="R", help="Requests a second that arrive (2000000, 2M), instead of --load."
)
@click.option(
    "--p99-us", type=POSITIVE, metavar="US", help="Refuse a program whose simulated p99 latency is longer."
)
@click.option(
    "--search",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Try N pipelines, simulate the best few, take the best.",
)
@options.seed
@options.weights
@click.option(
    "--select",
    multiple=True,
    metavar="OUTPUT",
    help="Compile only what this output needs, one tower say; may be repeated.",
)
@click.option(
    "--corpus", type=READ, metavar="ITEMS.npy", help="Search these vectors [items, dim] with the output."
)
@click.option("--ids", type=READ, metavar="IDS.npy", help="What items are called; by position if absent.")
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many items leave.  [default: 100; x>=1]",
)
@click.option("--metric", metavar="M", help="ip (dot, inner_product), cosine or l2 (l2sq).  [default: ip]")
@click.option("--print-ir-after", metavar="all|NAME,...", help="Print the IR on stderr after these passes.")
@click.option("--print-locations", is_flag=True, help="Printed IR names the ONNX node of each operation.")
@click.option(
    "--dump-ir",
    type=WrittenFolder("[0-9][0-9]-*.mlir", "data.safetensors"),
    metavar="DIR",
    help="Write the IR after every pass, and its arrays.",
)
@click.option("--check-each", is_flag=True, help="Execute the IR after every pass, against onnxruntime.")
@click.option("--timings", is_flag=True, help="Print seconds and growth of peak memory per pass on stderr.")
@options.max_request_bytes
@options.host_limits
@options.details
@options.as_json
def command(
    model: Path,
    path: Path,
    target: str,
    calib: Path | None,
    trace: Path | None,
    pipeline: str | None,
    objective: str | None,
    load: int | None,
    rate: float | None,
    p99_us: float | None,
    search: int,
    seed: int,
    weights: str | None,
    select: tuple[str, ...],
    corpus: Path | None,
    ids: Path | None,
    top_k: int | None,
    metric: str | None,
    print_ir_after: str | None,
    print_locations: bool,
    dump_ir: Path | None,
    check_each: bool,
    timings: bool,
    max_request_bytes: int,
    details: bool,
    as_json: bool,
) -> None:
    """Compile MODEL (ONNX) into a program for a target.

    Equal inputs, options and seed give a byte-identical program.
    """
    import cimc
    from cimc.cli import output
    from cimc.frontend.append_search import CorpusFile
    from cimc.instrument import CheckEach, DumpIR, PassProgress, PrintIR, Timings
    from cimc.report.screen.program_screen import program_screen
    from cimc.transforms.passes import DEFAULT_PIPELINE
    from cimc.transforms.pipeline import Pipeline
    from cimc.workload.request_file import load_requests

    if weights is not None and check_each:
        raise click.UsageError("--check-each compares with onnxruntime, which has no generated weights")
    if select and check_each:
        raise click.UsageError("--check-each compares whole models: leave out --select")
    if load is not None and rate is not None:
        raise click.UsageError("the load is either --load, requests in flight, or --rate, requests a second")
    if corpus is not None and check_each:
        raise click.UsageError(
            "--check-each compares with the model, which searches nothing: leave out --corpus"
        )
    for name, given in (("--ids", ids), ("--top-k", top_k), ("--metric", metric)):
        if given is not None and corpus is None:
            raise click.UsageError(f"{name} says how --corpus is searched, which is not given")
    items = None if corpus is None else CorpusFile.load(corpus, top_k or 100, metric or "ip", ids)
    line = Pipeline.parse(pipeline or DEFAULT_PIPELINE)
    requests = load_requests(calib, max_request_bytes) if calib is not None else None
    times = Timings()
    checks = CheckEach(model) if check_each else None
    with output.progress("compiling", "passes") as advance:
        advance(0, len(line.passes), "import")
        watching: list[Instrument] = [times, PassProgress(advance)]
        if print_ir_after is not None:
            names = [name.strip() for name in print_ir_after.split(",") if name.strip()]
            watching.append(PrintIR(names, locations=print_locations))
        watching += [DumpIR(dump_ir)] if dump_ir is not None else []
        watching += [checks] if checks is not None else []
        program = cimc.compile(
            model, target, requests, line,
            seed=seed, weights=weights, outputs=select, corpus=items, trace=trace, instrument=watching,
            objective=objective, load=load, rate=rate, p99_us=p99_us, search=search, progress=advance,
        )  # fmt: skip
    program.save(path)
    output.notes(program.notes)
    if timings and not as_json:
        output.note(times.table())
    payload = {
        **_payload(program, path),
        **times.to_json(),
        "checks": [] if checks is None else checks.checks,
    }
    first = program_screen(program.data, program.target, program.on_chip, path, calib is not None)
    output.answered(payload, first, _blocks(program, path), as_json, details)


def _payload(program: Program, path: Path) -> dict[str, Any]:
    from cimc.report import clip_free, converters, placement
    from cimc.report.summary import header_json

    return {
        "output": str(path),
        "bytes": path.stat().st_size,
        "program": header_json(program.data),
        "on_chip": program.on_chip.to_json(),
        "placement": placement.to_json(program.data, program.target),
        "search": None if (tried := program.remarks.search) is None else tried.to_json(),
        **converters.to_json(program.data),
        "certificate": clip_free.to_json(program.data),
    }


def _blocks(program: Program, path: Path) -> list[Block]:
    from cimc.report import clip_free, converters, placement, search_table
    from cimc.report.blocks import facts
    from cimc.report.on_chip_share import on_chip_blocks
    from cimc.report.summary import plugin_lines
    from cimc.support.quantities import size

    header = program.data.header
    return [
        facts(
            "Program",
            [
                ("written", f"{path} ({size(path.stat().st_size)})"),
                ("model", f"{header.model} ({header.model_digest[:12]})"),
                ("target", f"{header.target} ({header.target_digest[:12]})"),
                ("pipeline", header.pipeline),
                *plugin_lines(program.data),
                ("seed", str(header.seed)),
            ],
        ),
        *on_chip_blocks(program.on_chip),
        *search_table.blocks(program.remarks.search),
        *placement.blocks(program.data, program.target),
        *converters.blocks(program.data),
        *clip_free.blocks(program.data),
    ]
