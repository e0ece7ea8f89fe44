"""``.npz`` files: read with limits and without pickle, whole or in blocks; written with equal bytes.

Nothing is believed that a file says of itself: the sizes in its directory bound what is unpacked, headers are
short, and no array is made on the word of its header.
"""

from __future__ import annotations

import io
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from cimc.errors import Location, RequestError, printable
from cimc.support.io.claims import reading

_FORMAT = np.lib.format
_HEADERS = {
    (1, 0): (struct.Struct("<H"), _FORMAT.read_array_header_1_0),
    (2, 0): (struct.Struct("<I"), _FORMAT.read_array_header_2_0),
}
"""By version of the format: the length of a header, and what reads it."""
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, NotImplementedError, ValueError,
    OverflowError,
)  # fmt: skip
"""What :mod:`zipfile` raises on archives that are damaged, encrypted or of a kind it does not know."""
_NUMBERS, _TEXT = "biuf", "U"
_LONGEST_HEADER = 1 << 16
_HINT = "such a file is what numpy.savez(file, name=array, ...) writes"


class Member(NamedTuple):
    """One array of a file: its place in the archive, where its elements start, and what they are."""

    entry: zipfile.ZipInfo
    start: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool

    @property
    def elements(self) -> int:
        """Elements."""
        total = 1
        for extent in self.shape:
            total *= extent
        return total


