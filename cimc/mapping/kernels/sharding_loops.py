"""Deal pieces of tables to chips one after another."""

from __future__ import annotations

import numpy as np

from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.support.jit import jit


@jit
def deal(
    order: IntArray,
    busy: FloatArray,
    bits: FloatArray,
    size: IntArray,
    link: FloatArray,
    free: IntArray,
    time: FloatArray,
) -> IntArray:
    """Each piece to the chip with room whose time is then the least, ties to the lower number.

    Args:
        order: int64[p], the pieces as they are dealt.
        busy, bits, size: of each piece.
        link: float64[m], bits per ns of each chip.
        free: int64[m], capacity units left; updated.
        time: float64[m], of each chip; updated.

    Returns:
        int64[pieces], the chip of each; -1 from the first on that finds no room.
    """
    found = np.full(busy.size, -1, dtype=np.int64)
    for piece in order:
        best = -1
        least = np.inf
        for chip in range(link.size):
            if free[chip] >= size[piece]:
                then = time[chip] + busy[piece] + bits[piece] / link[chip]
                if then < least:
                    least, best = then, chip
        if best < 0:
            return found
        found[piece] = best
        free[best] -= size[piece]
        time[best] = least
    return found
