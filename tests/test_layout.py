"""The floor plan: imports run one way, names mean one thing, folders stay small, tests mirror the tree."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests import tested

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cimc"
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py")
FOLDERS = sorted({p.parent for p in MODULES})
WITHOUT_ROOM = {
    "conformance", "docs", "e2e", "filecheck", "fuzz", "golden", "models", "packaging", "zoo",
}  # fmt: skip
"""Folders of tests that belong to no single room: whole models, documents, campaigns."""


def test_contracts_of_imports_are_kept() -> None:
    """Order of rooms, no circles at any depth, independent commands: see ``[tool.importlinter]``."""
    command = [
        sys.executable,
        "-c",
        "import sys, importlinter.cli as c; sys.exit(c.lint_imports(no_cache=True))",
    ]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_a_module_name_means_one_thing() -> None:
    """A command may be named as what it runs, and a module as the folder that it is the entrance of."""
    named = defaultdict(set)
    for path in [*MODULES, *FOLDERS]:
        if path.parent.name != "commands" and path.stem != path.parent.name:
            named[path.stem].add(str(path.relative_to(ROOT)))
    twice = {
        name: found
        for name, found in named.items()
        if len(found) > 1 and any(f.endswith(".py") for f in found)
    }
    assert not twice


def test_folders_stay_small() -> None:
    crowded = {
        str(f.relative_to(ROOT)): n for f in FOLDERS if (n := sum(p.parent == f for p in MODULES)) > 15
    }
    assert not crowded


def test_modules_stay_short() -> None:
    long = {str(p.relative_to(ROOT)): n for p in MODULES if (n := len(p.read_text().splitlines())) > 520}
    assert not long


def test_packages_say_what_they_are() -> None:
    mute = [
        str(f.relative_to(ROOT)) for f in FOLDERS if not (f / "__init__.py").read_text().startswith('"""')
    ]
    assert not mute


def test_tests_mirror_the_tree() -> None:
    stray = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder = path.parent.relative_to(ROOT / "tests")
        if folder.parts and folder.parts[0] not in WITHOUT_ROOM and not (PACKAGE / folder).is_dir():
            stray.append(str(path.relative_to(ROOT)))
    assert not stray


def test_modules_with_logic_have_tests_of_their_own() -> None:
    missing = tested.with_logic() - tested.known_to_tests()
    assert missing == set(), "give these modules a test"


@pytest.mark.parametrize(
    ("statement", "known"),
    [
        ("from cimc.sim.memory import Memory", {"cimc.sim.memory"}),
        ("import cimc.sim.memory", {"cimc.sim.memory"}),
        ("from cimc.sim import memory", {"cimc.sim.memory"}),
        ("from cimc.timing import Arrivals", {"cimc.timing.arrivals"}),
        ("from cimc.target import load_target", {"cimc.target.load_target"}),
        ("from cimc import errors", {"cimc.errors"}),
    ],
)
def test_what_an_import_makes_known(statement: str, known: set[str]) -> None:
    assert set(tested.imported(ast.parse(statement))) == known


def test_a_package_imported_whole_makes_known_what_it_exports() -> None:
    found = set(tested.imported(ast.parse("from cimc.ir import rec")))
    assert {"cimc.ir.rec.arithmetic", "cimc.ir.rec.embedding"} <= found
