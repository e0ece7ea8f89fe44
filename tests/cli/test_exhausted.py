"""What the system lacks, told from errors of Python."""

from __future__ import annotations

import errno
import os

import pytest

from cimc.cli.exhausted import exhausted


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.EMFILE, "x"), "system.too-many-files"),
        (OSError(errno.ENFILE, "x"), "system.too-many-files"),
        (ImportError(f"libx.so: cannot open: {os.strerror(errno.EMFILE)}"), "system.too-many-files"),
        (OSError(errno.EAGAIN, "x"), "system.too-many-processes"),
        (RuntimeError("can't start new thread"), "system.too-many-processes"),
        (OSError(errno.ENOSPC, "x"), "io.cannot-write"),
        (OSError(errno.EDQUOT, "x"), "io.cannot-write"),
        (MemoryError(), "system.out-of-memory"),
        (OSError(errno.ENOMEM, "x"), "system.out-of-memory"),
    ],
)
def test_what_is_lacking_is_named(error: Exception, code: str) -> None:
    found = exhausted(error)
    assert found is not None
    assert found.code == code


@pytest.mark.parametrize(
    "error", [ValueError("x"), OSError(errno.ENOENT, "x"), OSError("x"), ImportError("no x")]
)
def test_other_errors_are_none(error: Exception) -> None:
    assert exhausted(error) is None


def test_causes_and_contexts_count() -> None:
    outer, inner = ValueError("x"), MemoryError()
    outer.__cause__ = inner
    assert exhausted(outer) is not None
    other = ValueError("x")
    other.__context__ = RuntimeError("can't start new thread")
    assert exhausted(other) is not None
