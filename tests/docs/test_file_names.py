"""Python files that the pages name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "models" / "README.md"])
FILES = [
    f"/{path.relative_to(ROOT).as_posix()}"
    for part in ("bench", "cimc", "examples", "models", "tests", "tools")
    for path in (ROOT / part).rglob("*.py")
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_named_files_are_there(page: Path) -> None:
    named = set(re.findall(r"`([\w./-]+\.py)`", page.read_text(encoding="utf-8")))
    assert not {name for name in named if not any(file.endswith(f"/{name}") for file in FILES)}
