"""No output replaces an input: what is written is claimed first, and whoever reads a file says so.

Files are the same when device and inode are, so links, symbolic and hard, hide nothing.  A command claims
its outputs before it starts; every reader of files (models and their data, requests, programs, targets)
calls :func:`reading` before it opens one, so that a clash ends the command before its work.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from cimc.errors import CimcError, printable

Identity = tuple[int, int]
"""Device and inode."""


@dataclass(frozen=True)
class Output:
    """Something that will be written.

    Attributes:
        what: how the user asked for it: ``-o``.
        path: a file, or the folder of ``names``.
        names: patterns of the names of the files written into the folder; none for a file.
    """

    what: str
    path: Path
    names: tuple[str, ...] = ()

    def holds(self, file: Identity) -> bool:
        """Whether writing it writes over ``file``."""
        if not self.names:
            return identity(self.path) == file
        try:
            found = os.listdir(self.path)  # noqa: PTH208
        except OSError:
            return False
        return any(self._writes(name) and identity(self.path / name) == file for name in found)

    def meets(self, other: Output) -> bool:
        """Whether both write one file."""
        if self.names and other.names:
            return os.path.realpath(self.path) == os.path.realpath(other.path)
        if self.names:
            return other.meets(self)
        file, place = identity(self.path), Path(os.path.realpath(self.path))
        if file is not None and other.holds(file):
            return True
        if other.names:
            return place.parent == Path(os.path.realpath(other.path)) and other._writes(place.name)
        return place == Path(os.path.realpath(other.path))

    def _writes(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.names)


_claimed: ContextVar[tuple[Output, ...]] = ContextVar("claimed", default=())
_read: ContextVar[dict[Path, str] | None] = ContextVar("read", default=None)


def identity(path: Path) -> Identity | None:
    """Device and inode of a regular file, links followed; ``None`` where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


@contextmanager
def claimed(outputs: Sequence[Output]) -> Iterator[None]:
    """Inside of the block no reader takes a file that is one of ``outputs``.

    Raises:
        CimcError: ``io.same-file`` when two outputs are one file.
    """
    for number, one in enumerate(outputs):
        for other in outputs[:number]:
            if one.meets(other):
                raise _clash(f"{other.what} and {one.what} write the same file", one)
    token = _claimed.set((*_claimed.get(), *outputs))
    try:
        yield
    finally:
        _claimed.reset(token)


def reading(path: Path, what: str) -> None:
    """Say that a file is read: ``what`` is its part, ``the model`` or ``--calib``.

    Raises:
        CimcError: ``io.same-file`` when it is an output, too.
    """
    known = _read.get()
    if known is not None:
        known.setdefault(Path(os.path.abspath(path)), what)  # noqa: PTH100
    outputs = _claimed.get()
    file = identity(path) if outputs else None
    for output in outputs:
        if file is not None and output.holds(file):
            raise _clash(f"{output.what} would overwrite {what}, {printable(str(path), 400)}", output)


@contextmanager
def recording() -> Iterator[dict[Path, str]]:
    """The files that are read inside of the block, with what each is."""
    found: dict[Path, str] = {}
    token = _read.set(found)
    try:
        yield found
    finally:
        _read.reset(token)


def _clash(message: str, output: Output) -> CimcError:
    return CimcError(
        "io.same-file",
        message if not output.names else f"{message} (in {printable(str(output.path), 400)})",
        hint="choose another output path; links are followed",
    )
