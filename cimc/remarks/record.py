"""Records: frozen dataclasses that become JSON, and are read back strictly by the types of their fields.

A field has the type ``bool``, ``int``, ``float`` (any finite number, whole or not), ``str``, a record,
``tuple[X, ...]``, ``Mapping[str, X]`` or ``Mapping[int, X]`` of such, or one of these or ``None``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from cimc.errors import printable
from cimc.support.shown import Shown, counted

LARGEST_INT = 1 << 53
"""Integers of this size or more are no numbers of every reader of JSON."""

R = TypeVar("R")
_KEY, _OMIT = "key", "omit"
OMIT = {_OMIT: True}
"""Metadata of a field that JSON leaves out where it is its default."""
_KINDS = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a text",
    dict: "an object",
    list: "a list",
    NoneType: "null",
}


class Misfit(ValueError):
    """JSON that is not of the type asked for; says where in it, and why."""


def called(key: str) -> dict[str, Any]:
    """Metadata of a field that JSON calls ``key``, where a keyword of Python cannot name an attribute."""
    return {_KEY: key}


class Record(Shown):
    """Base of frozen dataclasses that appear in a line: numbers, texts, and how much of everything else."""

    def _brief(self) -> str:
        parts = []
        for each in fields(cast(Any, self)):
            value = getattr(self, each.name)
            if isinstance(value, (tuple, Mapping)):
                parts.append(f"{len(value)} of {each.name}")
            elif is_dataclass(value):
                parts.append(each.name)
            elif value is not None:
                shown = f"{value:.6g}" if isinstance(value, float) else repr(value)
                parts.append(f"{each.name}={printable(shown, 40)}")
        return ", ".join(parts) or counted(0, "remark")


def json_of(value: Any) -> Any:
    """``value`` of one of the types above as JSON.

    Raises:
        TypeError, ValueError: it is of another type, or a number that is not finite.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        if abs(value) >= LARGEST_INT:
            raise ValueError("an integer beyond 2**53")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no number of JSON")
        return value
    if isinstance(value, (tuple, list)):
        return [json_of(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): json_of(each) for key, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {
            json_key(each): json_of(getattr(value, each.name))
            for each in fields(value)
            if not (each.metadata.get(_OMIT) and getattr(value, each.name) == each.default)
        }
    raise TypeError(f"a value of type {type(value).__name__} is no JSON")


def json_key(each: Field[Any]) -> str:
    """What JSON calls a field."""
    return str(each.metadata.get(_KEY, each.name))


def record_of(kind: type[R], found: Any, where: str) -> R:
    """The record of type ``kind`` in JSON; ``where`` names its place in messages.

    Keys of fields that have a default may be missing: files from before there was such a field do without.

    Raises:
        Misfit: a key too many or too few, or a value of another type.
    """
    if type(found) is not dict:
        raise _misfit(where, dict, found)
    known = {json_key(each): each for each in fields(cast(Any, kind))}
    if extra := sorted(str(key) for key in set(found) - set(known)):
        raise Misfit(f"{where} has no place for '{printable(extra[0], 40)}'")
    values, hints = {}, _hints(cast(Any, kind))
    for key, each in known.items():
        if key in found:
            values[each.name] = _read(hints[each.name], found[key], f"{where}.{key}")
        elif each.default is MISSING:
            raise Misfit(f"{where} lacks '{key}'")
    return kind(**values)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _read(hint: Any, found: Any, where: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if found is None and NoneType in inner:
            return None
        (hint,) = [each for each in inner if each is not NoneType]
        return _read(hint, found, where)
    if origin is tuple:
        if type(found) is not list:
            raise _misfit(where, list, found)
        return tuple(_read(inner[0], each, f"{where}[{n}]") for n, each in enumerate(found))
    if origin is Mapping:
        if type(found) is not dict:
            raise _misfit(where, dict, found)
        return {
            _key(inner[0], key, where): _read(inner[1], each, f"{where}['{printable(key, 40)}']")
            for key, each in found.items()
        }
    if is_dataclass(hint):
        return record_of(cast(type, hint), found, where)
    if hint not in _KINDS:
        shown = getattr(hint, "__name__", hint) if isinstance(hint, type) else hint
        raise Misfit(f"{where} has the type {printable(str(shown), 80)}, which no record has")
    if type(found) is not hint and not (hint is float and type(found) is int):
        raise _misfit(where, hint, found)
    try:
        return json_of(found)
    except ValueError as error:
        raise Misfit(f"{where}: {error}") from None


def _key(hint: Any, key: str, where: str) -> str | int:
    if hint is str:
        return key
    if not (key.isascii() and key.isdecimal() and len(key) < 16 and key == str(int(key))):
        raise Misfit(f"{where}: '{printable(key, 40)}' is no number")
    return int(key)


def _misfit(where: str, wanted: type, found: Any) -> Misfit:
    return Misfit(f"{where} is {_KINDS.get(type(found), 'no JSON')} instead of {_KINDS[wanted]}")
