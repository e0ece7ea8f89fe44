"""Options that several commands share."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from cimc.cli import options
from cimc.host import isolation
from cimc.support.limits import Limits


def outcome(decorate: object, *args: str) -> object:
    """What a command with the option is given, or its exit code."""
    found: list[object] = []

    @click.command()
    def command(**given: object) -> None:
        found.append({**given, "limits": isolation.current_limits()})

    result = CliRunner().invoke(decorate(command), args)  # type: ignore[operator]
    return found[0] if result.exit_code == 0 else result.exit_code


@pytest.mark.parametrize(
    ("option", "name", "default"),
    [
        (options.as_json, "as_json", False),
        (options.seed, "seed", 0),
        (options.threads, "threads", 1),
        (options.weights, "weights", None),
        (options.max_request_bytes, "max_request_bytes", 1 << 32),
    ],
)
def test_defaults(option: object, name: str, default: object) -> None:
    assert outcome(option)[name] == default  # type: ignore[index]


@pytest.mark.parametrize(
    ("option", "args"),
    [
        (options.seed, ("--seed", "-1")),
        (options.threads, ("--threads", "0")),
        (options.max_request_bytes, ("--max-request-bytes", "0")),
        (options.host_limits, ("--time-limit", "0")),
        (options.host_limits, ("--memory-limit", "0")),
    ],
)
def test_numbers_out_of_range(option: object, args: tuple[str, str]) -> None:
    assert outcome(option, *args) == 2


def test_limits_hold_until_the_command_ends() -> None:
    before = isolation.current_limits()
    found = outcome(options.host_limits, "--time-limit", "7", "--memory-limit", "123456789")
    limits = found["limits"]  # type: ignore[index]
    assert isinstance(limits, Limits)
    assert (limits.host_seconds, limits.host_bytes) == (7, 123456789)
    assert isolation.current_limits() == before
    assert outcome(options.host_limits)["limits"] == before  # type: ignore[index]


def test_examples_stand_as_written() -> None:
    assert options.examples("cimc a", "    b") == "\b\nExamples:\n  cimc a\n      b"
