"""What ``cimc targets`` and ``cimc devices`` have in common: headline figures, then every constant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from cimc.report.blocks import Block


def payload(summary: Mapping[str, Any], rows: Iterable[NamedTuple]) -> dict[str, Any]:
    """One target or device for ``--json``."""
    return {**summary, "fields": [row._asdict() for row in rows]}


def blocks(title: str, headlines: Iterable[tuple[str, Any]], rows: Iterable[Any]) -> list[Block]:
    """The same for people; ``rows`` have a path, a value, a unit, a basis and a source."""
    from cimc.report.blocks import facts, table

    return [
        facts(title, [(key, _number(value)) for key, value in headlines]),
        table(
            "Every figure",
            ("field", ">value", "unit", "basis", "source"),
            ((row.path, _number(row.value), row.unit, row.basis, row.source) for row in rows),
        ),
    ]


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
