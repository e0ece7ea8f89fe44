"""Like inputs and tables, together: rows that differ in numbers of their names, ``ids_0 ... ids_25``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

_NUMBER = re.compile(r"\d+")
_LEAST = 3

Row = tuple[str, ...]


def together(rows: Iterable[Sequence[object]], name: int = 0) -> list[Row]:
    """Rows whose names differ in their numbers alone, and whose other cells are equal, as one row.

    A number of the name may stand in other cells, too: ``ids_1`` of shape ``[nnz_1]``.

    Args:
        rows: cells that print.
        name: the column of names.

    Returns:
        Rows in the order of their first; ``first ... last (how many)`` in place of three names or more.
    """
    groups: dict[Row, list[Row]] = {}
    for row in (tuple(str(cell) for cell in row) for row in rows):
        groups.setdefault(_kind(row, name), []).append(row)
    out: list[Row] = []
    for members in groups.values():
        if len(members) < _LEAST:
            out += members
            continue
        (first, last), many = (members[0], members[-1]), len(members)
        cells = [a if a == b else f"{a} ... {b}" for a, b in zip(first, last, strict=True)]
        cells[name] += f" ({many})"
        out.append(tuple(cells))
    return out


def _kind(row: Row, name: int) -> Row:
    """What like rows share: the name without its numbers, the other cells without words that have one."""
    words = [re.compile(rf"(?<=[A-Za-z_.]){number}(?!\d)") for number in set(_NUMBER.findall(row[name]))]
    cells = list(row)
    for at, cell in enumerate(row):
        if at == name:
            cells[at] = _NUMBER.sub("#", cell)
            continue
        for word in words:
            cells[at] = word.sub("#", cells[at])
    return tuple(cells)


def shape_text(shape: list[Any] | None) -> str:
    """A shape, names of dimensions without quotes."""
    return "?" if shape is None else str(shape).replace("'", "")
