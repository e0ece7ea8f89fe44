"""Signals: exit codes, nothing left behind, no child left alive; with real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_errors import ROOT

WRITING = """
import os, sys, time
from pathlib import Path
import cimc.cli.signals as signals
from cimc.cli.main import main
from cimc.host import isolation
import cimc.cli.commands.targets as targets, click
from cimc.support.io.files import atomic_file

@click.command()
def command():
    isolation.warm_up()
    with atomic_file(Path("artifact")) as file:
        file.write(b"half")
        os.write(2, b"%d\\n" % isolation._pool.worker.process.pid)  # a print may be repeated by a signal
        {body}

targets.command = command
sys.argv = ["cimc", "targets"]
sys.exit(main())
"""
READING = """
import sys
from cimc.cli import main, textfiles
read = textfiles._stdin
textfiles._stdin = lambda: (print("reading", flush=True), read())[1]
sys.argv = ["cimc", "opt", "-", "--json"]
sys.exit(main.main())
"""
SLEEP = "time.sleep(100)"
THREADS = """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: time.sleep(0.5), range(1000)))
"""
NATIVE = """
        import hashlib
        signals._GRACE = 0.2
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)  # gives the interpreter's lock away
"""
SWALLOWED = """
        signals._GRACE = 0.2
        try:
            time.sleep(100)
        except KeyboardInterrupt:
            time.sleep(100)
"""
STUBBORN = """
        try:
            os.write(2, b"waiting\\n")
            time.sleep(100)
        finally:
            print("cleaning", flush=True, file=sys.stderr)
            time.sleep(100)
"""


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """A suite that runs in the background, or under nohup, would hand on that it ignores signals."""
    before = {n: signal.signal(n, signal.SIG_DFL) for n in (signal.SIGHUP, signal.SIGTERM)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def start(folder: Path, body: str, before: str = "") -> tuple[subprocess.Popen[str], int]:
    """The process, in the middle of writing an artifact, and the one of onnxruntime."""
    code = before + WRITING.replace("{body}", body)
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    assert child.stderr is not None
    host = int(child.stderr.readline())
    assert len(list(folder.iterdir())) == 1
    return child, host


def ended(child: subprocess.Popen[str], host: int, folder: Path) -> tuple[int, str]:
    """Exit code and what was said; nothing may be left."""
    try:
        _, said = child.communicate(timeout=60)
    finally:
        child.kill()
    until = time.monotonic() + 20
    while alive(host) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(host)
    assert list(folder.iterdir()) == []
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    return child.returncode, said


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("group", [False, True])
def test_a_signal_leaves_nothing_behind(tmp_path: Path, number: signal.Signals, group: bool) -> None:
    child, host = start(tmp_path, SLEEP)
    (os.killpg if group else os.kill)(child.pid, number)
    code, said = ended(child, host, tmp_path)
    assert code == 128 + number
    assert said.endswith("\ninterrupted\n")


@pytest.mark.parametrize("body", [THREADS, NATIVE, SWALLOWED], ids=["threads", "native", "swallowed"])
def test_work_that_does_not_listen(tmp_path: Path, body: str) -> None:
    child, host = start(tmp_path, body)
    time.sleep(0.3)
    child.send_signal(signal.SIGTERM)
    assert ended(child, host, tmp_path)[0] == 143


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    child, host = start(tmp_path, STUBBORN)
    assert child.stderr is not None
    assert child.stderr.readline() == "waiting\n"
    child.send_signal(signal.SIGTERM)
    assert child.stderr.readline() == "cleaning\n"
    child.send_signal(signal.SIGINT)
    assert ended(child, host, tmp_path)[0] == 130


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    before = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"  # as nohup starts it
    child, host = start(tmp_path, SLEEP, before)
    child.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert child.poll() is None
    child.send_signal(signal.SIGTERM)
    assert ended(child, host, tmp_path)[0] == 143


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_modules_load(tmp_path: Path, number: signal.Signals) -> None:
    """Dataclasses are text that is executed; ``python -m`` ends with 130 after an interrupt that left it."""
    text = f"import os; os.kill(os.getpid(), {int(number)}); import time; time.sleep(60)"
    code = f"""
import sys
from cimc.cli import main
main._run = lambda args, as_json: exec({text!r})
sys.exit(main.main())
"""
    (tmp_path / "loading.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "loading"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 128 + number


def test_json_says_which_signal() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", READING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "reading\n"
    child.send_signal(signal.SIGTERM)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 143
    assert json.loads(out[out.index("{") :])["error"]["message"] == "stopped by SIGTERM"


def test_the_search_for_a_placement_leaves_ctrl_c_alone() -> None:
    source = (ROOT / "cimc" / "mapping" / "chips.py").read_text()
    assert source.count("CpSolver()") == source.count("catch_sigint_signal = False") == 1
