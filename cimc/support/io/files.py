"""Writing artifacts: a temporary name, then a rename, so that a crash leaves the old file or none.

What stands at a path afterwards is the old file or the whole new one: its bytes are on disk (``fsync``)
before the rename.  The folder itself is not synchronised: after a power cut the old file may be back.

A symbolic link is written through: the file that it leads to is replaced, and the link stays.  A new file
has the permissions that the umask leaves, one that is replaced keeps those it had.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cimc.errors import CimcError, printable

_unfinished: set[str] = set()
"""Temporary files of this process that are open; each is here before it exists."""


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A new file, open for binary writing, that becomes ``path`` when the block ends without an error.

    Raises:
        CimcError: ``io.cannot-write`` when the folder is missing, not writable or the disk is full, or
            ``path`` is a folder, a device or a pipe; nothing half-written stays behind.
    """
    try:
        place, mode = _place(path)
        with _temporary(place.parent) as name:
            with open(name, "xb") as file:  # noqa: PTH123 (the kernel applies the umask, safe among threads)
                yield file
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                Path(name).chmod(mode)
            Path(name).replace(place)
    except OSError as error:
        raise _cannot(path, error) from None


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write ``data`` to ``path`` through a temporary file in the same folder.

    Raises:
        CimcError: ``io.cannot-write``, as :func:`atomic_file`.
    """
    with atomic_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def check_writable(path: Path | None) -> None:
    """Fail before the work, not after it, where a file cannot be written.

    A byte is written beside it and removed: only that finds every reason, a full disk among them.

    Raises:
        CimcError: ``io.cannot-write``.
    """
    if path is None:
        return
    try:
        _probe(_place(path)[0].parent)
    except OSError as error:
        raise _cannot(path, error) from None


def check_folder(path: Path) -> None:
    """The same for a folder that is made, with its parents, where it does not exist.

    Raises:
        CimcError: ``io.cannot-write``.
    """
    try:
        place = Path(os.path.realpath(path))
        while not _exists(place):
            place = place.parent
        _probe(place)
    except (OSError, ValueError) as error:
        raise _cannot(path, error) from None


def make_folder(path: Path) -> None:
    """Make a folder, with its parents, where it does not exist.

    Raises:
        CimcError: ``io.cannot-write``.
    """
    try:
        Path(os.path.realpath(path)).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise _cannot(path, error) from None


def abandon() -> None:
    """Remove the temporary files of this process, which is about to end without ending its blocks."""
    for name in list(_unfinished):
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108 (may run while the interpreter is in any state)


@contextmanager
def _temporary(folder: Path) -> Iterator[str]:
    """The name of a file in ``folder``, which does not exist before the block nor after it.

    It is short and does not contain the name of the artifact, which may be as long as names can be.
    """
    name = str(folder / f".cimc-{secrets.token_hex(8)}")
    _unfinished.add(name)
    try:
        yield name
    finally:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(name)  # noqa: PTH108
        _unfinished.discard(name)


def _probe(folder: Path) -> None:
    with _temporary(folder) as name, open(name, "xb") as file:  # noqa: PTH123
        file.write(b"\0")


def _place(path: Path) -> tuple[Path, int | None]:
    """Where the bytes go: ``path`` with its links followed; and the permissions of what is there.

    Raises:
        OSError: where no file can be.
    """
    try:
        place = Path(os.path.realpath(path))
        status = place.stat()
    except FileNotFoundError:
        return place, None
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error)) from None
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(status.st_mode):  # a rename would put a file in the place of /dev/null
        why = "it is a device or a pipe, and the file is renamed into its place when it is complete"
        raise OSError(errno.EINVAL, why)
    return place, stat.S_IMODE(status.st_mode) & 0o777


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def _cannot(path: Path, error: OSError | ValueError) -> CimcError:
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if isinstance(error, FileNotFoundError):
        why = f"there is no folder {printable(str(path.parent), 400)}"
    if isinstance(error, PermissionError):
        why = f"the folder {printable(str(path.parent), 400)} is not writable"
    return CimcError(
        "io.cannot-write",
        f"cannot write {printable(str(path), 400)}: {why}",
        hint="check that the folder exists, is writable and has space left, or choose another path",
    )
