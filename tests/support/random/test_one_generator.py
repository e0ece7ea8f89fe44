"""No module of the package draws from numpy's or Python's own generators."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tested import trees

PACKAGE = Path(__file__).parents[3] / "cimc"
FOREIGN = ("random", "secrets", "uuid")
NO_NUMBERS = {"cimc.support.io.files": "secrets"}
"""Names of temporary files, which nobody is to guess, and which are in no artifact."""


def foreign(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of whatever a module takes from another generator."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in FOREIGN or alias.name.startswith("numpy.random"):
                    yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
            if module in FOREIGN or any(n.startswith("numpy.random") for n in (module, *names)):
                yield node.lineno, module
        elif isinstance(node, ast.Attribute) and node.attr == "random" and _numpy(node.value):
            yield node.lineno, "numpy.random"


def _numpy(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("np", "numpy")


def test_nothing_draws_from_elsewhere() -> None:
    assert len(trees()) > 100
    found = [
        f"{module}:{line} uses {name}"
        for module, tree in trees().items()
        for line, name in foreign(tree)
        if NO_NUMBERS.get(module) != name
    ]
    assert not found, "cimc.support.random is the generator of everything: " + "; ".join(found)


def test_the_constants_stand_in_one_place() -> None:
    for text in ("9E3779B97F4A7C15", "BF58476D1CE4E5B9", "94D049BB133111EB"):
        found = [p.name for p in PACKAGE.rglob("*.py") if text in p.read_text(encoding="utf-8").upper()]
        assert found == ["splitmix.py"]


@pytest.mark.parametrize(
    "text",
    [
        "import random",
        "import numpy.random as r",
        "from numpy import random",
        "from numpy.random import default_rng",
        "from random import choice",
        "def f(x: np.random.Generator) -> None: ...",
        "numpy.random.default_rng(0)",
    ],
)
def test_each_way_to_do_so_is_seen(text: str) -> None:
    assert list(foreign(ast.parse(text)))


def test_what_is_none_is_not_seen() -> None:
    assert not list(foreign(ast.parse("from cimc.support.random.draws import Draws\nrandom = Draws(1)")))
