"""How objects that a user gets appear: a line in Python, tables in a notebook.

A line is made of what the object holds already; tables are those of the command line.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from cimc.errors import printable

_VIEWS = "cimc.notebook"
"""Makes tables of objects of all layers; it lies above them, so it is found by its name."""
_LENGTH = 300
_NAMES = 4


class Shown:
    """Base of objects that appear as ``<Kind what it is>``; ``_brief`` says what it is."""

    def _brief(self) -> str:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {printable(self._brief(), _LENGTH)}>"

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        html: str = import_module(_VIEWS).html_of(self)
        return html


class Entries(Shown, dict[str, Any]):
    """A dict that appears by its first entries alone."""

    def _brief(self) -> str:
        return f"of {len(self)} entries: {some(self)}"


def some(names: Any) -> str:
    """The first few names of a collection, and how many more there are."""
    listed = [printable(str(name), 40) for name in list(names)[:_NAMES]]
    more = len(names) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more > 0 else "")


def counted(number: int, what: str) -> str:
    """``1 table``, ``2 tables``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
