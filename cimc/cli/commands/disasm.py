"""``cimc disasm``: a program as text."""

from __future__ import annotations

from pathlib import Path

import click

from cimc.cli import options
from cimc.cli.path_options import READ, Command, Written


@click.command(
    "disasm",
    cls=Command,
    short_help="Print a program as text.",
    epilog=options.examples(
        "cimc disasm dlrm.cimc | less",
        "cimc disasm dlrm.cimc -o dlrm.s       # writes dlrm.s and dlrm.safetensors",
        "cimc asm dlrm.s -o again.cimc         # byte for byte the same program",
    ),
)
@click.argument("program", type=READ)
@click.option(
    "-o",
    "--output",
    "path",
    type=Written(".safetensors"),
    metavar="PROG.s",
    help="Write text and, beside it, data.",
)
@options.as_json
def command(program: Path, path: Path | None, as_json: bool) -> None:
    """Print PROGRAM as text: header, matrix directory, ports, and the stream of every tile.

    With -o the text goes to PROG.s and the arrays (weights, block tables, constants) to PROG.safetensors;
    'cimc asm' reads both.
    """
    from cimc.cli import output
    from cimc.isa.artifact import load_program
    from cimc.isa.listing import format_program, save_data
    from cimc.report.blocks import facts
    from cimc.support.io.files import write_atomically

    data = None if path is None else path.with_suffix(".safetensors")
    loaded = load_program(program)
    text = format_program(loaded)
    if path is None or data is None:
        if as_json:
            output.result({"text": text, "instructions": loaded.instruction_count}, [], True)
        else:
            output.write_text(text)
        return
    save_data(loaded, data)
    write_atomically(path, text)
    payload = {"text": str(path), "data": str(data), "instructions": loaded.instruction_count}
    lines = [("text", path), ("data", data), ("instructions", loaded.instruction_count)]
    output.result(payload, [facts("Written", lines)], as_json)
