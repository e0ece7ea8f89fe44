"""One line of the validation page, and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

ROUNDING = 1e-9
"""Tolerance of what is equal but for the order of additions."""
HOLDS, MISSES, CONTEXT = "holds", "misses", "no verdict"


@dataclass(frozen=True)
class Row:
    """One figure beside what it should be.

    Attributes:
        what: is compared, with its unit.
        ours, theirs: the figure of cimc; the published or independent one.
        tolerance: largest difference that holds; ``None``: the two cannot be judged against each other.
        source: where ``theirs`` is from.
        absolute: whether the difference is ``ours - theirs``, in the unit, and not a share of ``theirs``.
        reason: why it misses, or why there is no verdict.
    """

    what: str
    ours: float
    theirs: float
    tolerance: float | None
    source: str
    absolute: bool = False
    reason: str = ""

    @property
    def difference(self) -> float:
        """Of the two, see ``absolute``."""
        return self.ours - self.theirs if self.absolute else self.ours / self.theirs - 1

    @property
    def verdict(self) -> str:
        """:data:`HOLDS`, :data:`MISSES` or :data:`CONTEXT`."""
        if self.tolerance is None:
            return CONTEXT
        return HOLDS if abs(self.difference) <= self.tolerance else MISSES

    def cells(self) -> list[str]:
        """As a line of a table."""
        difference = f"{self.difference:+.2g}" if self.absolute else _percent(self.difference)
        if self.tolerance is None:
            bound = "-"
        else:
            bound = f"{self.tolerance:.2g}" if self.absolute else f"{100 * self.tolerance:.3g} %"
        if self.tolerance == ROUNDING:
            bound = "rounding"
        why = f": {self.reason}" if self.reason and self.verdict != HOLDS else ""
        verdict = self.verdict if self.verdict == HOLDS else f"**{self.verdict}**{why}"
        return [self.what, _number(self.ours), _number(self.theirs), difference, bound, verdict, self.source]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "difference": self.difference, "verdict": self.verdict}


def _number(value: float) -> str:
    """Four significant digits."""
    value += 0.0  # no minus before a zero
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"


def _percent(share: float) -> str:
    if share >= 1:
        return f"{1 + share:.3g} x"
    return "0 %" if abs(share) < 5e-8 else f"{100 * share:+.2g} %"


@dataclass(frozen=True)
class Section:
    """Rows that are obtained alike; ``about`` says how, in one or two sentences."""

    name: str
    about: str
    rows: tuple[Row, ...]


HEADINGS = ("what", "cimc", "expected", "difference", "tolerance", "verdict", "source")


def table(section: Section) -> str:
    """A section as Markdown."""
    lines = [f"## {section.name}", "", section.about, "", f"| {' | '.join(HEADINGS)} |"]
    lines.append("|" + "---|" * len(HEADINGS))
    lines += [f"| {' | '.join(row.cells())} |" for row in section.rows]
    return "\n".join(lines) + "\n"


def summary(sections: Sequence[Section]) -> str:
    """How many rows hold, and which do not."""
    rows = [row for section in sections for row in section.rows]
    counts = {v: sum(row.verdict == v for row in rows) for v in (HOLDS, MISSES, CONTEXT)}
    return (
        f"{counts[HOLDS]} of {len(rows)} rows hold, {counts[MISSES]} miss their tolerance, each with its "
        f"reason, and {counts[CONTEXT]} stand beside figures that cannot be judged against."
    )
