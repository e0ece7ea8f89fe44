"""The memory that instructions of one tile see, for all requests of a block at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.isa.instructions import Ref


class Memory:
    """A tile's scratchpad, ``uint8[requests, bytes]``, beside the program's constants, ``uint8[1, bytes]``.

    All reads are views, so assigning to one of the scratchpad writes it; constants broadcast over requests.
    """

    def __init__(self, scratchpad: NDArray[np.uint8], constants: NDArray[np.uint8]) -> None:
        self.scratchpad, self.constants = scratchpad, constants
        self.requests = scratchpad.shape[0]

    def raw(self, ref: Ref, i: int, size: int) -> NDArray[np.uint8]:
        """``size`` bytes at ``ref`` in loop iteration ``i``."""
        at = ref.at(i)
        return (self.constants if ref.constant else self.scratchpad)[:, at : at + size]

    def f32(self, ref: Ref, i: int, n: int) -> NDArray[np.float32]:
        """``n`` float32 elements."""
        return self.raw(ref, i, 4 * n).view(np.float32)

    def i32(self, ref: Ref, i: int, n: int) -> NDArray[np.int32]:
        """``n`` int32 elements."""
        return self.raw(ref, i, 4 * n).view(np.int32)

    def strided(
        self, ref: Ref, i: int, counts: tuple[int, ...], steps: tuple[int, ...], dtype: Any
    ) -> NDArray[Any]:
        """4-byte elements ``[requests, *counts]``, ``steps`` elements apart."""
        memory = self.constants if ref.constant else self.scratchpad
        low = sum(min((c - 1) * s, 0) for c, s in zip(counts, steps, strict=True))
        high = sum(max((c - 1) * s, 0) for c, s in zip(counts, steps, strict=True))
        start = ref.at(i)
        flat = memory[:, start + 4 * low : start + 4 * (high + 1)].view(dtype)
        strides = (flat.strides[0], *(4 * s for s in steps))
        return np.lib.stride_tricks.as_strided(flat[:, -low:], (flat.shape[0], *counts), strides)
