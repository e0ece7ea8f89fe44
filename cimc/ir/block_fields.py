"""Columns of a block table, the ``int32[blocks, 7]`` array that says what a block holds and where it lives.

The block holds rows ``row0 .. row0 + rows - 1`` and columns ``col0 .. col0 + cols - 1`` of its matrix, all
bit slices side by side from cell column ``offset`` of array ``array`` of tile ``tile`` (-1 until placed).
Arrays are numbered within their tile.  Blocks of tables may also live in SRAM or DRAM:
:mod:`cimc.ir.residence` says how that is written.
"""

from __future__ import annotations

BLOCK_FIELDS = ("row0", "rows", "col0", "cols", "tile", "array", "offset")
"""Columns of a block table."""
ROW0, ROWS, COL0, COLS, TILE, ARRAY, OFFSET = range(len(BLOCK_FIELDS))
REPLICA_FIELDS = ("block", "tile", "array", "offset")
"""Columns of a table of copies: a copy of block ``block``, and where it lies (-1 until placed)."""
