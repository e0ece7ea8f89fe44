"""Imports run one way: a package may import only those named for it here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "cimc"
BASE = {"errors", "files", "claims", "shown", "support"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "files": {"errors"},
    "claims": {"errors"},
    "shown": {"errors"},
    "support": {"errors"},
    "target": BASE | {"ir"},
    "ir": BASE | {"target"},
    "mapping": BASE,
    "frontend": BASE | {"ir"},
    "isa": BASE | {"ir", "target"},
    "passes": BASE | {"ir", "target", "frontend", "mapping", "isa"},
    "sim": BASE | {"ir", "target", "frontend", "isa"},
    "cost": BASE | {"ir", "target", "isa", "sim"},
    "report": BASE | {"ir", "target", "isa", "sim", "cost", "frontend"},
    "study": BASE | {"ir", "target", "frontend", "mapping", "isa", "passes", "sim", "cost", "report", "api"},
}
FREE = {"api", "backend", "cli", "universe", "__init__", "__main__"}
"""The outermost layer: may import everything."""


def imports(path: Path) -> set[str]:
    """Top-level packages of cimc that a file imports, at module level or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "cimc" else [f"cimc.{a.name}" for a in node.names]
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        found |= {n.split(".")[1] for n in names if n.startswith("cimc.")}
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    layer = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if layer in FREE:
        return
    outside = imports(path) - ALLOWED[layer] - {layer}
    assert not outside, f"{layer} may not import {', '.join(sorted(outside))}"


def test_no_module_is_overlong() -> None:
    long = {p.name: n for p in ROOT.rglob("*.py") if (n := len(p.read_text().splitlines())) > 520}
    # the dialect of all tensor operations is one table
    assert set(long) <= {"rec.py"}, long
