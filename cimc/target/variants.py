"""Variants of a target in one word: ``tsinghua28{array.adc_bits=6 system.chips=9}``.

Written like a pass with its options, so that a command, a plan of experiments and a program's report name a
machine the same way.  ``point=NAME`` chooses a published operating point, and ``link=NAME`` (or
``system.link=NAME``) the link to the host, before fields are changed.
"""

from __future__ import annotations

from typing import Any

from cimc.errors import TargetError, printable
from cimc.target.host_links import with_link
from cimc.target.overrides import at_operating_point, with_overrides
from cimc.target.spec import Target

POINT = "point"
LINKS = ("link", "system.link")


def split(text: str) -> tuple[str, dict[str, Any]]:
    """Name (or path) of a target, and the changes in braces behind it; none if there are no braces.

    Raises ``TargetError`` ``target.variant`` for braces that are not ``{field=value ...}``.
    """
    if not text.endswith("}"):
        return text, {}
    name, brace, inside = text[:-1].partition("{")
    changes: dict[str, Any] = {}
    for word in inside.split():
        field, equals, value = word.partition("=")
        if not equals or not field or not value or field in changes:
            raise _bad(text, f"{printable(word)!r} is not field=value, each field once")
        changes[field] = _value(value)
    if not brace or not name or not changes:
        raise _bad(text, "a name, then fields in braces")
    return name, changes


def vary(target: Target, changes: dict[str, Any]) -> Target:
    """``target`` with ``changes`` as :func:`split` gives them.

    Raises ``TargetError``: ``target.unknown`` for the operating point, ``target.invalid`` for a field.
    """
    for key in LINKS:
        if key in changes:
            target = with_link(target, str(changes[key]))
    point = changes.get(POINT)
    if point is not None:
        target = at_operating_point(target, str(point))
    fields = {field: value for field, value in changes.items() if field not in (POINT, *LINKS)}
    return with_overrides(target, fields)


def _value(text: str) -> Any:
    """A number, a truth value, numbers (``8x8``), several of these (``0x0+7x7``), or the word itself."""
    if text in ("true", "false"):
        return text == "true"
    if "+" in text and "x" in text:
        return tuple(_value(part) for part in text.split("+"))
    parts = text.split("x")
    if len(parts) > 1 and all(part.isdigit() for part in parts):
        return tuple(int(part) for part in parts)
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _bad(text: str, why: str) -> TargetError:
    return TargetError(
        "target.variant",
        f"target {printable(text)!r}: {why}",
        hint="for example tsinghua28{array.adc_bits=6 system.chips=9}; cimc targets NAME lists the fields",
    )
