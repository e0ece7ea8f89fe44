"""External data: weights in files beside the model, opened memory-mapped and never outside its folder.

A path of a model file is untrusted: it must be relative, and no component of it may be a link, since a
link (also a hard one) may lead to any file that this process can read.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from cimc.errors import Location, ModelError, printable
from cimc.support.io.claims import reading
from cimc.support.io.streaming import blocks
from cimc.support.limits import Limits

_KEYS = ("location", "offset", "length", "checksum")
"""What onnxruntime takes; its own files also have keys that start with ``prepacked``."""


def map_file(descriptor: int) -> NDArray[np.uint8]:
    """The bytes of an open regular file as a read-only memory map; the descriptor may be closed after."""
    if os.fstat(descriptor).st_size == 0:
        return np.empty(0, np.uint8)
    return np.frombuffer(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ), np.uint8)


def _components(location: str, where: Location) -> tuple[str, ...]:
    """The path components of a location; refuses what could leave the model's folder."""
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    escapes = posix.is_absolute() or windows.is_absolute() or windows.drive or windows.root
    if escapes or ".." in posix.parts or ".." in windows.parts or "\0" in location or not posix.parts:
        raise ModelError(
            "frontend.external-data-escape",
            f"external data at '{printable(location)}' is not a path inside the model's folder",
            location=where,
            hint="keep the data file beside the model and name it by a relative path",
        )
    return posix.parts


def _open_beneath(folder: Path, parts: tuple[str, ...], shown: str, where: Location) -> int:
    """Open a regular file below ``folder`` without following any link; the caller closes it."""
    common = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    current = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for depth, part in enumerate(parts):
            if stat.S_ISLNK(os.stat(part, dir_fd=current, follow_symlinks=False).st_mode):
                raise _linked(shown, where)
            last = depth == len(parts) - 1
            below = os.open(part, common | (0 if last else os.O_DIRECTORY), dir_fd=current)
            os.close(current)
            current = below
    except (OSError, ModelError) as error:
        os.close(current)
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            "frontend.external-data-missing",
            f"external data file '{printable(shown)}' cannot be opened: {error.strerror}",
            location=where,
            hint="copy the model together with all of its data files",
        ) from None
    status = os.fstat(current)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(current)
        if stat.S_ISREG(status.st_mode):
            raise _linked(shown, where)
        raise ModelError(
            "frontend.external-data-missing",
            f"external data '{printable(shown)}' is not a regular file",
            location=where,
        )
    return current


def _linked(shown: str, where: Location) -> ModelError:
    return ModelError(
        "frontend.external-data-escape",
        f"external data '{printable(shown)}' is, or lies behind, a symbolic or hard link",
        location=where,
        hint="replace the link by a copy of the file: a link may lead out of the model's folder",
    )


class ExternalFiles:
    """The data files of one model, each mapped once."""

    def __init__(self, model: Path, limits: Limits) -> None:
        self._folder = model.parent
        self._file = str(model)
        self._limits = limits
        self._maps: dict[tuple[str, ...], NDArray[np.uint8]] = {}
        self._used: dict[tuple[str, ...], list[tuple[int, int]]] = {}

    def read(self, tensor: onnx.TensorProto, size: int) -> NDArray[np.uint8]:
        """The ``size`` bytes of an external tensor, as a read-only view of its memory-mapped file.

        Raises:
            ModelError: ``frontend.external-data-escape``, ``-missing`` or ``-range``.
        """
        parts, shown, offset, where = self._place(tensor, size)
        data = self._map(parts, shown, where)
        if offset + size > len(data):
            raise _range(f"bytes {offset} to {offset + size} lie beyond the file's end {len(data)}", where)
        self._used.setdefault(parts, []).append((offset, offset + size))
        return data[offset : offset + size]

    def is_missing(self, tensor: onnx.TensorProto, size: int) -> bool:
        """Whether nothing at all is where the data file of an external tensor of ``size`` bytes should be.

        Raises:
            ModelError: ``frontend.external-data-escape`` or ``-range``.
        """
        parts = self._place(tensor, size)[0]
        return parts not in self._maps and not os.path.lexists(self._folder.joinpath(*parts))

    def _place(self, tensor: onnx.TensorProto, size: int) -> tuple[tuple[str, ...], str, int, Location]:
        """Path components, the path as written, and offset of an external tensor; where it is, for errors."""
        where = Location(file=self._file, tensor=printable(tensor.name))
        entries: dict[str, str] = {}
        for entry in tensor.external_data:
            if entry.key in entries:
                raise _range(f"the key '{printable(entry.key)}' is given twice", where)
            if isinstance(entry.value, bytes) or isinstance(entry.key, bytes):
                raise _range("its description is not valid UTF-8", where)
            if entry.key not in _KEYS and not entry.key.startswith("prepacked"):
                raise _range(f"the key '{printable(entry.key, 40)}' is not known", where)
            entries[entry.key] = entry.value
        parts = _components(entries.get("location", ""), where)
        offset = _number(entries.get("offset", "0"), "offset", where)
        length = _number(entries.get("length", str(size)), "length", where)
        if length != size:
            raise _range(f"{length} bytes are given, its type and shape need {size}", where)
        return parts, entries["location"], offset, where

    def _map(self, parts: tuple[str, ...], shown: str, where: Location) -> NDArray[np.uint8]:
        if parts not in self._maps:
            if len(self._maps) >= self._limits.external_files:
                raise ModelError(
                    "frontend.too-many-files",
                    f"external data lies in more than {self._limits.external_files} files",
                    location=where,
                    hint="save the model with all tensors in one data file",
                )
            reading(self._folder.joinpath(*parts), "external data of the model")
            descriptor = _open_beneath(self._folder, parts, shown, where)
            try:
                self._maps[parts] = map_file(descriptor)
            finally:
                os.close(descriptor)
        return self._maps[parts]

    def update(self, digest: Any) -> None:
        """Feed every byte range read so far, once, into a ``hashlib`` object."""
        for parts in sorted(self._used):
            merged: list[tuple[int, int]] = []
            for start, stop in sorted(self._used[parts]):
                if merged and start <= merged[-1][1]:
                    merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
                else:
                    merged.append((start, stop))
            for start, stop in merged:
                digest.update(f"{'/'.join(parts)}\0{start}\0{stop}\0".encode())
                hash_blocks(digest, self._maps[parts][start:stop])


def hash_blocks(digest: hashlib._Hash, data: NDArray[np.uint8]) -> None:
    """Feed bytes into ``digest`` block by block, so that a mapped file is never resident whole."""
    for _, part in blocks(data):
        digest.update(part.data)


def _number(text: str, what: str, where: Location) -> int:
    if len(text) > 20 or not text.isascii() or not text.isdigit():
        raise _range(f"its {what} '{printable(text, 40)}' is not a non-negative integer", where)
    return int(text)


def _range(why: str, where: Location) -> ModelError:
    return ModelError("frontend.external-data-range", f"external data does not fit: {why}", location=where)
