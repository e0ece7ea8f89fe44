"""Runs ONNX's node tests through the compiler and prints what became of them, as Markdown.

    python -m bench.conformance [--filter gemm] [--every 10] [--write docs/conformance.md]

With ``--write`` the result replaces what stands between the two ``conformance`` comments of the file.
Exits with 1 when a test gave wrong results or crashed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.conformance.cases import node_cases
from bench.conformance.run import judge_all
from bench.conformance.table import report

_PLACE = re.compile(r"(<!-- conformance -->\n).*?(<!-- /conformance -->)", re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the result, or write it into a document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--filter", default="", help="only tests whose name contains this")
    parser.add_argument("--every", type=int, default=1, help="only every Nth of these")
    parser.add_argument("--write", type=Path, help="Markdown file with a pair of conformance comments")
    options = parser.parse_args(arguments)
    names = [c for c in node_cases() if options.filter in (c if isinstance(c, str) else c.name)]
    rows = list(judge_all(names[:: options.every]))
    text = report(rows)
    if options.write is None:
        print(text, end="")
    else:
        old = options.write.read_text(encoding="utf-8")
        new, count = _PLACE.subn(lambda m: m.group(1) + text + m.group(2), old)
        if count != 1:
            parser.error(f"{options.write} has {count} pairs of conformance comments, needs one")
        options.write.write_text(new, encoding="utf-8")
    return int(any(row.bad for row in rows))


if __name__ == "__main__":
    sys.exit(main())
