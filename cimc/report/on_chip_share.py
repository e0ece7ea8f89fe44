"""The share of a model's work that the chip does, for people."""

from __future__ import annotations

from cimc.cost.on_chip import OnChip, Split
from cimc.report.blocks import Block, facts
from cimc.support.quantities import engineering, share

_SHOWN = 5


def on_chip_blocks(found: OnChip) -> list[Block]:
    """Shares of MACs and of looked-up values, who does how many, and what is not counted."""
    basis = f"means of {found.requests:,} requests" if found.requests else "from shapes, before any request"
    lines: list[tuple[str, object]] = [
        ("MACs", _line(found.macs, "by arrays")),
        ("looked-up values", _line(found.lookups, "from tables on chip")),
        ("", f"per request, {basis}"),
    ]
    if found.warning:
        lines.append(("warning", found.warning))
    lines += [("not counted", text) for text in found.not_counted[:_SHOWN]]
    if len(found.not_counted) > _SHOWN:
        lines.append(("", f"and {len(found.not_counted) - _SHOWN} more nodes"))
    return [facts("On chip, of the whole model", lines)]


def part(found: OnChip) -> str:
    """What a heading says of figures that leave work of the model out."""
    return "" if found.whole else " of the part on chip"


def _line(split: Split, arrays: str) -> str:
    vector = [f"{_number(split.vector)} by the vector unit"] if split.vector else []
    return f"{share(split.share)}: " + ", ".join(
        [f"{_number(split.arrays)} {arrays}", *vector, f"{_number(split.host)} on the host"]
    )


def _number(value: float | None) -> str:
    return "an unknown number" if value is None else engineering(value, "")
