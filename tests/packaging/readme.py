"""The code blocks of ``README.md``, as a reader would take them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def block(heading: str) -> str:
    """The first code block under ``heading``.

    Raises:
        ValueError: there is no such heading, or no block before the next one.
    """
    text = README.read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    code = re.search(r"^```\w*\n(.*?)^```$", found[1], re.MULTILINE | re.DOTALL) if found else None
    if code is None:
        raise ValueError(f"README.md has no code block under '{heading}'")
    return code[1]


def python() -> str:
    """What a reader types into Python."""
    return block("From Python")


def shell() -> list[str]:
    """The commands for a shell; the one that enters the checkout's own environment is not among them."""
    lines = block("From the shell").splitlines()
    return [line for line in lines if not line.startswith(". .venv/")]
