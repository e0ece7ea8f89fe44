"""NaN passes every comparison, so no option takes it for a number."""

from __future__ import annotations

import click
import pytest

from cimc.cli.main import COMMANDS, cli
from cimc.cli.number_options import NUMBER, POSITIVE


def options_of_numbers() -> list[tuple[str, str]]:
    found = []
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        for each in command.params:
            if isinstance(each.type, click.types.FloatParamType):
                found.append((name, each.opts[0]))
    return found


def refused(kind: click.types.FloatParamType, text: str) -> str:
    with pytest.raises(click.BadParameter) as error:
        kind.convert(text, None, None)
    return error.value.message


def test_what_a_number_is() -> None:
    assert POSITIVE.convert("1e-3", None, None) == 1e-3
    assert NUMBER.convert("-inf", None, None) == float("-inf")
    assert "nan" in refused(POSITIVE, "nan")
    assert "nan" in refused(NUMBER, "-NaN")
    assert "range" in refused(POSITIVE, "0")
    assert "valid float" in refused(NUMBER, "x")


@pytest.mark.parametrize(("command", "option"), options_of_numbers())
def test_no_option_takes_nan(command: str, option: str) -> None:
    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    (kind,) = [each.type for each in found.params if option in each.opts]
    assert isinstance(kind, click.types.FloatParamType)
    assert "nan" in refused(kind, "nan")


def test_there_are_such_options() -> None:
    assert {("simulate", "--p99-us"), ("simulate", "--scratchpad-gbps"), ("run", "--min-sqnr")} <= set(
        options_of_numbers()
    )
