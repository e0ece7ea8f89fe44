"""Results on disk: one line of JSON a case, appended when done, so that a study can go on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from cimc.errors import CimcError, Location, printable

Row = dict[str, Any]
"""The figures of one case by column; values are numbers, texts, ``None`` or (nested) lists of numbers."""

_START = b'{"key": "'


class Store:
    """The rows of a study, by the keys of their cases.

    A last line that was cut off (a full disk, a power cut) is dropped: its case is run again.

    Args:
        path: the file; made when the first row comes.

    Raises:
        CimcError: ``study.unreadable`` for a file that is something else; ``io.cannot-read`` for one that
            cannot be read, or a device or pipe, which may never end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Row] = {}
        if path.exists():
            self._read()

    def _read(self) -> None:
        if not self.path.is_file():
            raise CimcError("io.cannot-read", f"cannot read {self.path}: it is no regular file")
        try:
            text = self.path.read_bytes()
        except OSError as error:
            raise CimcError("io.cannot-read", f"cannot read {self.path}: {error.strerror or error}") from None
        whole = text.rfind(b"\n") + 1
        for number, line in enumerate(text[:whole].splitlines(), 1):
            try:
                entry = json.loads(line)
                self.rows[entry["key"]] = dict(entry["row"])
            except (ValueError, KeyError, TypeError):
                raise self._unreadable(f"line {number} is not a result of a study") from None
        if whole < len(text):
            if not _begins_a_line(text[whole:]):
                raise self._unreadable("the end is not the beginning of a result of a study")
            with self.path.open("r+b") as file:
                file.truncate(whole)

    def _unreadable(self, why: str) -> CimcError:
        return CimcError(
            "study.unreadable",
            why,
            location=Location(file=printable(str(self.path))),
            hint="give another folder, or remove the file",
        )

    def add(self, key: str, row: Row) -> None:
        """Append a row and make sure that it is on disk.

        Raises:
            CimcError: ``io.cannot-write``.
        """
        line = json.dumps({"key": key, "row": row}, sort_keys=True, allow_nan=False) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise CimcError(
                "io.cannot-write", f"cannot write {self.path}: {error.strerror or error}"
            ) from None
        self.rows[key] = row


def _begins_a_line(tail: bytes) -> bool:
    """Whether ``tail`` can be what is left of a line of results: anything else is not ours to cut off."""
    return tail.startswith(_START) or _START.startswith(tail)
