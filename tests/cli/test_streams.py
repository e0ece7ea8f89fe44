"""Standard streams that are closed, full, broken or of another encoding, with real processes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_errors import ROOT, shell
from tests.cli.tiny_files import Tiny

QUIET = ("Traceback", "Exception ignored", "bug in cimc")


def quiet(text: str) -> None:
    assert not any(word in text for word in QUIET), text


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "<&-"])
def test_closed_streams_are_the_null_device(tmp_path: Path, tiny: Tiny, closed: str) -> None:
    made = tmp_path / "annotated.onnx"
    done = shell(f"$CIMC inspect {tiny.model} --annotate {made} {closed}")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert ("parameters" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))
    assert made.read_bytes()[:2] == tiny.model.read_bytes()[:2]  # nothing printed went into a file


def test_a_closed_input_cannot_be_read() -> None:
    done = shell("$CIMC opt - <&-")
    assert done.returncode == 2
    assert "io.cannot-read" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("args", ["--help", "targets --help", "--version", "targets", "targets --json"])
def test_a_full_disk_behind_anything_printed(args: str) -> None:
    done = shell(f"PYTHONUNBUFFERED=1 $CIMC {args} > /dev/full")
    assert done.returncode == 2
    assert "io.cannot-write" in done.stderr
    quiet(done.stderr)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_what_cannot_be_said_is_dropped() -> None:
    assert shell("$CIMC nosuch 2> /dev/full").returncode == 2
    assert shell("$CIMC nosuch > /dev/full 2>&1").returncode == 2
    assert shell("$CIMC nosuch --json > /dev/full 2>&1").returncode == 2
    assert shell("$CIMC opt 2>&1 >&- | head -0; exit ${PIPESTATUS[0]}").returncode == 2


@pytest.mark.parametrize("args", ["--help", "--version", "targets", "targets --json", "nosuch --json"])
def test_a_reader_that_goes_away_at_any_time(args: str) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "cimc", *args.split()],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("limit", [5, 8, 12])
def test_few_descriptors(tiny: Tiny, tmp_path: Path, limit: int) -> None:
    done = shell(f"ulimit -n {limit}; $CIMC compile {tiny.model} -o {tmp_path}/p.cimc")
    if "cimc" not in done.stderr and done.returncode == 1:
        assert limit < 6  # Python itself does not start
        return
    assert done.returncode in (0, 2), done.stderr
    quiet(done.stderr)
    assert done.returncode == 0 or "system.too-many-files" in done.stderr, done.stderr
    assert {p.name for p in tmp_path.iterdir()} <= {"p.cimc"}


@pytest.mark.parametrize("encoding", ["PYTHONIOENCODING=ascii", "LC_ALL=C", "LC_ALL=POSIX PYTHONUTF8=0"])
def test_names_that_an_encoding_lacks(tmp_path: Path, encoding: str) -> None:
    text = 'module attributes {x = "größer"} {}\n'
    (tmp_path / "größer.mlir").write_text(text, encoding="utf-8")
    targets = f"{encoding} $CIMC targets"
    done = shell(f"cd {tmp_path}; {targets} größer.yaml; {targets} $'\\xff.yaml'")
    assert done.stderr.count("[target.unknown]") == 2
    quiet(done.stderr)
    command = f"cd {tmp_path}; {encoding} $CIMC opt größer.mlir"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "CIMC": f"{sys.executable} -m cimc"}
    made = subprocess.run(["bash", "-c", command], capture_output=True, check=True, env=env).stdout
    again = tmp_path / "again.mlir"
    again.write_bytes(made)
    assert shell(f"$CIMC opt {again}").stdout.encode() == made  # IR is UTF-8 whatever the terminal is


def terminal(args: str, **env: str) -> str:
    """What a command prints on a terminal."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "cimc", *args.split()],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )
    os.close(theirs)
    data = b""
    while True:
        try:
            more = os.read(ours, 1 << 16)
        except OSError:
            break
        if not more:
            break
        data += more
    os.close(ours)
    assert child.wait(60) == 0, data
    return data.decode()


def test_terminals(tiny: Tiny, tmp_path: Path) -> None:
    inspect = f"inspect {tiny.model}"
    assert "\x1b[" in terminal(inspect, TERM="xterm-256color")
    assert "\x1b[" not in terminal(inspect, TERM="dumb")
    assert "\x1b[3" not in terminal(inspect, TERM="xterm-256color", NO_COLOR="1")  # no colour; bold may stay
    for columns in ("20", "1"):
        text = terminal(inspect, TERM="dumb", COLUMNS=columns)
        assert "tiny.onnx" in text.replace("\r\n", "")  # one letter a line, where LINES is set, too
    quiet(terminal(f"compile {tiny.model} -o {tmp_path}/p.cimc", TERM="dumb", COLUMNS="20"))


def test_no_home(tiny: Tiny, tmp_path: Path) -> None:
    done = shell(
        f"cd {tmp_path}; env -u HOME -u USER $CIMC compile {tiny.model} -o p.cimc && "
        f"env -u HOME $CIMC run p.cimc --inputs {tiny.requests} --outputs o.npz"
    )
    assert done.returncode == 0, done.stderr
    quiet(done.stderr)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.npz", "p.cimc"]
