"""How work under way tells the user: steps done, and lines on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable

Advance = Callable[[int, int, str], None]
"""Tell progress: (steps done, steps in all, what is under way or "")."""


def note(text: str) -> None:
    """A line for the user on stderr."""
    print(text, file=sys.stderr, flush=True)
