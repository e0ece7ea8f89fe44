"""Numpy-backed stores: bulk data lives here, the IR text names it by ``@symbol`` and digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import PassError
from cimc.support.io.lazy import LazyArray
from cimc.support.io.streaming import blocks

Array = NDArray[Any]


def digest_of(array: Array | LazyArray) -> str:
    """SHA-256 (first 16 hex digits) of an array's dtype, shape and little-endian bytes.

    Read in blocks, so that a memory-mapped array never sits in memory whole.  Of an array that is made on
    demand it is the digest of what makes it.
    """
    digest = hashlib.sha256(f"{array.dtype.name}{list(array.shape)}".encode())
    if isinstance(array, LazyArray):
        digest.update(array.recipe.encode())
        return digest.hexdigest()[:16]
    for _, part in blocks(array.reshape(1) if array.ndim == 0 else array):
        if part.size:
            digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()[:16]


class TensorStore:
    """Named immutable arrays of one compilation.

    Arrays may be memory maps, or made on demand (:class:`cimc.support.io.lazy.LazyArray`).  Names are
    unique; digests are computed on demand and cached.
    """

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}
        self._digests: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __getitem__(self, name: str) -> Array:
        try:
            return self._arrays[name]
        except KeyError:
            raise PassError(
                "ir.missing-data",
                f"the IR names @{name}, but no array of that name was loaded with it",
                hint="give the file that holds the arrays: cimc opt FILE --data STORE.safetensors",
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def add(self, name: str, array: Array) -> str:
        """Store ``array`` under ``name``, made unique by a suffix if taken; returns the name used."""
        unique, count = name, 1
        while unique in self._arrays:
            unique, count = f"{name}_{count}", count + 1
        self._arrays[unique] = array
        return unique

    def put(self, name: str, array: Array) -> None:
        """Store ``array`` under exactly ``name``, replacing what was there."""
        self._arrays[name] = array
        self._digests.pop(name, None)

    def remove(self, name: str) -> None:
        """Forget ``name`` (no error when absent)."""
        self._arrays.pop(name, None)
        self._digests.pop(name, None)

    def digest(self, name: str) -> str:
        """Content digest of the array ``name``."""
        if name not in self._digests:
            self._digests[name] = digest_of(self[name])
        return self._digests[name]

    def copy(self) -> TensorStore:
        """A shallow copy: same arrays, independent names."""
        other = TensorStore()
        other._arrays = dict(self._arrays)
        other._digests = dict(self._digests)
        return other

    def save(self, path: Path) -> None:
        """Write all arrays to a safetensors file, atomically."""
        from cimc.support.io.files import atomic_file
        from cimc.support.io.tensorfile import write_tensors

        with atomic_file(path) as file:
            write_tensors(file, self._arrays)

    @classmethod
    def load(cls, path: Path) -> TensorStore:
        """Map a store written by :meth:`save`."""
        from safetensors import SafetensorError

        from cimc.support.io.tensorfile import map_tensors

        store = cls()
        try:
            _, store._arrays = map_tensors(path)
        except (OSError, SafetensorError, ValueError) as error:
            raise PassError("ir.bad-store", f"cannot read arrays from {path}: {error}") from None
        return store
