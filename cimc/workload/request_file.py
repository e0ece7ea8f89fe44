"""Request files: ``.npz`` archives of plain arrays, read with a budget and without pickle."""

from __future__ import annotations

import io
import re
import struct
import sys
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import CimcError, Location, RequestError, printable
from cimc.support.io.claims import reading
from cimc.workload.request_rules import Arrays, as_texts

_HINT = (
    "a request file is what numpy.savez(file, name=array, ...) writes, arrays named after the model's inputs"
)
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


def load_requests(path: Path, max_bytes: int = 1 << 32) -> Arrays:
    """All arrays of an ``.npz`` file.

    Args:
        path: the file.
        max_bytes: largest total size, unpacked, as the archive's directory states it.

    Raises:
        RequestError: ``request.unreadable``, ``request.not-npz``, ``request.too-large`` or
            ``request.bad-array``.
    """
    where = Location(file=str(path))
    reading(path, "the requests")
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, where, max_bytes)
    except RequestError:
        raise
    except OSError as error:
        raise RequestError(
            "request.unreadable", f"cannot read the request file: {error.strerror or error}", location=where
        ) from None
    except _DAMAGE as error:
        raise RequestError(
            "request.not-npz",
            f"this is no readable .npz file: {printable(str(error))}",
            location=where,
            hint=_HINT,
        ) from None


def _read(archive: zipfile.ZipFile, where: Location, max_bytes: int) -> Arrays:
    members = archive.infolist()
    total = sum(member.file_size for member in members)
    if total > max_bytes:
        raise RequestError(
            "request.too-large",
            f"the arrays take {total} bytes unpacked, the limit is {max_bytes}",
            location=where,
            hint="split the requests, or raise the limit with --max-request-bytes",
        )
    arrays: Arrays = {}
    for member in members:
        name = member.filename.removesuffix(".npy")
        if name in arrays:
            raise RequestError(
                "request.not-npz", f"two arrays are called '{printable(name)}'", location=where
            )
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # others can ask for far more memory than they unpack to
            raise RequestError(
                "request.not-npz",
                f"array '{printable(name)}' is compressed in a way that numpy does not use",
                location=where,
                hint=_HINT,
            )
        # reading stops at the size that the directory states, so the sum above is a true bound
        arrays[name] = _parse(archive.read(member), name, where)
    return arrays


def _parse(raw: bytes, name: str, where: Location) -> NDArray[Any]:
    """An array from the bytes of a ``.npy`` file; nothing is allocated on the word of its header."""

    def bad(why: str) -> RequestError:
        return RequestError(
            "request.bad-array", f"array '{printable(name)}' {why}", location=where, hint=_HINT
        )

    stream = io.BytesIO(raw)
    try:
        version = _FORMAT.read_magic(stream)
        kind = _HEADERS.get(version)
        if kind is None:
            raise bad(f"has the unknown .npy version {version}")
        size, read = kind
        (length,) = size.unpack(stream.read(size.size))
        # Python 2 wrote 3L for 3.  numpy warns of that, and a warning is silenced for all threads or none.
        text = re.sub(rb"(?<=\d)L(?=[,)])", b"", stream.read(length))
        shape, fortran, dtype = read(io.BytesIO(size.pack(len(text)) + text))
    except RequestError:
        raise
    except Exception as error:  # Python's own parser sees the header: any error, even MemoryError
        why = printable(str(error)) or type(error).__name__
        raise bad(f"is no .npy array: {why}") from None
    if dtype.hasobject or dtype.names or dtype.kind not in "biufU":
        raise bad(f"has dtype {dtype}, which is not a plain number or text")
    count = 1
    for extent in shape:
        count *= extent
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(raw) - stream.tell():
        raise bad(f"of shape {list(shape)} and dtype {dtype} does not have that many bytes")
    try:
        flat = np.frombuffer(raw, dtype, count, stream.tell())
        array = flat.reshape(shape, order="F" if fortran else "C")
    except (ValueError, OverflowError) as error:
        raise bad(f"of dtype {dtype} cannot be made: {printable(str(error))}") from None
    array = np.ascontiguousarray(array.astype(dtype.newbyteorder("="), copy=False)).reshape(shape)
    if dtype.kind == "U" and array.size and array.reshape(-1).view(np.uint32).max() > sys.maxunicode:
        raise bad("holds text that is no Unicode")
    return array


def save_arrays(arrays: Arrays, path: Path) -> None:
    """Write arrays to an ``.npz`` file, atomically; equal arrays give equal bytes.

    Raises:
        CimcError: ``io.cannot-write``, also for a value that is no array of numbers or texts.
    """
    from cimc.support.io.files import write_atomically

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in arrays.items():
            array = as_texts(value)
            if not isinstance(array, np.ndarray) or array.dtype.hasobject:
                raise CimcError(
                    "io.cannot-write",
                    f"'{printable(name)}' is no array of numbers or texts: a .npz file cannot hold it",
                    hint="compile without this output, or take it from Program.run in Python",
                )
            with _member(archive, name) as file:
                _FORMAT.write_array(
                    file, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False
                )
    write_atomically(path, stream.getvalue())


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    entry = zipfile.ZipInfo(f"{name}.npy")  # without a time stamp
    entry.compress_type = zipfile.ZIP_DEFLATED
    return archive.open(entry, "w", force_zip64=True)
