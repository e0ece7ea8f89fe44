"""Reports as data: a report is a list of blocks, which a terminal, a pipe or a page renders its own way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        columns: headings; one that starts with ``>`` marks a column that is aligned to the right.
        rows: a text per column each.
        title: shown above; may be empty.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""

    @property
    def headings(self) -> tuple[str, ...]:
        """Headings without the alignment mark."""
        return tuple(c.removeprefix(">") for c in self.columns)

    def right(self, column: int) -> bool:
        """Whether a column is aligned to the right."""
        return self.columns[column].startswith(">")


@dataclass(frozen=True)
class Facts:
    """Labelled lines: ``label  text``; a line without a label continues the one before."""

    lines: tuple[tuple[str, str], ...]
    title: str = ""


Block = Table | Facts


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A :class:`Table` from anything that prints."""
    return Table(tuple(columns), tuple(tuple(str(cell) for cell in row) for row in rows), title)


def facts(title: str, lines: Iterable[tuple[str, object]]) -> Facts:
    """:class:`Facts` from anything that prints."""
    return Facts(tuple((label, str(text)) for label, text in lines), title)


def plain(blocks: Iterable[Block]) -> str:
    """The blocks as plain text, columns padded with spaces and never cut."""
    return "\n\n".join(_plain(block) for block in blocks) + "\n"


def _plain(block: Block) -> str:
    lines = [block.title] if block.title else []
    if isinstance(block, Facts):
        width = max((len(label) for label, _ in block.lines), default=0)
        lines += [f"  {label:<{width}}  {text}".rstrip() for label, text in block.lines]
        return "\n".join(lines)
    cells = [block.headings, *block.rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(block.columns))]
    for row in cells:
        padded = [
            f"{cell:>{w}}" if block.right(i) else f"{cell:<{w}}"
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(padded).rstrip())
    if not block.rows:
        lines.append("  (none)")
    return "\n".join(lines)
