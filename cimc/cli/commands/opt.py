"""``cimc opt``: passes on textual IR."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cimc.cli import options
from cimc.cli.path_options import NAMED_OR_READ, READ, WRITTEN, Command, WrittenFolder

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

    from cimc.ir.context import CompilerContext


@click.command(
    "opt",
    cls=Command,
    short_help="Run passes on textual IR.",
    epilog=options.examples(
        "cimc opt dlrm.onnx -p frontend",
        "cimc opt ir/08-recognise.mlir -p demote,outline-host --data ir/data.safetensors",
        "cimc opt ir/10-outline-host.mlir -p quantize,shard --target tsinghua28 \\",
        "    --data ir/data.safetensors --calib requests.npz",
        "cimc opt - --verify-only < file.mlir",
    ),
)
@click.argument("file", type=READ)
@click.option("-p", "--pipeline", default="", metavar="PIPELINE", help="Passes; none: parse, verify, print.")
@click.option(
    "--target",
    type=NAMED_OR_READ,
    metavar="NAME|FILE",
    help="Target, for passes that need one (quantize and later).",
)
@click.option("--data", type=READ, metavar="STORE.safetensors", help="Arrays that the IR names.")
@click.option("--calib", type=READ, metavar="REQ.npz", help="Calibration requests, for quantize.")
@options.seed
@click.option(
    "-o", "--output", "path", type=WRITTEN, metavar="OUT.mlir", help="Write the IR here, not to stdout."
)
@click.option("--data-out", type=WRITTEN, metavar="OUT.safetensors", help="Write the arrays of the result.")
@click.option("--verify-only", is_flag=True, help="Print nothing; the exit code says whether it verifies.")
@click.option("--print-locations", is_flag=True, help="Name the ONNX node of each operation.")
@click.option(
    "--dump-ir",
    type=WrittenFolder("[0-9][0-9]-*.mlir", "data.safetensors"),
    metavar="DIR",
    help="Write the IR after every pass, and its arrays.",
)
@click.option("--timings", is_flag=True, help="Print seconds and growth of peak memory per pass on stderr.")
@options.max_request_bytes
@options.as_json
def command(
    file: Path,
    pipeline: str,
    target: str | None,
    data: Path | None,
    calib: Path | None,
    seed: int,
    path: Path | None,
    data_out: Path | None,
    verify_only: bool,
    print_locations: bool,
    dump_ir: Path | None,
    timings: bool,
    max_request_bytes: int,
    as_json: bool,
) -> None:
    """Run passes on FILE: textual IR ('-' is standard input), or an ONNX model, which is imported first.

    IR that names arrays needs them: 'cimc compile --dump-ir DIR' leaves DIR/data.safetensors, which also
    holds what calibration found, so that any step of the dump can be resumed. quantize needs --calib, and
    quantize and later passes need --target.
    """
    from cimc.cli import output
    from cimc.instrument import DumpIR, Timings
    from cimc.instrument.dump import save_arrays_of
    from cimc.ir.text import print_ir
    from cimc.support.io.files import write_atomically
    from cimc.transforms.pipeline import Pipeline

    line = Pipeline.parse(pipeline) if pipeline else Pipeline(())
    ctx, module = _read(file, data, seed)
    if target is not None:
        from cimc.target.load_target import load_target

        ctx.target = load_target(target)
    if calib is not None:
        from cimc.api import use_calibration
        from cimc.workload.request_file import load_requests

        use_calibration(module, ctx, load_requests(calib, max_request_bytes))
    _missing(line, ctx)
    known = len(ctx.notes)
    times = Timings()
    line = line.run(module, ctx, [times, *([] if dump_ir is None else [DumpIR(dump_ir)])])
    if timings and not as_json:
        output.note(times.table())
    output.notes(ctx.notes[known:])
    if ctx.program is not None:
        output.note("note: the program that 'lower' built is not kept; 'cimc compile' writes one")
    if data_out is not None:
        save_arrays_of(ctx, {name: ctx.store[name] for name in ctx.store}, data_out)
    text = print_ir(module, locations=print_locations)
    if path is not None:
        write_atomically(path, text)
    if as_json:
        payload = {
            "verified": True,
            "pipeline": str(line),
            "ir": None if verify_only or path is not None else text,
            "output": None if path is None else str(path),
            "notes": ctx.notes[known:],
            **times.to_json(),
        }
        output.result(payload, [], True)
    elif path is None and not verify_only:
        output.write_text(text)


def _read(file: Path, data: Path | None, seed: int) -> tuple[CompilerContext, ModuleOp]:
    from cimc.cli.textfiles import read_text
    from cimc.instrument.dump import load_arrays_into, symbols_of
    from cimc.ir.cim import check_stored
    from cimc.ir.text import new_context, parse_ir

    ctx = new_context()
    ctx.seed = seed
    if file.suffix == ".onnx":
        from cimc.frontend.import_graph import import_model
        from cimc.frontend.read.load_model import load_model

        loaded = load_model(file)
        module = import_model(loaded, ctx)
        ctx.model, ctx.model_digest = file.name, loaded.digest
        return ctx, module
    module = parse_ir(read_text(file), ctx, "<stdin>" if str(file) == "-" else str(file))
    if data is not None:
        load_arrays_into(ctx, data, symbols_of(module))
        check_stored(module, ctx.store)
    return ctx, module


def _missing(line: object, ctx: CompilerContext) -> None:
    """Say before the work what the pipeline needs and was not given."""
    from cimc.cli.output import note
    from cimc.errors import PassError
    from cimc.transforms.pipeline import Pipeline

    assert isinstance(line, Pipeline)
    names = [p.name for p in line.passes]
    back = [n for n in names if n in ("quantize", "shard", "choose-adc-steps", "place", "schedule", "lower")]
    if back and ctx.target is None:
        raise PassError("pass.needs-target", f"pass '{back[0]}' needs a target", hint="add --target NAME")
    if "quantize" in names and ctx.calibration is None:
        raise PassError(
            "quantize.no-calibration",
            "pass 'quantize' sets ranges from calibration requests, and none were given",
            hint="add --calib REQ.npz",
        )
    if "choose-adc-steps" in names and "quantize" not in names and not ctx.samples:
        note("note: no samples of activations were loaded: ADC ranges will cover the worst case")
    if "place" in names and "quantize" not in names and not ctx.access:
        note("note: no table accesses were loaded: placement takes all rows as equally often used")
