"""The ``cim`` dialect: the model quantised, cut into array-sized blocks, placed and scheduled.

A ``cim.matrix`` declares what is programmed into crossbar cells: an integer matrix ``[rows, cols]`` of
``bits`` bits, dense layer or embedding table.  The pass ``shard`` gives it a *block table*
(:mod:`cimc.ir.block_fields`), ``place`` fills in where each block lives.  Vector operations stay ``rec``
operations; the attributes ``cim.tile`` (who executes) and ``cim.at`` (byte address in that tile's scratchpad)
come from ``schedule``.
"""

from __future__ import annotations

from xdsl.ir import Dialect

from cimc.ir.block_fields import ARRAY, BLOCK_FIELDS, COL0, COLS, OFFSET, ROW0, ROWS, TILE
from cimc.ir.cim.activation_types import activation_type, u8
from cimc.ir.cim.matrices import MatrixOp
from cimc.ir.cim.products import AddOp, DequantizeOp, MvmOp, QuantizeOp
from cimc.ir.cim.table_lookup import LookupOp
from cimc.ir.cim.transport import LoadOp, TransferOp

TILE_ATTR = "cim.tile"
ADDRESS_ATTR = "cim.at"

CIM = Dialect("cim", [MatrixOp, QuantizeOp, MvmOp, AddOp, DequantizeOp, LookupOp, TransferOp, LoadOp], [])

__all__ = [
    "ADDRESS_ATTR",
    "ARRAY",
    "BLOCK_FIELDS",
    "CIM",
    "COL0",
    "COLS",
    "OFFSET",
    "ROW0",
    "ROWS",
    "TILE",
    "TILE_ATTR",
    "AddOp",
    "DequantizeOp",
    "LoadOp",
    "LookupOp",
    "MatrixOp",
    "MvmOp",
    "QuantizeOp",
    "TransferOp",
    "activation_type",
    "u8",
]
