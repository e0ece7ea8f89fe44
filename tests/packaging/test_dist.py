"""What a wheel and a source distribution hold, and what they say of themselves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import cimc
from tests.packaging import readme
from tests.packaging.dist import build, members, metadata, unpack

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(ROOT, tmp_path_factory.mktemp("dist"))


def test_the_wheel_holds_the_package(dist: tuple[Path, Path]) -> None:
    held = members(dist[0])
    committed = subprocess.run(
        ["git", "ls-files", "cimc"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    assert {n for n in held if n.startswith("cimc/")} >= set(committed)
    assert "cimc/py.typed" in held
    assert {n.split("/")[0] for n in held} == {"cimc", f"cimc-{cimc.__version__}.dist-info"}


def test_the_metadata_says_what_it_is(dist: tuple[Path, Path]) -> None:
    said = metadata(dist[0])
    assert said["Version"] == cimc.__version__
    assert said["License-Expression"] == "MIT"
    assert said.get_all("License-File") == ["LICENSE"]
    assert said["License"] is None
    assert said["Keywords"]
    assert "Typing :: Typed" in said.get_all("Classifier", [])


def test_a_wheel_comes_of_the_source_distribution(dist: tuple[Path, Path], tmp_path: Path) -> None:
    tree = unpack(dist[1], tmp_path / "source")
    held = {str(p.relative_to(tree)).split("/")[0] for p in tree.rglob("*") if p.is_file()}
    texts = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "PKG-INFO", "README.md"}
    assert held == {"cimc", "pyproject.toml", ".gitignore"} | texts
    assert members(build(tree, tmp_path / "again")[0]) == members(dist[0])


def test_the_readme_has_both_parts() -> None:
    assert "cimc.compile(" in readme.python()
    assert {line.split()[0] for line in readme.shell()} == {"cimc"}


def test_a_release_tag_names_the_version() -> None:
    tags = subprocess.run(
        ["git", "tag", "--points-at", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    assert {t for t in tags if t.startswith("v")} <= {f"v{cimc.__version__}"}
