"""Which modules of the package have tests of their own: imported by one, or with a file of their name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {_name(path): path for path in sorted((ROOT / "cimc").rglob("*.py"))}
"""Every module and package of ``cimc``."""


@cache
def parsed(module: str) -> ast.Module:
    """One of them, parsed."""
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


def trees() -> dict[str, ast.Module]:
    """All of them, parsed."""
    return {name: parsed(name) for name in FILES}


PACKAGES = {_name(path) for path in (ROOT / "cimc").rglob("__init__.py")}


def with_logic() -> set[str]:
    """Modules that define functions or methods with a body."""
    return {
        name for name, tree in trees().items() if name not in PACKAGES and any(map(_works, ast.walk(tree)))
    }


def _works(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and any(
        not isinstance(s, ast.Expr | ast.Pass | ast.Raise) for s in node.body
    )


def known_to_tests() -> set[str]:
    """Modules that a file of the tests imports, or that have a file of their name in the mirrored folder."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        found.update(imported(ast.parse(path.read_text(encoding="utf-8"))))
        folder = path.parent.relative_to(ROOT / "tests").parts
        found.add(".".join(("cimc", *folder, path.stem.removeprefix("test_"))))
    return found


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules that the imports of ``tree`` are about."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield from _meant(node.module, alias.name)


def _meant(module: str, name: str) -> Iterator[str]:
    """The module that ``from module import name`` is about: of a package that re-exports it, the one that
    defines it; of a package that is imported whole, all that it re-exports."""
    whole = f"{module}.{name}"
    if whole in PACKAGES:
        yield from (source for source, _ in _exports(whole))
    elif whole in FILES:
        yield whole
    elif module in PACKAGES:
        yield from (source for source, exported in _exports(module) if exported == name)
    else:
        yield module


def _exports(package: str) -> Iterator[tuple[str, str]]:
    for node in parsed(package).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                for source in _meant(node.module, alias.name):
                    yield source, alias.asname or alias.name
