"""Runs the ``// RUN:`` lines of the .mlir files in this folder.

A line ``// -----`` parts a file into cases, each with its own ``RUN`` lines.  In them ``%s`` is the case as a
file, ``%data`` a store with the arrays of its ``// DATA:`` lines, ``%calib`` requests with those of its
``// CALIB:`` lines: a name, a dtype, a shape, and values, which are repeated until the shape is full.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cimc.ir.tensor_store import TensorStore

HERE = Path(__file__).parent
PYTHON = shlex.quote(sys.executable)
CASES = {
    f"{path.relative_to(HERE).with_suffix('')}:{number}": case
    for path in sorted(HERE.rglob("*.mlir"))
    for number, case in enumerate(re.split(r"^// -----.*\n", path.read_text(), flags=re.MULTILINE))
}


def lines(case: str, kind: str) -> list[str]:
    start = f"// {kind}:"
    return [line.removeprefix(start).strip() for line in case.splitlines() if line.startswith(start)]


def arrays(case: str, kind: str) -> dict[str, NDArray[Any]]:
    found = {}
    for line in lines(case, kind):
        match = re.fullmatch(r"(\S+) (\w+) \[([\d, ]*)\] (.*)", line)
        assert match, f"not NAME DTYPE [SHAPE] VALUES: {line}"
        name, dtype, shape, values = match.groups()
        dims = tuple(int(d) for d in shape.split(",") if d.strip())
        found[name] = np.resize(np.array(values.split(), np.float64).astype(dtype), dims)
    return found


@pytest.mark.parametrize("name", CASES)
def test_filecheck(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    assert lines(case, "RUN"), f"{name} has no RUN line"
    file, data, calib = tmp_path / "case.mlir", tmp_path / "data.safetensors", tmp_path / "calib.npz"
    file.write_text(case)
    store = TensorStore()
    for symbol, array in arrays(case, "DATA").items():
        store.put(symbol, array)
    store.save(data)
    np.savez(calib, **arrays(case, "CALIB"))
    for command in lines(case, "RUN"):
        for short, long in {
            "%s": shlex.quote(str(file)),
            "%data": shlex.quote(str(data)),
            "%calib": shlex.quote(str(calib)),
            "cimc opt": f"{PYTHON} -m cimc opt",
            "| filecheck": f"| {PYTHON} -m filecheck",
        }.items():
            command = command.replace(short, long)
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
        )
        assert done.returncode == 0, done.stdout + done.stderr
