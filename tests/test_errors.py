"""Every error code in the code is documented, and every documented one exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import cimc.errors
from cimc.errors import CimcError
from tests.tested import trees

ROOT = Path(__file__).parents[1]
CODE = re.compile(r"([a-z]+)\.[a-z]+(-[a-z]+)*")
NO_CODES = {"system.link", "calib.npz", "system.chips"}
"""Strings that look like codes: the name of a file, a field of a target."""


@cache
def _nodes() -> list[ast.AST]:
    return [node for tree in trees().values() for node in ast.walk(tree)]


@cache
def _error_classes() -> set[str]:
    """Names of the exceptions whose first argument is a code, those of other modules too."""
    names = {n for n, c in vars(cimc.errors).items() if isinstance(c, type) and issubclass(c, CimcError)}
    classes = [node for node in _nodes() if isinstance(node, ast.ClassDef)]
    while True:
        more = {
            c.name for c in classes for base in c.bases if isinstance(base, ast.Name) and base.id in names
        }
        if more <= names:
            return names
        names |= more


@cache
def raised() -> set[str]:
    """Codes that are written where an error is made."""
    names = _error_classes()
    return {
        node.args[0].value
        for node in _nodes()
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in names
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


@cache
def in_code() -> set[str]:
    """All strings of the package that look like error codes: their first word is that of a raised one."""
    families = {code.split(".")[0] for code in raised() if CODE.fullmatch(code)}
    return (
        raised()
        | {
            node.value
            for node in _nodes()
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and (match := CODE.fullmatch(node.value))
            and match[1] in families
        }
        - NO_CODES
    )


def test_documented_codes_are_the_codes() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    documented = {code for row in rows for code in re.findall(r"`([^`]+)`", row)}
    assert documented
    missing, stale = in_code() - documented, documented - in_code()
    assert not missing, f"not in docs/errors.md: {sorted(missing)}"
    assert not stale, f"in docs/errors.md, but nowhere in the code: {sorted(stale)}"
