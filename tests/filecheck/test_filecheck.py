"""Runs the ``// RUN:`` lines of the .mlir files in this folder.

A line ``// -----`` parts a file into cases, each with its own ``RUN`` lines.  In them ``%s`` is the case as a
file, ``%data`` a store with the arrays of its ``// DATA:`` lines, ``%calib`` requests with those of its
``// CALIB:`` lines: a name, a dtype, a shape, and values, which are repeated until the shape is full.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filecheck.matcher import Matcher
from filecheck.options import parse_argv_options
from numpy.typing import NDArray

from cimc.ir.tensor_store import TensorStore
from tests.cli.tiny_files import call

HERE = Path(__file__).parent
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


COMMAND = re.compile(r"(?P<fails>\{ ! )?cimc opt (?P<options>.*?)(?:; \})?(?P<errors> 2>&1| 2>/dev/null)?")
"""One command of a ``RUN`` line; it fails where it says so, and its errors are read or dropped."""


def run(line: str, files: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do in this process what a shell would do with the line: each reads what the one before wrote."""
    *commands, check = line.split(" | ")
    text = ""
    for command in commands:
        match = COMMAND.fullmatch(command)
        assert match, f"not understood: {command}"
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        options = [files.get(word, word) for word in shlex.split(match["options"])]
        done = call("opt", *options)
        assert (done.code != 0) == bool(match["fails"]), done.err
        text = (done.err if match["errors"] == " 2>&1" else "") + done.out  # notes are said first
    given = folder / "checked.txt"
    given.write_text(text)
    words = [files.get(word, word) for word in shlex.split(check)]
    assert words[0] == "filecheck"
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = Matcher.from_opts(parse_argv_options([*words, "--input-file", str(given)])).run()
    assert code == 0, said.getvalue()


@pytest.mark.parametrize("name", CASES)
def test_filecheck(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    assert lines(case, "RUN"), f"{name} has no RUN line"
    file, data, calib = tmp_path / "case.mlir", tmp_path / "data.safetensors", tmp_path / "calib.npz"
    file.write_text(case)
    store = TensorStore()
    for symbol, array in arrays(case, "DATA").items():
        store.put(symbol, array)
    store.save(data)
    np.savez(calib, **arrays(case, "CALIB"))
    files = {"%s": str(file), "%data": str(data), "%calib": str(calib)}
    for command in lines(case, "RUN"):
        run(command, files, tmp_path, monkeypatch)
