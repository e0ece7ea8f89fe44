"""The command ``cimc``: subcommands, imported when used, and what becomes of errors.

Exit codes: 0 done, 1 a check failed, 2 bad input, 70 a bug of cimc, 129, 130 and 143 ended by SIGHUP, Ctrl-C
and SIGTERM, 141 the reader of standard output went away.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

import cimc
from cimc.cli.exhausted import exhausted
from cimc.cli.output import write_stdout
from cimc.cli.signals import Signals, install
from cimc.cli.standard_streams import StdoutClosed, safe_streams
from cimc.cli.warning_notes import warnings_as_notes
from cimc.errors import CimcError

COMMANDS = {
    "inspect": "cimc.cli.commands.inspect",
    "compile": "cimc.cli.commands.compile",
    "run": "cimc.cli.commands.run",
    "accuracy": "cimc.cli.commands.accuracy",
    "baseline": "cimc.cli.commands.baseline",
    "simulate": "cimc.cli.commands.simulate",
    "trace": "cimc.cli.commands.trace",
    "plan": "cimc.cli.commands.plan",
    "bench": "cimc.cli.commands.bench",
    "opt": "cimc.cli.commands.opt",
    "disasm": "cimc.cli.commands.disasm",
    "asm": "cimc.cli.commands.asm",
    "targets": "cimc.cli.commands.targets",
    "devices": "cimc.cli.commands.devices",
}
"""Subcommand -> module that holds it as ``command``; these modules import nothing heavy at import time."""

BUG, PIPE = 70, 141


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(COMMANDS[cmd_name]).command
        return found


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 a check failed, 2 bad input, 70 a bug. 'cimc COMMAND --help' has examples.",
)
@click.version_option(cimc.__version__, prog_name="cimc")
def cli() -> None:
    """Compile recommendation models onto RRAM compute-in-memory crossbars, and run them in a simulator."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code.

    Signals are handled where this is the process of the command (``argv`` is ``None``).
    """
    args = list(sys.argv[1:] if argv is None else argv)
    as_json, signals = "--json" in args, Signals()
    with safe_streams(), warnings_as_notes():
        try:
            if argv is None:
                install(signals)
            return _reported(args, as_json)
        except (click.Abort, KeyboardInterrupt):
            return _interrupted(signals, as_json)


def _reported(args: list[str], as_json: bool) -> int:
    try:
        try:
            return _run(args, as_json)
        except CimcError as error:
            return _report(error, as_json)
    except StdoutClosed:
        return PIPE
    except CimcError as error:  # the report itself could not be written
        _print_error(error)
        return error.exit_code


def _run(args: list[str], as_json: bool) -> int:
    try:
        code = cli.main(args, prog_name="cimc", standalone_mode=False)
        write_stdout("")  # a full disk may show only when buffers are flushed
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return CimcError.exit_code
    except click.UsageError as error:
        return _usage(error, as_json)
    except (click.Abort, CimcError, StdoutClosed):
        raise
    except Exception as error:
        wanting = exhausted(error)
        if wanting is not None:
            raise wanting from None
        return _bug(error, as_json)


def _interrupted(signals: Signals, as_json: bool) -> int:
    with suppress(CimcError, StdoutClosed):  # after SIGHUP there may be no terminal any more
        if as_json:
            _outside("interrupted", f"stopped by {signals.name}")
    print("interrupted", file=sys.stderr)
    return signals.exit_code


def _usage(error: click.UsageError, as_json: bool) -> int:
    wanted = error.ctx.command_path if error.ctx else "cimc"
    found = CimcError("cli.usage", error.format_message(), hint=f"see: {wanted} --help")
    return _report(found, as_json)


def _report(error: CimcError, as_json: bool) -> int:
    if as_json:
        write_stdout(json.dumps({"error": error_object(error)}, indent=2) + "\n")
    _print_error(error)
    return error.exit_code


def error_object(error: CimcError) -> dict[str, Any]:
    """The ``error`` object of ``--json`` output."""
    return {**error.to_json(), "notes": list(getattr(error, "__notes__", ()))}


def _print_error(error: CimcError) -> None:
    where = f" ({'; '.join(error.__notes__)})" if getattr(error, "__notes__", None) else ""
    first, *rest = str(error).split("\n")
    print("\n".join([f"error: {first}{where}", *rest]), file=sys.stderr)


def _outside(code: str, message: str) -> None:
    """Print the ``error`` object of an end that is no error of the user."""
    unknown: dict[str, None] = dict.fromkeys(("file", "node", "tensor", "hint"))
    error: dict[str, object] = {"code": code, "message": message, **unknown, "notes": []}
    write_stdout(json.dumps({"error": error}, indent=2) + "\n")


def _bug(error: Exception, as_json: bool) -> int:
    if as_json:
        _outside("internal", f"{type(error).__name__}: {error}")
    traceback.print_exception(error)
    print(
        f"\nThis is a bug in cimc {cimc.__version__}, not in your input. Please report it with the lines "
        "above and, if you can, the file that caused it.",
        file=sys.stderr,
    )
    return BUG
