"""``cimc run``: execute a program on requests, check it, and print what it costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cimc.cli import options
from cimc.cli.number_options import NUMBER
from cimc.cli.path_options import NAMED_OR_READ, READ, WRITTEN, Command

if TYPE_CHECKING:
    from cimc.api import Program
    from cimc.compare.check import Bound, Check
    from cimc.host.choices import Choice
    from cimc.workload.request_rules import Arrays


@click.command(
    "run",
    cls=Command,
    short_help="Run a program on requests, check and cost it.",
    epilog=options.examples(
        "cimc run dlrm.cimc --inputs requests.npz",
        "cimc run dlrm.cimc --inputs requests.npz --mode exact --check dlrm.onnx",
        "cimc run dlrm.cimc --inputs requests.npz --mode noisy --device wan2022 --age 86400 --seed 3",
        "cimc run dlrm.cimc --inputs requests.npz --outputs out.npz --json > report.json",
        "cimc run dlrm.cimc --inputs requests.npz --baseline cpu.json",
    ),
)
@click.argument("program", type=READ)
@click.option("--inputs", type=READ, required=True, metavar="REQ.npz", help="Arrays named after the inputs.")
@click.option(
    "--mode",
    type=click.Choice(["exact", "adc", "noisy"]),
    default="adc",
    show_default=True,
    help="exact: integers, no loss in the ADC; adc: bit slices, input phases and quantising ADC; "
    "noisy: adc in the cells of a --device.",
)
@click.option(
    "--device", type=NAMED_OR_READ, metavar="NAME|FILE", help="Cells of mode noisy: see 'cimc devices'."
)
@click.option("--age", type=NUMBER, metavar="SECONDS", help="Since the cells were written.  [default: 0]")
@click.option("--seed", type=int, metavar="N", help="Of everything random in the cells.  [default: 0]")
@click.option("--check", "model", type=READ, metavar="MODEL.onnx", help="Compare with onnxruntime on this.")
@click.option("--min-sqnr", type=NUMBER, metavar="DB", help="Bound of --check: least SQNR of every output.")
@click.option("--max-error", type=NUMBER, metavar="X", help="Bound of --check: largest absolute error.")
@click.option("--outputs", type=WRITTEN, metavar="OUT.npz", help="Write the outputs here.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Run the first N requests only.")
@click.option(
    "--memory",
    type=click.IntRange(min=1),
    metavar="BYTES",
    help="Budget for the scratchpads of the requests held at a time; more run in blocks.  [default: 256 MiB]",
)
@options.baseline
@options.threads
@options.max_request_bytes
@options.host_limits
@options.details
@options.as_json
def command(
    program: Path,
    inputs: Path,
    mode: Any,
    device: str | None,
    age: float | None,
    seed: int | None,
    model: Path | None,
    min_sqnr: float | None,
    max_error: float | None,
    outputs: Path | None,
    limit: int | None,
    memory: int | None,
    baseline: Path | None,
    threads: int,
    max_request_bytes: int,
    details: bool,
    as_json: bool,
) -> None:
    """Run PROGRAM on recorded requests in the functional simulator.

    Prints whether it fits, the share on chip, accuracy (with --check), throughput and what limits it, energy
    and power; with --details also where each table and layer lives, instructions, components and area. With
    --check the exit code is 1 when an output is beyond the bound. An array 'labels' (0 or 1 per request) in
    REQ.npz brings AUC before and after.
    """
    from cimc.api import Program
    from cimc.cli import output
    from cimc.cli.main import error_object
    from cimc.compare.check import Bound
    from cimc.frontend.read.load_model import load_model
    from cimc.host.choices import Recorder
    from cimc.report.screen.run_screen import run_screen
    from cimc.report.summary import Run, run_blocks, run_json
    from cimc.sim.devices.model.load_device import load_device
    from cimc.sim.executor import MEMORY
    from cimc.sim.kernels.choice import for_one_run
    from cimc.workload.request_file import load_requests, save_arrays

    if model is None and (min_sqnr is not None or max_error is not None):
        raise click.UsageError("--min-sqnr and --max-error are bounds of --check, which is not given")
    found = None if device is None else load_device(device)
    loaded = Program.load(program)
    cpu = None
    if baseline is not None:
        from cimc.study.baseline.records import Baseline

        cpu = Baseline.of_model(baseline, loaded.data.header.model_digest)
    if model is not None:
        _has_reference(loaded)
        if outputs is not None:
            load_model(model)  # its data files are inputs, too: known before the work
    arrays = load_requests(inputs, max_request_bytes)
    if limit is not None:
        from cimc.isa.jagged import jagged_in_program
        from cimc.workload.first_requests import first_requests

        names = [name for name, _, _ in loaded.data.header.inputs]
        arrays = first_requests(arrays, names, jagged_in_program(loaded.data), limit)
    choices = None if model is None else Recorder()
    start = time.perf_counter()
    with (
        for_one_run(loaded.data, loaded.target, arrays, mode) as kernels,
        output.progress("requests", "requests") as advance,
    ):
        result = loaded.run(
            arrays, mode, lambda d, n: advance(d, n, ""),
            memory=memory or MEMORY, threads=threads, device=found, age=age, seed=seed,
            choices=choices,
        )  # fmt: skip
    wall = time.perf_counter() - start
    from cimc.sim.kernels.availability import fallback_note

    check = None
    if model is not None and not result.activity.requests:
        from cimc.errors import Location, RequestError

        raise RequestError(
            "request.none",
            "no requests, no check",
            hint="give some, or leave out --check",
            location=Location(file=str(inputs)),
        )
    if model is not None and choices is not None:
        check = _check(loaded, model, arrays, result.outputs, choices.found, Bound.of(min_sqnr, max_error))
    if outputs is not None:
        save_arrays(result.outputs, outputs)
    failed, helping = None, []
    if check is not None and not check.passed:
        from cimc.compare.remedies import remedies

        helping = remedies(loaded.remarks, loaded.data.header.pipeline)
        failed = check.error("the program", mode, helping)
    done = Run(
        loaded.data,
        loaded.target,
        mode,
        result.activity.requests,
        result.outputs,
        result.cost,
        wall,
        result.activity.host_seconds,
        check,
    )
    payload, blocks = run_json(done), run_blocks(done)
    payload["kernels"] = kernels
    if fallback_note() is not None:
        output.note(f"note: {fallback_note()}")
    if found is not None:
        from cimc.report.blocks import facts
        from cimc.sim.devices.model.device_table import conditions

        payload["device"] = {**conditions(found, age or 0.0, seed or 0), "notes": list(result.notes)}
        lines = [(key, value) for key, value in payload["device"].items() if key != "notes"]
        blocks.insert(1, facts("Device", [*lines, *(("note", text) for text in result.notes)]))
    beside_lines: list[tuple[str, object]] = []
    if cpu is not None:
        from cimc.study.baseline.ratios import BOUND, ratios
        from cimc.study.baseline.scopes import CostTerms

        terms = CostTerms.of(result.cost.to_json())
        beside = ratios(cpu, terms, result.cost.throughput_rps, BOUND, arrays)
        payload["baseline"] = beside.to_json()
        blocks += beside.blocks()
        beside_lines = beside.lines()
    if failed is not None:
        payload["error"] = error_object(failed)
    cells = "" if found is None else f"{found.name}, {age or 0.0:g} s after writing, seed {seed or 0}"
    first = run_screen(done, str(program), str(inputs), beside_lines, helping, result.notes, cells)
    output.answered(payload, first, blocks, as_json, details)
    if failed is not None:
        if not as_json:
            raise failed
        output.note(f"error: {failed}")
        raise click.exceptions.Exit(failed.exit_code)


def _has_reference(program: Program) -> None:
    from cimc.errors import RequestError

    source = program.remarks.source
    if source is not None:
        raise RequestError(
            "request.no-reference",
            f"the program holds {source.generated_weights} weights, which onnxruntime does not have: "
            "there is nothing to check it against",
            hint="compile with the data files beside the model, or run without --check",
        )


def _check(
    program: Program, model: Path, arrays: Arrays, outputs: Arrays, choices: Sequence[Choice], bound: Bound
) -> Check:
    """Compare outputs with onnxruntime on the model; a word if the program was compiled from another file."""
    from cimc.cli.output import note
    from cimc.compare.following import check_choices_and_outputs, follow

    reference, digest = follow(model, arrays, list(outputs), choices, bound)
    if digest != program.data.header.model_digest:
        note(f"note: {model} is not the file that this program was compiled from")
    inputs = {name for name, _, _ in program.data.header.inputs}
    labels = arrays.get("labels") if "labels" not in inputs else None
    return check_choices_and_outputs(reference, outputs, bound, labels)
