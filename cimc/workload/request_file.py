"""Request files: ``.npz`` archives of plain arrays, named after a model's inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cimc.errors import CimcError, printable
from cimc.support.io.files import atomic_file
from cimc.support.io.npz import Npz, write_npz
from cimc.workload.request_rules import Arrays, as_texts

_HINT = (
    "a request file is what numpy.savez(file, name=array, ...) writes, arrays named after the model's inputs"
)
_LEVER = "split the requests, or raise the limit with --max-request-bytes"


def load_requests(path: Path, max_bytes: int = 1 << 32) -> Arrays:
    """All arrays of an ``.npz`` file.

    Args:
        path: the file.
        max_bytes: largest total size, unpacked, as the archive's directory states it.

    Raises:
        RequestError: ``request.unreadable``, ``request.not-npz``, ``request.too-large`` or
            ``request.bad-array``.
    """
    with Npz(path, max_bytes, what="the requests", text=True, hint=_HINT, lever=_LEVER) as file:
        return {name: file.read(name) for name in file.members}


def save_arrays(arrays: Arrays, path: Path) -> None:
    """Write arrays to an ``.npz`` file, atomically; equal arrays give equal bytes.

    Raises:
        CimcError: ``io.cannot-write``, also for a value that is no array of numbers or texts.
    """
    with atomic_file(path) as file:
        write_npz(file, {name: _writable(name, value) for name, value in arrays.items()})


def _writable(name: str, value: object) -> np.ndarray:
    """``value`` as an array that needs no pickle: numbers as they are, texts as fixed-width unicode."""
    array = as_texts(value)
    if not isinstance(array, np.ndarray) or array.dtype.hasobject:
        raise CimcError(
            "io.cannot-write",
            f"'{printable(name)}' is no array of numbers or texts: a .npz file cannot hold it",
            hint="compile without this output, or take it from Program.run in Python",
        )
    return array
