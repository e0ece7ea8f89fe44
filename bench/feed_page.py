"""The worked plan of ``docs/plan.md``: what a feed of 10^12 parameters hangs on.

    python -m bench.feed_page [--write docs/plan.md]

The table is what the linear program decides on ``--chips`` chips, one change at a time; the figures above it
are those of ``cimc plan`` (``python -m bench.feed feed.yaml`` writes the description).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.feed import feed
from cimc.study.planning.machine_plan import decided
from cimc.study.planning.spread import Spread
from cimc.target.load_target import load_target

TARGET = "tsinghua28{tile.scratchpad_bytes=1048576}"
CHIPS = 16_384
_PLACE = re.compile(r"(<!-- feed -->\n).*?(<!-- /feed -->)", re.DOTALL)


@dataclass(frozen=True)
class Case:
    """A row of the table: what is changed, and the decision; bits that cross between chips."""

    what: str
    spread: Spread
    crossing_bits: float

    def row(self) -> str:
        """The row."""
        return (
            f"| {self.what} | {self.spread.chips:,} | {self.spread.homes:,} | "
            f"{1e3 / self.spread.period_ns:.2f} | {1e3 / self.spread.bound_ns:.2f} | "
            f"{self.crossing_bits / 1e6:.2f} |"
        )


def cases() -> Iterator[Case]:
    """The decision on so many chips, then one change at a time."""

    def case(what: str, chips: int = CHIPS, fields: str = "", shift: float = 0.0) -> Case:
        target = load_target(f"{TARGET[:-1]} {fields}}}" if fields else TARGET)
        spread, crossing = decided(feed(shift=shift), target, chips)
        return Case(what, spread, crossing)

    yield case("as above")
    yield case("links between chips of 205 Gb/s instead of 504", fields="link=hypertransport2002")
    yield case("of 20 Gb/s", fields="chip.host_link_gbps=20.0")
    yield case("mesh links of 76.8 Gb/s instead of 38.4", fields="tile.link_gbps=76.8")
    yield case("four ports a chip instead of one", fields="chip.ports=4")
    yield case("exponents of all tables 0.1 less", shift=-0.1)
    yield case("exponents 0.1 more", shift=0.1)
    yield case("exponents 0.3 more", shift=0.3)
    for chips in (15_600, 18_000, 24_000, 32_000):
        yield case(f"{chips:,} chips", chips)


def table(found: Sequence[Case]) -> str:
    """The generated part of the page."""
    head = "| what | chips | homes | M requests/s | bound at the cuts | Mbit crossing |"
    return "\n".join([head, "|---|---|---|---|---|---|", *(case.row() for case in found), ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the part of the page, or write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--write", type=Path, help="Markdown file with a pair of comments")
    given = parser.parse_args(arguments)
    text = table(list(cases()))
    if given.write is None:
        print(text, end="")
        return 0
    old = given.write.read_text(encoding="utf-8")
    new, count = _PLACE.subn(lambda m: m.group(1) + text + m.group(2), old)
    if count != 1:
        parser.error(f"{given.write} has {count} pairs of comments, needs one")
    given.write.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
