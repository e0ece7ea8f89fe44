"""Options of a function by name: its keyword-only parameters, each with a default, but for the seed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from cimc.errors import PassError


def keyword_options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The options of ``function`` by name."""
    found = inspect.signature(function).parameters
    return {n: p for n, p in found.items() if p.kind is inspect.Parameter.KEYWORD_ONLY and n != "seed"}


def check_keyword_options(
    kind: str, name: str, function: Callable[..., Any], options: Mapping[str, object], also: str = ""
) -> None:
    """Refuse options that ``function`` does not take, and numbers of the wrong kind.

    Args:
        kind, name: what the function is, and how it is called, for messages.
        function: whose options they are.
        options: the options given.
        also: ends the hint of an unknown one.

    Raises:
        PassError: ``mapping.unknown-option`` or ``mapping.bad-option``.
    """
    every = inspect.signature(function).parameters.values()
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in every):
        return
    known = keyword_options(function)
    unknown = sorted(options.keys() - known.keys())
    if unknown:
        raise PassError(
            "mapping.unknown-option",
            f"{kind} `{name}` has no option `{unknown[0]}`",
            hint="its options: " + (", ".join(sorted(known)) or "none") + also,
        )
    for option, value in options.items():
        _check_type(kind, known[option], value)


def _check_type(kind: str, parameter: inspect.Parameter, value: object) -> None:
    """An option takes a value of its default's kind, where that is a number or a truth value."""
    wanted: type | tuple[type, ...]
    match parameter.default:
        case bool():
            wanted, word = bool, "true or false"
        case int():
            wanted, word = int, "an integer"
        case float():
            wanted, word = (int, float), "a number"
        case _:
            return
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise PassError(
            "mapping.bad-option", f"option `{parameter.name}` of a {kind} must be {word}, it is {value!r}"
        )
