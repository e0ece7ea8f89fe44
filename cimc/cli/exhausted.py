"""What the system lacks when an error of Python says so: memory, descriptors, processes, disk."""

from __future__ import annotations

import errno
import os

from cimc.errors import CimcError


def exhausted(error: BaseException) -> CimcError | None:
    """The error for the user where ``error``, or what caused it, is a want of something; else ``None``.

    A library that cannot be loaded for want of descriptors says so only in the text of an ``ImportError``.
    """
    seen: BaseException | None = error
    while seen is not None:
        number = seen.errno if isinstance(seen, OSError) else None
        text = str(seen) if isinstance(seen, ImportError | RuntimeError) else ""
        if number in (errno.EMFILE, errno.ENFILE) or os.strerror(errno.EMFILE) in text:
            return CimcError(
                "system.too-many-files",
                "the system allows no more open files",
                hint="raise the limit: ulimit -n 256",
            )
        if number == errno.EAGAIN or "can't start new thread" in text:
            return CimcError(
                "system.too-many-processes",
                "the system allows no more processes or threads",
                hint="raise the limit (ulimit -u), or use fewer --threads",
            )
        if number in (errno.ENOSPC, errno.EDQUOT):
            return CimcError("io.cannot-write", f"cannot write a file: {os.strerror(number)}")
        if isinstance(seen, MemoryError) or number == errno.ENOMEM:
            return CimcError(
                "system.out-of-memory",
                "not enough memory",
                hint="use fewer requests at a time (--limit)",
            )
        seen = seen.__cause__ or seen.__context__
    return None
