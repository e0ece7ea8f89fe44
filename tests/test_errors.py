"""Every error code in the code is documented, and every documented one exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FAMILY = (
    "accuracy|calib|check|cli|cost|export|frontend|host|io|ir|isa|lower|mapping|pass|place|program|quantize|"
    "report|request|schedule|shard|sim|simulate|study|target|trace"
)
CODE = re.compile(rf"({FAMILY})\.(?!npz$)[a-z]+(-[a-z]+)*")  # calib.npz is a file


def in_code() -> set[str]:
    """All strings of the package that look like error codes."""
    return {
        node.value
        for path in (ROOT / "cimc").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value)
    }


def test_documented_codes_are_the_codes() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    documented = {c for c in re.findall(r"`([a-z]+\.[a-z-]+)`", page) if CODE.fullmatch(c)}
    missing, stale = in_code() - documented, documented - in_code()
    assert not missing, f"not in docs/errors.md: {sorted(missing)}"
    assert not stale, f"in docs/errors.md, but nowhere in the code: {sorted(stale)}"
