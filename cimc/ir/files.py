"""Writing artifacts: a temporary name, then a rename, so that a crash leaves the old file or none."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cimc.errors import CimcError


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A new file, open for binary writing, that becomes ``path`` when the block ends without an error.

    Raises:
        CimcError: ``io.cannot-write`` when the folder is missing, not writable or the disk is full, or
            ``path`` is a folder, a device or a pipe; nothing half-written stays behind.
    """
    temporary: Path | None = None
    try:
        if path.exists() and not path.is_file():  # a rename would put a file in the place of /dev/null
            raise OSError(errno.EINVAL, "it is no regular file")
        # opened as any file is, so that it has the permissions that the umask leaves: to ask for the umask is
        # to change it, for all threads
        name = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with name.open("xb") as file:
            temporary = name
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise CimcError(
            "io.cannot-write",
            f"cannot write {path}: {error.strerror or error}",
            hint="check that the folder exists, is writable and has space left",
        ) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write ``data`` to ``path`` through a temporary file in the same folder.

    Raises:
        CimcError: ``io.cannot-write``, as :func:`atomic_file`.
    """
    with atomic_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)
