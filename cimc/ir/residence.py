"""Where a block of a matrix lives: crossbar cells, a tile's table SRAM, or a chip's DRAM.

The residence is written in the block table itself, in the columns ``tile`` and ``array``:

=============  ==========================  ==========================  ======================
residence      before ``place``            in a program                ``offset`` in a program
=============  ==========================  ==========================  ======================
RRAM cells     tile -1, array -1           tile >= 0, array >= 0       first cell column
table SRAM     tile -1, array -2           tile >= 0, array -2         0
DRAM           tile -2, array -1           tile -3 - chip, array -1    0
=============  ==========================  ==========================  ======================

Blocks in SRAM or DRAM lie one after another in the order of the directory, so their offset says nothing.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.ir.block_fields import ARRAY, TILE

UNPLACED = -1
"""Tile and array of a block that has no place yet."""
SRAM_ARRAY = -2
"""Column ``array`` of a block in table SRAM."""
DRAM_UNPLACED = -2
"""Column ``tile`` of a block in DRAM whose chip is not chosen yet."""
_DRAM_FIRST = -3


class Residence(IntEnum):
    """The memory that holds a block."""

    RRAM = 0
    SRAM = 1
    DRAM = 2


def dram_tile(chip: int) -> int:
    """Column ``tile`` of a block in the DRAM of ``chip``."""
    return _DRAM_FIRST - chip


def dram_chip(tile: NDArray[Any]) -> NDArray[np.int64]:
    """Chip of blocks in DRAM, from their column ``tile`` (negative values of no chip otherwise)."""
    chip: NDArray[np.int64] = _DRAM_FIRST - np.asarray(tile, np.int64)
    return chip


def residence_of(blocks: NDArray[Any]) -> NDArray[np.int8]:
    """Residence of each row of a block table ``[n, 7]``, as values of :class:`Residence`; int8 ``[n]``."""
    found = np.full(len(blocks), int(Residence.RRAM), np.int8)
    found[blocks[:, ARRAY] == SRAM_ARRAY] = int(Residence.SRAM)
    found[blocks[:, TILE] <= DRAM_UNPLACED] = int(Residence.DRAM)
    return found


def row_bits(cols: NDArray[Any] | int, bits: int) -> NDArray[np.int64]:
    """Bits of a row of ``cols`` weights in SRAM or DRAM: whole bytes, ``ceil(cols * bits / 8) * 8``."""
    out: NDArray[np.int64] = -(-np.asarray(cols, np.int64) * bits // 8) * 8
    return out
