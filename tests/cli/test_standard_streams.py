"""Streams that fail, in this process; ``test_streams.py`` has whole processes."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path

import pytest

from cimc.cli.standard_streams import StdoutClosed, _Err, _open_closed, _Out, safe_streams
from cimc.errors import CimcError

full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@full
def test_a_write_that_fails_says_so_once() -> None:
    out = _Out(os.open("/dev/full", os.O_WRONLY), "wb")
    with pytest.raises(CimcError) as caught:
        out.write(b"text")
    assert caught.value.code == "io.cannot-write"
    assert out.write(b"text") == 4  # what buffers hold at exit


def test_a_reader_that_went_away() -> None:
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(StdoutClosed):
        _Out(write, "wb").write(b"text")


@full
def test_what_cannot_be_said_is_dropped() -> None:
    assert _Err(os.open("/dev/full", os.O_WRONLY), "wb").write(b"text") == 4


def test_a_pipe_that_does_not_wait_is_waited_for() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    out = _Out(write, "wb")
    with contextlib.suppress(BlockingIOError):
        while os.write(write, b"x" * 4096):
            pass
    reader = threading.Timer(0.05, lambda: os.read(read, 1 << 20))
    reader.start()
    assert out.write(b"the rest") == 8
    reader.join()
    out.close()
    os.close(read)


def test_streams_of_others_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with safe_streams():
        assert (sys.stdout, sys.stderr) == before  # pytest's own
        print("text")
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out == "text\n"


def test_open_descriptors_stay_open() -> None:
    before = [os.fstat(fd).st_ino for fd in (0, 1, 2)]
    _open_closed()
    assert [os.fstat(fd).st_ino for fd in (0, 1, 2)] == before
