"""The examples of every ``--help`` are commands that a shell reads as meant and that their options allow."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import click
import pytest

from cimc.cli.main import COMMANDS, cli
from cimc.study.named_pipelines import strategy
from cimc.transforms.pipeline import Pipeline

_RECORD = """cimc() { printf '%s\\0' "$@" >> "$SEEN"; printf '\\n\\0' >> "$SEEN"; }\n"""


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def examples(name: str, folder: Path) -> list[list[str]]:
    """The arguments of each example, as a shell takes them apart."""
    epilog = command(name).epilog
    assert epilog is not None
    (folder / "file.mlir").write_text("")
    seen = folder / "seen"
    seen.write_bytes(b"")
    script = _RECORD + epilog.partition("Examples:\n")[2]
    env = {**os.environ, "SEEN": str(seen)}
    subprocess.run(["sh", "-c", script], cwd=folder, env=env, capture_output=True, check=False)
    calls = seen.read_text().split("\0\n\0")[:-1]
    return [call.split("\0") for call in calls]


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_commands(name: str, tmp_path: Path) -> None:
    epilog = command(name).epilog or ""
    found = examples(name, tmp_path)
    assert len(found) == epilog.count("  cimc ") > 0
    assert name in {called for called, *_ in found}
    for called, *arguments in found:
        with command(called).make_context(called, arguments) as context:
            for way in context.params.get("strategies") or ():
                strategy(way)
            line = context.params.get("pipeline")
            if line:
                Pipeline.parse(line)
            if called == "opt" and "quantize" in (line or ""):
                assert context.params["target"]
