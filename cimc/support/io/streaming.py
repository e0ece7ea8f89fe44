"""Reading large arrays block by block, so that a memory-mapped one is never resident as a whole.

Pages of a mapped file that were touched count as memory of the process until they are given back.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 1 << 20
"""Bytes that one block of :func:`blocks` aims at: enough for numpy to be fast, little enough for caches."""

_RELEASED_TOGETHER = 1 << 23


def blocks(array: Any, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[int, NDArray[Any]]]:
    """``(first row, rows)`` of an array of one dimension or more, in order.

    ``array`` is a numpy array or gives numpy arrays when sliced.  Pages of a mapped file are given back when
    the next block is asked for, so blocks must not be kept.
    """
    count = len(array)
    row_bytes = array.nbytes // max(1, count)
    rows = max(1, block_bytes // max(1, row_bytes))
    kept = 0  # first row whose pages were not given back
    for start in range(0, count, rows):
        stop = min(start + rows, count)
        yield start, array[start:stop]
        if isinstance(array, np.ndarray) and (
            (stop - kept) * row_bytes >= _RELEASED_TOGETHER or stop == count
        ):
            release(array[kept:stop])
            kept = stop


def release(array: Any) -> None:
    """Give back the resident pages of a read-only memory map behind ``array``; nothing for other arrays.

    The contents stay: pages come back from the file when they are read again.
    """
    if not isinstance(array, np.ndarray) or not array.size or array.flags.writeable:
        return
    owner = _mapping(array)
    if owner is None or not hasattr(mmap, "MADV_DONTNEED"):
        return
    with memoryview(owner) as view:
        if not view.readonly:  # giving back pages of a private map would lose what was written
            return
        base = np.frombuffer(view, np.uint8).__array_interface__["data"][0]
    low, high = np.lib.array_utils.byte_bounds(array)
    start = (low - base) // mmap.PAGESIZE * mmap.PAGESIZE
    owner.madvise(mmap.MADV_DONTNEED, start, high - base - start)


def _mapping(array: NDArray[Any]) -> mmap.mmap | None:
    owner: Any = array
    while isinstance(owner, np.ndarray | memoryview):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    return owner if isinstance(owner, mmap.mmap) else None
