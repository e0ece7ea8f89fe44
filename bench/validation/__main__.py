"""Figures of cimc beside published and independent ones: every row with its source and a verdict.

    python -m bench.validation [--json] [--section NAME] [--write docs/validation.md]

Exits with 1 when a row misses its tolerance and no reason is named.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.validation import by_hand, device_curves, ir_drop, noise_model, papers, queues, silicon
from bench.validation.rows import MISSES, Section, summary, table

SECTIONS: dict[str, Callable[[], Section]] = {
    "papers": papers.section,
    "by-hand": by_hand.section,
    "queues": queues.section,
    "devices": device_curves.section,
    "ir-drop": ir_drop.section,
    "noise": noise_model.section,
    "silicon": silicon.section,
}
_PLACE = re.compile(r"(<!-- validation -->\n).*?(<!-- /validation -->)", re.DOTALL)


def page(sections: Sequence[Section]) -> str:
    """The generated part of the page."""
    return "\n".join([summary(sections) + "\n", *(table(section) for section in sections)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the sections, or write them into the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--section", action="append", choices=SECTIONS, help="only this one; may be repeated")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, help="Markdown file with a pair of validation comments")
    options = parser.parse_args(arguments)
    if options.write is not None and options.section:
        parser.error("--write needs all sections")
    found = [SECTIONS[name]() for name in options.section or SECTIONS]
    if options.json:
        rows = [{"section": section.name, **row.to_json()} for section in found for row in section.rows]
        print(json.dumps(rows, indent=2))
    elif options.write is None:
        print(page(found), end="")
    if options.write is not None:
        old = options.write.read_text(encoding="utf-8")
        new, count = _PLACE.subn(lambda m: m.group(1) + page(found) + m.group(2), old)
        if count != 1:
            parser.error(f"{options.write} has {count} pairs of validation comments, needs one")
        options.write.write_text(new, encoding="utf-8")
    return int(any(row.verdict == MISSES and not row.reason for s in found for row in s.rows))


if __name__ == "__main__":
    sys.exit(main())
