"""``.npz`` files read in blocks, member by member, without pickle; and written with equal bytes."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, NamedTuple, Self

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
_KINDS = "biuf"


class Member(NamedTuple):
    """One array of a file: its place in the archive, dtype, shape, and whether columns come first."""

    entry: zipfile.ZipInfo
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
    """The arrays of numbers in an ``.npz`` file.  Nothing but headers is read until it is asked for.

    Arrays of text are left out (no trace needs them).

    Raises:
        RequestError: ``request.unreadable``, ``request.not-npz``, ``request.bad-array``.
    """

    def __init__(self, path: Path) -> None:
        self.where = Location(file=str(path))
        self.members: dict[str, Member] = {}
        reading(path, "the requests or the trace")
        try:
            self._archive = zipfile.ZipFile(path)
        except OSError as error:
            raise RequestError(
                "request.unreadable", f"cannot read the file: {error.strerror or error}", location=self.where
            ) from None
        except _DAMAGE as error:
            raise self._damaged(error) from None
        try:
            for entry in self._archive.infolist():
                self._scan(entry)
        except BaseException:
            self._archive.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def _damaged(self, error: BaseException) -> RequestError:
        return RequestError(
            "request.not-npz",
            f"this is no readable .npz file: {printable(str(error))}",
            location=self.where,
            hint="such a file is what numpy.savez(file, name=array, ...) writes",
        )

    def bad(self, name: str, why: str) -> RequestError:
        """An error about one array."""
        return RequestError("request.bad-array", f"array '{printable(name)}' {why}", location=self.where)

    def _scan(self, entry: zipfile.ZipInfo) -> None:
        name = entry.filename.removesuffix(".npy")
        if name in self.members:
            raise self._damaged(ValueError(f"two arrays are called '{name}'"))
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._damaged(ValueError(f"'{name}' is compressed in a way that numpy does not use"))
        try:
            with self._archive.open(entry) as file:
                member = Member(entry, *_header(file))
                start = file.tell()
        except _DAMAGE as error:
            raise self.bad(name, f"is no .npy array: {printable(str(error))}") from None
        except Exception as error:  # Python's own parser sees the header: any error, even MemoryError
            raise self.bad(name, f"is no .npy array: {type(error).__name__}") from None
        if member.dtype.kind == "U":
            return
        if member.dtype.kind not in _KINDS or member.dtype.hasobject:
            raise self.bad(name, f"has dtype {member.dtype}, which is not a plain number")
        if (
            min(member.shape, default=0) < 0
            or member.elements * member.dtype.itemsize != entry.file_size - start
        ):
            raise self.bad(name, f"of shape {list(member.shape)} does not have that many bytes")
        self.members[name] = member

    def read(self, name: str) -> NDArray[Any]:
        """A whole array.

        Raises:
            RequestError: ``request.bad-array`` for damaged contents.
        """
        member = self.members[name]
        with self.stream(name) as stream:
            flat = stream.take(member.elements)
        return flat.reshape(member.shape, order="F" if member.fortran else "C")

    def stream(self, name: str) -> Stream:
        """The elements of an array from the first to the last, in the order of the file."""
        return Stream(self, name)

    def open(self, member: Member) -> IO[bytes]:
        """The bytes of a member after its header."""
        file = self._archive.open(member.entry)
        _header(file)
        return file


class Stream:
    """Elements of one array in sequence."""

    def __init__(self, owner: Npz, name: str) -> None:
        self._owner, self._name = owner, name
        self._member = owner.members[name]
        self._file = owner.open(self._member)
        self.left = self._member.elements

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def take(self, count: int) -> NDArray[Any]:
        """The next ``count`` elements, or as many as are left, in the machine's byte order."""
        count = min(count, self.left)
        dtype = self._member.dtype
        try:
            raw = self._file.read(count * dtype.itemsize)
        except _DAMAGE as error:
            raise self._owner.bad(self._name, f"is damaged: {printable(str(error))}") from None
        if len(raw) != count * dtype.itemsize:
            raise self._owner.bad(self._name, "ends early")
        self.left -= count
        return np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="), copy=False)


def _header(file: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
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
