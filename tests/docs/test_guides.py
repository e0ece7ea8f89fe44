"""The guides for what others add are followed to the letter: their files are written, their commands run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

from tests.e2e.cosh_model import write_model

ROOT = Path(__file__).parents[2]
GUIDES = {
    "CONTRIBUTING.md": "How to write a pass",
    "docs/frontend.md": "How to add a recogniser",
    "docs/mapping.md": "A strategy of your own",
    "docs/targets.md": "Your own target",
    "docs/devices.md": "Your own device",
    "docs/plugins.md": "For one command: `--plugin`",
}


class Guide(NamedTuple):
    """The blocks of a section: files by name, other Python, and commands."""

    files: dict[str, str]
    lines: list[str]
    commands: list[str]


def guide(page: str) -> Guide:
    """The section of a page that says how something is added."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(GUIDES[page])}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, page
    files: dict[str, str] = {}
    lines: list[str] = []
    commands: list[str] = []
    for _, kind, body in re.findall(r"^( *)```(python|sh)\n(.*?)^\1```$", found[1], re.MULTILINE | re.DOTALL):
        block = dedent(body)
        name = re.match(r"# (\w+\.py)\n", block)
        if kind == "sh":
            commands.append(block)
        elif name is not None:
            files[name[1]] = block
        else:
            lines.append(block.strip())
    return Guide(files, lines, commands)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the guides speak of, and ``cimc`` as a command."""
    write_model(tmp_path, "model.onnx", "requests.npz")
    script = tmp_path / "bin" / "cimc"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m cimc "$@"\n')
    script.chmod(0o755)
    return tmp_path


def shell(folder: Path, command: str, tree: Path = ROOT) -> str:
    """Run a block of commands as it stands; what it printed."""
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(tree)}
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", command], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, command + done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("page", GUIDES)
def test_what_a_guide_says_works(page: str, folder: Path) -> None:
    found = guide(page)
    assert found.files
    assert found.commands
    for name, text in found.files.items():
        (folder / name).write_text(text)
    printed = "".join(shell(folder, command) for command in found.commands)
    assert any(name.removesuffix(".py") in command for name in found.files for command in found.commands)
    if page == "docs/frontend.md":
        assert re.search(r"Cosh +vector|Cosh.*cosh", printed)


def into_the_tree(folder: Path, name: str, text: str) -> Path:
    """A copy of the package with a file of a guide, which does not register itself there."""
    tree = folder / "tree"
    shutil.copytree(ROOT / "cimc", tree / "cimc", ignore=shutil.ignore_patterns("__pycache__"))
    registers = r"^(@(cimc\.)?register_(?!remark)|from \S+ import register_|import cimc$).*\n"
    plain = re.sub(registers, "", text, flags=re.MULTILINE)
    (tree / "cimc" / "transforms" / "recognise" / name).write_text(plain)
    return tree


def test_a_pass_becomes_part_of_cimc(folder: Path) -> None:
    found = guide("CONTRIBUTING.md")
    ((name, text),), (line,) = found.files.items(), found.lines
    tree = into_the_tree(folder, name, text)
    table = tree / "cimc" / "transforms" / "passes.py"
    table.write_text(
        table.read_text().replace('        "quantize": ', f'        {line}\n        "quantize": ', 1)
    )
    (command,) = found.commands
    assert "--plugin" in command
    shell(folder, command.replace(f"--plugin {name}", ""), tree)


def test_a_recogniser_becomes_part_of_cimc(folder: Path) -> None:
    found = guide("docs/frontend.md")
    ((name, text),) = found.files.items()
    tree = into_the_tree(folder, name, text)
    table = tree / "cimc" / "transforms" / "recognise" / "__init__.py"
    source = table.read_text().replace("    Cast,\n)", "    Cast,\n    Cosh,\n)", 1)
    first = "from cimc.transforms.recognise.embedding_bags"
    source = source.replace(first, f"from cimc.transforms.recognise.cosh import Cosh\n{first}", 1)
    table.write_text(source)
    before = shell(folder, "cimc opt model.onnx -p canonicalize,recognise,demote,outline-host")
    after = shell(folder, "cimc opt model.onnx -p canonicalize,recognise,demote,outline-host", tree)
    assert "rec.host" in before
    assert "rec.host" not in after
