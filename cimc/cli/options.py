"""Options that several commands share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import click

from cimc.cli.number_options import POSITIVE
from cimc.cli.path_options import NAMED_OR_READ, READ
from cimc.support.limits import Limits

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_TARGET = "tsinghua28"


def as_json(function: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")(function)


def details(function: F) -> F:
    """``--details``."""
    return click.option(
        "--details", is_flag=True, help="Print everything, not the first screen alone; --json holds it, too."
    )(function)


def target(function: F) -> F:
    """``--target``."""
    return click.option(
        "--target",
        type=NAMED_OR_READ,
        default=DEFAULT_TARGET,
        show_default=True,
        metavar="NAME|FILE",
        help="Preset (see 'cimc targets') or YAML file; 'NAME{field=value ...}' changes fields.",
    )(function)


def seed(function: F) -> F:
    """``--seed``."""
    return click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random."
    )(function)


def baseline(function: F) -> F:
    """``--baseline``."""
    return click.option(
        "--baseline",
        type=READ,
        metavar="FILE",
        help="Print ratios to the CPU that 'cimc baseline --save' measured on the same model.",
    )(function)


def threads(function: F) -> F:
    """``--threads``."""
    return click.option(
        "--threads",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        help="Threads that share products and noisy lookups; results are the same for any number.",
    )(function)


def weights(function: F) -> F:
    """``--weights``."""
    return click.option(
        "--weights",
        metavar="generated:SEED",
        help="Generate the weights whose data files are missing: sizes and costs hold, results mean nothing.",
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


def host_limits(function: F) -> F:
    """``--time-limit`` and ``--memory-limit``; they hold until the command ends, it need not take them."""

    def enter(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
        def callback(context: click.Context, parameter: click.Parameter, value: Any) -> None:
            if value is not None:
                from cimc.host import isolation

                limits = dataclasses.replace(isolation.current_limits(), **{field: value})
                context.with_resource(isolation.host_limits(limits))

        return callback

    for name, kind, field, text in (  # the default is told, not given: no value, no change
        ("--memory-limit", click.IntRange(min=1), "host_bytes", "Bytes that onnxruntime may take per call."),
        ("--time-limit", POSITIVE, "host_seconds", "Seconds per onnxruntime call."),
    ):
        told = f"{getattr(Limits, field):.0f}"
        function = click.option(
            name,
            type=kind,
            metavar="N" if field == "host_bytes" else "SECONDS",
            expose_value=False,
            callback=enter(field),
            help=f"{text}  [default: {told}]",
        )(function)
    return function


def examples(*lines: str) -> str:
    """An epilog with one example per line, kept as written."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
