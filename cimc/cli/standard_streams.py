"""Standard streams that may be closed, full, broken or of another encoding: cron and daemons have such.

A closed standard output or error is taken as the null device, a closed standard input cannot be read.
What cannot be written to standard output ends the command; what cannot be written to standard error is
dropped, since there is nowhere to say so.  Characters that an encoding lacks are written as ``\\u....``.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from cimc.errors import CimcError


class StdoutClosed(Exception):
    """The reader of standard output went away (``cimc ... | head``)."""


class _Out(io.FileIO):
    """Standard output: a write that fails raises no ``OSError``, which others take for their own."""

    lost = False

    def write(self, data: Any) -> int:
        if self.lost:  # what buffers still hold must not fail again at exit
            return len(data)
        try:
            return _all(super().write, data, self.fileno())
        except OSError as error:
            self.lost = True
            raise self.failure(error) from None

    def failure(self, error: OSError) -> Exception:
        if error.errno == errno.EPIPE:
            return StdoutClosed()
        return CimcError("io.cannot-write", f"cannot write standard output: {error.strerror or error}")


class _Err(io.FileIO):
    """Standard error: what cannot be written is dropped."""

    def write(self, data: Any) -> int:
        with contextlib.suppress(OSError):
            return _all(super().write, data, self.fileno())
        return len(data)


def _all(write: Any, data: Any, descriptor: int) -> int:
    """Write, and wait where the other end made the pipe non-blocking and does not keep up."""
    while (count := write(data)) is None:
        poller = select.poll()
        poller.register(descriptor, select.POLLOUT)
        poller.poll()
    return int(count)


@contextmanager
def safe_streams() -> Iterator[None]:
    """Inside of the block ``sys.stdout`` and ``sys.stderr`` are as this module says.

    Only those of the process itself are replaced: a test or another program that put its own there keeps it.
    """
    _open_closed()
    out, err = sys.stdout, sys.stderr
    if out is sys.__stdout__:
        sys.stdout = _text(_Out(1, "wb", closefd=False), out)
    if err is sys.__stderr__:
        sys.stderr = _text(_Err(2, "wb", closefd=False), err)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(CimcError, StdoutClosed):
                if stream is not None:
                    stream.flush()
        sys.stdout, sys.stderr = out, err


def _open_closed() -> None:
    """Occupy closed descriptors: a file opened later would get the number, and printed text would go there.

    The null device stands for standard output and error, and as standard input it cannot be read.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_WRONLY)  # takes the lowest number that is free: this one


def _text(raw: io.FileIO, before: TextIO | None) -> TextIO:
    is_terminal = raw.isatty()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=before.encoding if before is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=is_terminal or isinstance(raw, _Err),
    )
