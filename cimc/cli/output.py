"""Where output goes: results to stdout in one piece; notes, progress and dumps to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any, Literal

from cimc.report.blocks import Block, Facts, plain
from cimc.support.progress import Advance
from cimc.support.progress import note as note

_NAME_WIDTH = 16


def write_stdout(text: str) -> None:
    """Write and flush a result.

    Raises:
        CimcError: ``io.cannot-write``, for instance on a full disk.
        StdoutClosed: when nobody reads any more; both as :mod:`cimc.cli.standard_streams` has it.
    """
    sys.stdout.write(text)
    sys.stdout.flush()


def write_text(text: str) -> None:
    """Write text that cimc reads again (IR, assembly): as UTF-8, whatever the encoding of the terminal.

    Raises:
        As :func:`write_stdout`.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        text = ""
    write_stdout(text)


def notes(texts: Sequence[str]) -> None:
    """Assumptions and fallbacks, a line each."""
    for text in texts:
        note(f"note: {text}")


def result(payload: dict[str, Any], blocks: Sequence[Block], as_json: bool) -> None:
    """Print the result of a command: one JSON object, or blocks as tables (plain when not on a terminal)."""
    if as_json:
        write_stdout(json.dumps(_finite(payload), indent=2, allow_nan=False) + "\n")
    elif sys.stdout.isatty():
        write_stdout(_rich(blocks))
    else:
        write_stdout(plain(blocks))


def answered(
    payload: dict[str, Any], first: Facts, blocks: Sequence[Block], as_json: bool, details: bool
) -> None:
    """Print the result of a command that has a first screen.

    Args:
        payload: of ``--json``.
        first: the answers; they end what is printed, and begin it where details are read on a terminal.
        blocks: the details.
    """
    if not details:
        shown: list[Block] = [first]
    else:
        shown = [*([first] if sys.stdout.isatty() else []), *blocks, first]
    result(payload, shown, as_json)


def _finite(value: Any) -> Any:
    """JSON has no infinity or NaN: they become the texts ``inf``, ``-inf`` and ``nan``."""
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return str(value)
    return value


def _rich(blocks: Sequence[Block]) -> str:
    from io import StringIO

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    stream = StringIO()
    width = Console().width
    console = Console(file=stream, force_terminal=True, width=width, highlight=False)
    for number, block in enumerate(blocks):
        if number:
            console.print()
        if block.title:
            console.print(Text(block.title, style="bold"))
        shown = Table(box=None if isinstance(block, Facts) else SIMPLE_HEAD, show_header=True, pad_edge=True)
        if isinstance(block, Facts):
            shown.show_header = False
            shown.add_column(style="cyan", no_wrap=True)
            shown.add_column(overflow="fold")
            for label, text in block.lines:
                shown.add_row(Text(label), Text(text))
        else:
            for i, heading in enumerate(block.headings):
                # numbers and names stay whole; long texts fold
                widest = max([len(heading), *(len(row[i]) for row in block.rows)])
                least = widest if block.right(i) else min(widest, _NAME_WIDTH)
                justify: Literal["left", "right"] = "right" if block.right(i) else "left"
                shown.add_column(heading, justify=justify, overflow="fold", min_width=least)
            for row in block.rows:
                shown.add_row(*(Text(cell) for cell in row))
        console.print(shown)
    return stream.getvalue()


@contextmanager
def progress(title: str, unit: str) -> Iterator[Advance]:
    """A progress bar on stderr while the block runs; nothing at all unless stderr is a terminal.

    ``unit``: what a step is, for the rate.
    """
    if not sys.stderr.isatty():
        yield lambda done, total, what: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    speed = TextColumn("{task.fields[rate]}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        speed,
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, rate="")

        def advance(done: int, total: int, what: str) -> None:
            spent = bar.tasks[0].elapsed or 0.0
            rate = f"{done / spent:,.1f} {unit}/s" if spent > 0 else ""
            bar.update(task, completed=done, total=total, description=what or title, rate=rate)

        yield advance
