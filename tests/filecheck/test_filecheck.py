"""Runs the ``// RUN:`` lines of the .mlir files in this folder."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PYTHON = shlex.quote(sys.executable)


@pytest.mark.parametrize(
    "path", sorted(HERE.rglob("*.mlir")), ids=lambda p: str(p.relative_to(HERE).with_suffix(""))
)
def test_filecheck(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.startswith("// RUN:")]
    assert lines, f"{path} has no RUN line"
    for line in lines:
        command = line.removeprefix("// RUN:").strip().replace("%s", shlex.quote(str(path)))
        command = command.replace("cimc opt", f"{PYTHON} -m cimc opt").replace(
            "| filecheck", f"| {PYTHON} -m filecheck"
        )
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
        )
        assert done.returncode == 0, done.stdout + done.stderr