class Npz:
    """The arrays of an ``.npz`` file.  Nothing but headers is read until it is asked for.

    Args:
        path: the file.
        max_bytes: largest total size, unpacked, as the archive's directory states it; any by default.
        what: what the file holds, for messages.
        text: whether arrays of text are wanted; they are left out otherwise.
        hint: what such a file should be, for messages.
        lever: how to raise the limit, for messages.

    Raises:
        RequestError: ``request.unreadable``, ``request.not-npz``, ``request.too-large``,
            ``request.bad-array``.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int | None = None,
        *,
        what: str = "the requests or the trace",
        text: bool = False,
        hint: str = _HINT,
        lever: str = "",
    ) -> None:
        reading(path, what)
        self.where = Location(file=str(path))
        self.members: dict[str, Member] = {}
        self._hint = hint
        try:
            self._archive = zipfile.ZipFile(path)
        except OSError as error:
            raise RequestError(
                "request.unreadable", f"cannot read the file: {error.strerror or error}", location=self.where
            ) from None
        except _DAMAGE as error:
            raise self._damaged(str(error)) from None
        try:
            total = sum(entry.file_size for entry in self._archive.infolist())
            if max_bytes is not None and total > max_bytes:
                raise RequestError(
                    "request.too-large",
                    f"the arrays take {total} bytes unpacked, the limit is {max_bytes}",
                    location=self.where,
                    hint=lever or None,
                )
            for entry in self._archive.infolist():
                self._scan(entry, text)
        except BaseException:
            self._archive.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def _damaged(self, why: str) -> RequestError:
        return RequestError(
            "request.not-npz",
            f"this is no readable .npz file: {printable(why)}",
            location=self.where,
            hint=self._hint,
        )

    def bad(self, name: str, why: str) -> RequestError:
        """An error about one array."""
        return RequestError(
            "request.bad-array", f"array '{printable(name)}' {why}", location=self.where, hint=self._hint
        )

    def _scan(self, entry: zipfile.ZipInfo, text: bool) -> None:
        name = entry.filename.removesuffix(".npy")
        if name in self.members:
            raise self._damaged(f"two arrays are called '{name}'")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # others can ask for far more memory than they unpack to
            raise self._damaged(f"'{name}' is compressed in a way that numpy does not use")
        try:
            with self._archive.open(entry) as file:
                head = io.BytesIO(file.read(_LONGEST_HEADER))
        except (OSError, *_DAMAGE) as error:
            raise self._damaged(f"'{name}': {error}") from None
        try:
            dtype, shape, fortran = _header(head)
        except Exception as error:  # Python's own parser sees the header: any error, even MemoryError
            why = printable(str(error)) or type(error).__name__
            raise self.bad(name, f"is no .npy array: {why}") from None
        if dtype.hasobject or dtype.names or dtype.kind not in _NUMBERS + _TEXT:
            raise self.bad(name, f"has dtype {dtype}, which is not a plain number or text")
        member = Member(entry, head.tell(), dtype, shape, fortran)
        size = entry.file_size - member.start
        if min(shape, default=0) < 0 or member.elements * dtype.itemsize != size:
            raise self.bad(name, f"of shape {list(shape)} and dtype {dtype} does not have that many bytes")
        if text or dtype.kind != _TEXT:
            self.members[name] = member

    def read(self, name: str) -> NDArray[Any]:
        """A whole array, in the machine's byte order, rows first.

        Raises:
            RequestError: ``request.not-npz`` for damaged contents, ``request.bad-array`` for an array that
                cannot be made of them.
        """
        member = self.members[name]
        with self.stream(name) as stream:
            flat = stream.take(member.elements)
        try:
            array = flat.reshape(member.shape, order="F" if member.fortran else "C")
        except (ValueError, OverflowError) as error:
            raise self.bad(name, f"cannot be made: {printable(str(error))}") from None
        return np.ascontiguousarray(array).reshape(member.shape)  # the first alone gives () a dimension

    def stream(self, name: str) -> Stream:
        """The elements of an array from the first to the last, in the order of the file."""
        return Stream(self, name)


class Stream:
    """Elements of one array in sequence."""

    def __init__(self, owner: Npz, name: str) -> None:
        self._owner, self._name = owner, name
        self._member = owner.members[name]
        self._file = owner._archive.open(self._member.entry)
        self.left = self._member.elements
        self._bytes(self._member.start)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _bytes(self, count: int) -> bytes:
        try:
            raw = self._file.read(count)
        except (OSError, *_DAMAGE) as error:
            raise self._owner._damaged(f"'{self._name}': {error}") from None
        if len(raw) != count:
            raise self._owner._damaged(f"'{self._name}' ends early")
        return raw

    def take(self, count: int) -> NDArray[Any]:
        """The next ``count`` elements, or as many as are left, in the machine's byte order.

        Raises:
            RequestError: ``request.not-npz`` for damaged contents, ``request.bad-array`` for text that is
                none.
        """
        count = min(count, self.left)
        dtype = self._member.dtype
        raw = self._bytes(count * dtype.itemsize)
        try:
            array = np.frombuffer(raw, dtype, count).astype(dtype.newbyteorder("="), copy=False)
        except (ValueError, OverflowError) as error:
            raise self._owner.bad(self._name, f"cannot be made: {printable(str(error))}") from None
        if dtype.kind == _TEXT and array.size and array.view(np.uint32).max() > sys.maxunicode:
            raise self._owner.bad(self._name, "holds text that is no Unicode")
        self.left -= count
        return array


def _header(file: io.BytesIO) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    version = _FORMAT.read_magic(file)
    kind = _HEADERS.get(version)
    if kind is None:
        raise ValueError(f"unknown .npy version {version}")
    size, read = kind
    start = file.read(size.size)
    if len(start) < size.size:
        raise ValueError("it ends within its header")
    # Python 2 wrote 3L for 3.  numpy warns of that, and a warning is silenced for all threads or none.
    text = re.sub(rb"(?<=\d)L(?=[,)])", b"", file.read(size.unpack(start)[0]))
    shape, fortran, dtype = read(io.BytesIO(size.pack(len(text)) + text))
    return dtype, shape, fortran


def write_npz(file: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as ``.npz`` (deflated, without time stamps): equal arrays give equal bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member:
                _FORMAT.write_array(
                    member, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False
                )


def mapped_array(path: Path) -> NDArray[Any]:
    """The one array of a ``.npy`` file, memory-mapped.

    Raises:
        RequestError: ``corpus.unreadable`` for a file that is none.
    """
    where = Location(file=str(path))
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError) as error:
        raise RequestError("corpus.unreadable", f"no array: {error}", location=where) from None
    except Exception:  # numpy's advice is to trust the file; a damaged archive has errors of its own
        found = None
    if not isinstance(found, np.ndarray):
        raise RequestError(
            "corpus.unreadable", "no single array of numbers, as numpy.save writes it (.npy)", location=where
        )
    return found
