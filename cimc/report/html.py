"""Reports for notebooks: blocks as HTML.  All text is escaped, as names come from models."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from cimc.errors import printable
from cimc.report.blocks import Block, Facts

_LONGEST = 1000


def page(blocks: Iterable[Block]) -> str:
    """The blocks as one element, tables and lists of facts with their titles."""
    return "<div>" + "".join(_block(block) for block in blocks) + "</div>"


def _block(block: Block) -> str:
    title = f"<h4>{_text(block.title)}</h4>" if block.title else ""
    if isinstance(block, Facts):
        lines = "".join(_row("td", line, ("left", "left")) for line in block.lines)
        return f"{title}<table><tbody>{lines}</tbody></table>"
    sides = ["right" if block.right(i) else "left" for i in range(len(block.columns))]
    head = _row("th", block.headings, sides)
    rows = "".join(_row("td", row, sides) for row in block.rows)
    return f"{title}<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _row(tag: str, cells: Iterable[str], sides: Iterable[str]) -> str:
    made = (f'<{tag} style="text-align:{s}">{_text(c)}</{tag}>' for c, s in zip(cells, sides, strict=True))
    return f"<tr>{''.join(made)}</tr>"


def _text(text: str) -> str:
    return escape(printable(text, _LONGEST))
