"""Plug-ins that are installed: entry points, read from metadata; nothing is imported until it is used."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import metadata
from typing import Any

from cimc.support.plugins.origin import Origin


@cache
def _entry_points() -> Any:  # whose type differs between versions of Python
    return metadata.entry_points()


def forget_installed() -> None:
    """Look again at the next question (what is installed has changed)."""
    _entry_points.cache_clear()


def installed(group: str) -> Iterator[tuple[metadata.EntryPoint, Origin]]:
    """The entry points of a group, by name, each with who provides it."""
    found = _entry_points().select(group=group)
    for point in sorted(found, key=lambda point: (point.name, point.value)):
        of = point.dist
        module = point.value.partition(":")[0].strip()
        yield point, Origin(of.name, of.version, module) if of is not None else Origin(module, "", module)
