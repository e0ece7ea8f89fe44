"""Files that tools other than Python read parse and agree with the project; test runs waste no time."""

from __future__ import annotations

import configparser
import os
import re
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import yaml

import cimc
from tests.conftest import SLOW, WHOLE, pytest_ignore_collect

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == cimc.__version__
    assert cited["license"] == PROJECT["project"]["license"]
    assert [a["name"] for a in cited["authors"]] == [a["name"] for a in PROJECT["project"]["authors"]]
    assert {"message", "title"} <= cited.keys()


def test_the_changelog_begins_with_this_version() -> None:
    found = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    assert found[1] == cimc.__version__


def test_hooks_run_what_is_installed() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [each["repo"] for each in config["repos"]] == ["local"]
    hooks = [hook for each in config["repos"] for hook in each["hooks"]]
    assert {hook["language"] for hook in hooks} == {"system"}
    assert {hook["entry"].split()[0] for hook in hooks} == {".venv/bin/ruff", ".venv/bin/mypy"}


def test_editors_and_ruff_agree() -> None:
    text = "[top]\n" + (ROOT / ".editorconfig").read_text(encoding="utf-8")
    config = configparser.ConfigParser()
    config.read_string(text)
    assert config["top"]["root"] == "true"
    assert config["*.py"]["max_line_length"] == str(PROJECT["tool"]["ruff"]["line-length"])


def test_every_declared_python_is_named() -> None:
    named = {c.rpartition(" ")[2] for c in PROJECT["project"]["classifiers"] if ":: Python :: 3." in c}
    assert named == {"3.11", "3.12", "3.13"}
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.14"


@pytest.mark.parametrize("page", ["SECURITY.md", "CONTRIBUTING.md", "docs/release.md"])
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    targets = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
    paths = re.findall(r"`((?:cimc|docs|tests)/[\w/.]+\.\w+)`", path.read_text(encoding="utf-8"))
    assert all((path.parent / t).exists() for t in targets)
    assert all((ROOT / p).exists() for p in paths)
    assert targets or paths


def test_slow_tests_exist() -> None:
    for line in (ROOT / "tests" / "slow.txt").read_text(encoding="utf-8").split():
        path, _, name = line.partition("::")
        assert (ROOT / path).exists(), line
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8") if name else True, line


def test_bytecode_is_kept_whatever_the_environment_says() -> None:
    """Else each process of a run compiles the package, and each worker rewrites every assertion, anew."""
    assert not sys.dont_write_bytecode
    assert "PYTHONDONTWRITEBYTECODE" not in os.environ


def test_files_without_a_fast_test_are_left_out_of_a_fast_run_alone() -> None:
    def left_out(path: str, marks: str) -> bool | None:
        config = SimpleNamespace(getoption={"markexpr": marks}.__getitem__)
        return pytest_ignore_collect(ROOT / path, cast(pytest.Config, config))

    assert WHOLE
    for name in WHOLE:
        assert left_out(name, "not slow"), name
        assert not left_out(name, ""), name
        assert not left_out(name, "slow"), name
    some = min(line.partition("::")[0] for line in SLOW if "::" in line)
    for path in (some, "tests", "tests/packaging", "tests/packaging/test_habits.py", "docs"):
        assert not left_out(path, "not slow"), path
