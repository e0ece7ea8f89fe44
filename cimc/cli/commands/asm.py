"""``cimc asm``: text back to a program."""

from __future__ import annotations

from pathlib import Path

import click

from cimc.cli import options
from cimc.cli.path_options import READ, WRITTEN, Command


@click.command(
    "asm",
    cls=Command,
    short_help="Turn text back into a program.",
    epilog=options.examples(
        "cimc asm dlrm.s -o dlrm.cimc",
        "cimc asm edited.s --data dlrm.safetensors -o edited.cimc",
    ),
)
@click.argument("text", metavar="PROG.s", type=READ)
@click.option(
    "-o", "--output", "path", type=WRITTEN, required=True, metavar="OUT", help="The program to write."
)
@click.option("--data", type=READ, metavar="FILE", help="Arrays of the program; PROG.safetensors if absent.")
@options.as_json
def command(text: Path, path: Path, data: Path | None, as_json: bool) -> None:
    """Assemble PROG.s (as 'cimc disasm -o' writes it, perhaps edited) into a program.

    The program is verified against the target in its header before it is written.
    """
    from cimc.api import Program
    from cimc.cli import output
    from cimc.cli.textfiles import read_text
    from cimc.errors import Location, ProgramError
    from cimc.ir.tensor_store import TensorStore
    from cimc.isa.listing import parse_program
    from cimc.isa.verify import verify_program
    from cimc.report.blocks import facts

    source = read_text(text)
    beside = data if data is not None else text.with_suffix(".safetensors")
    if not beside.is_file():
        raise ProgramError(
            "isa.no-data",
            f"the arrays of the program are missing: there is no file {beside}",
            location=Location(file=str(text)),
            hint="'cimc disasm PROGRAM -o PROG.s' writes them; or give the file with --data",
        )
    store = TensorStore.load(beside)
    program = Program(parse_program(source, {name: store[name] for name in store}, str(text)))
    verify_program(program.data, program.target)
    program.save(path)
    payload = {
        "output": str(path),
        "bytes": path.stat().st_size,
        "instructions": program.data.instruction_count,
    }
    lines = [("written", path), ("instructions", program.data.instruction_count)]
    output.result(payload, [facts("Program", lines)], as_json)
