"""Options and fixtures of the whole test suite."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

# Dozens of Python processes make up one run.  Where none of them may keep bytecode, as is common in
# containers, each compiles the whole package anew, and each worker rewrites every assertion.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from tests import quality  # noqa: E402 - the first import of the package

settings.register_profile("dev", deadline=None, print_blob=True)  # looks for new examples
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)  # repeats
IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if IN_CI else "dev"))

ROOT = Path(__file__).parents[1]
SLOW = frozenset((ROOT / "tests" / "slow.txt").read_text(encoding="utf-8").split())
"""Tests that take longest, by measurement: functions, files and folders (with a slash at the end)."""
CORPUS = ROOT.parent / "shared" / "corpus"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files with what is found")


WHOLE = tuple(entry for entry in sorted(SLOW) if "::" not in entry)
"""Those that are files or folders: all of their tests are slow."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files without a fast test are not even imported where no slow test is asked for."""
    if config.getoption("markexpr") != "not slow" or not collection_path.is_relative_to(ROOT):
        return None
    name = collection_path.relative_to(ROOT).as_posix()
    return True if (f"{name}/" if collection_path.is_dir() else name).startswith(WHOLE) else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Imports make many objects that stay: looking through them for garbage is a waste, then and later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(WHOLE) or item.nodeid.partition("[")[0] in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with ``tests/golden/NAME``, or writes it under ``--update-golden``."""
    update = request.config.getoption("--update-golden")

    def check(name: str, text: str) -> None:
        path = ROOT / "tests" / "golden" / name
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is missing: run pytest --update-golden"
        assert text == path.read_text(encoding="utf-8"), f"{path} differs: pytest --update-golden if right"

    return check


@pytest.fixture
def golden_quality(request: pytest.FixtureRequest) -> quality.CheckQuality:
    """Compares metrics of a model (group, name) with its golden ones; see ``tests/quality.py``."""
    update = bool(request.config.getoption("--update-golden"))

    def check(group: str, name: str, found: Mapping[str, quality.Metric]) -> None:
        quality.compare(group, name, found, update)

    return check


@pytest.fixture
def golden_names(request: pytest.FixtureRequest) -> Callable[[str, Iterable[str]], None]:
    """Checks that a group of golden metrics knows no other models than these."""
    update = bool(request.config.getoption("--update-golden"))
    return lambda group, names: quality.compare_names(group, names, update)
