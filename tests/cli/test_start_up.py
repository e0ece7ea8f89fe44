"""What starting the command must not import, and help that works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cimc.cli.main import COMMANDS
from tests.cli.tiny_files import call

ROOT = Path(__file__).parents[2]
HEAVY = ("numba", "ortools", "onnx", "onnxruntime", "xdsl", "pandas", "networkx", "numpy", "pydantic", "rich")


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout


@pytest.mark.parametrize("args", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    code = f"""
import sys
from cimc.cli.main import main
assert main({args!r}) == 0
print("LOADED", sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    assert "LOADED []" in python(code)


def test_the_package_is_lazy() -> None:
    code = f"""
import sys, cimc
print(sorted(set({HEAVY!r}) & set(sys.modules)))
print(all(getattr(cimc, name) is not None for name in cimc.__all__))
"""
    assert python(code).split("\n")[:2] == ["[]", "True"]


def test_unknown_names_of_the_package() -> None:
    import cimc

    with pytest.raises(AttributeError, match="nosuch"):
        _ = cimc.nosuch
    assert set(cimc.__all__) <= set(dir(cimc))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples_and_json(name: str) -> None:
    text = call(name, "--help").out
    assert "Examples:" in text
    assert f"cimc {name}" in text
    assert "--json" in text


def test_module_form() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cimc", "--version"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.startswith("cimc")
