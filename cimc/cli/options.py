"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)
"""A path; whether it exists is for the reader to find out, who has the better message."""

DEFAULT_TARGET = "tsinghua28"


def as_json(function: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")(function)


def target(function: F) -> F:
    """``--target``."""
    return click.option(
        "--target",
        default=DEFAULT_TARGET,
        show_default=True,
        metavar="NAME|FILE",
        help="Preset (see 'cimc targets') or YAML file of the machine.",
    )(function)


def seed(function: F) -> F:
    """``--seed``."""
    return click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random."
    )(function)


def max_request_bytes(function: F) -> F:
    """``--max-request-bytes``."""
    return click.option(
        "--max-request-bytes",
        type=click.IntRange(min=1),
        default=1 << 32,
        show_default=True,
        metavar="N",
        help="Refuse request files that unpack to more bytes.",
    )(function)


def examples(*lines: str) -> str:
    """An epilog with one example per line, kept as written."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
