"""Scratchpads of a run, and between runs: fresh memory costs more than the arithmetic on it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

_SPARE_BYTES = 1 << 25
"""A larger set is kept only where there is no other."""


class Scratchpads:
    """Memory of the tiles of one run, for all requests of a block; one run uses it at a time."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, int], NDArray[np.uint8]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return sum(memory.nbytes for memory in self._held.values())

    def zeroed(self, segment: int, tile: int, requests: int, size: int) -> NDArray[np.uint8]:
        """``uint8[requests, size]`` of zeros for a tile of a segment: the same memory for every block."""
        memory = self._held.get((segment, tile))
        if memory is None or len(memory) < requests:
            memory = self._held[segment, tile] = np.zeros((requests, size), np.uint8)
        else:
            memory[:requests].fill(0)
        return memory[:requests]


class Spares:
    """Scratchpads that no run uses: as many sets as there were runs at a time, up to one a processor."""

    def __init__(self) -> None:
        self._free: deque[Scratchpads] = deque(maxlen=os.cpu_count() or 1)  # its operations are atomic

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        return sum(each.nbytes for each in tuple(self._free))

    @contextmanager
    def lent(self) -> Iterator[Scratchpads]:
        """A set for one run alone.

        A run that fails gives nothing back: a thread that it has started may still write there.
        """
        try:
            own = self._free.pop()
        except IndexError:
            own = Scratchpads()
        yield own
        if not self._free or own.nbytes <= _SPARE_BYTES:
            self._free.append(own)
