"""Text that a user gives: a file, or standard input as ``-``."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

from cimc.errors import CimcError, Location
from cimc.support.io.claims import reading


def read_text(path: Path) -> str:
    """The UTF-8 text of a file; ``-`` is standard input.

    Raises:
        CimcError: ``io.cannot-read``.
    """
    where = Location(file=str(path))
    reading(path, "the text")
    try:
        data = _stdin() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise CimcError(
            "io.cannot-read", f"cannot read the file: {error.strerror or error}", location=where
        ) from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CimcError("io.cannot-read", f"not UTF-8 text (byte {error.start})", location=where) from None


def _stdin() -> bytes:
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return sys.stdin.buffer.read()
